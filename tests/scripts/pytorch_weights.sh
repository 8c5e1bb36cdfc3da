#!/usr/bin/env bash
# Weights between hlip and PyTorch, with the real PyTorch: what torch.save writes is read to the bit or refused, our checkpoints fit a PyTorch
# model under strict names, and one that went through torch.save names the same findings with the same probabilities.
# Skipped where HLIP_PYTHON (default: python3) has no torch and safetensors.
# Usage: pytorch_weights.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
python=${HLIP_PYTHON:-python3}
"$python" -c 'import torch, safetensors' 2>/dev/null || skip "$python has no torch and safetensors (HLIP_PYTHON names another one)"
weights() { PYTHONPATH=$source/benchmarks PYTHONDONTWRITEBYTECODE=1 expect 0 "$python" -W ignore -m pytorch_side.weights "$@"; }

mkdir "$work/formats"
weights formats "$work/formats"
expect 0 "$bin/hlip_golden" "$work/formats/expected.safetensors"
for file in "$work"/formats/refused_*; do expect 1 "$bin/hlip_inspect" "$file"; done

train=("$bin/train_ct_rate" --phantom 8 --phantom-valid 4 --batch-size 4 --steps 2 --text-steps 1 --workers 0 --phantom-root "$work/phantom")
expect 0 "${train[@]}" --out "$work/run"
weights load "$work/run/step_2" phantom
weights save "$work/run/step_2" "$work/epoch_3.pt"

# The run's own weights in open_clip's clothes: all of them fit again.
expect 0 "${train[@]}" --vocab "$work/run/step_2/vocab.txt" --pretrained "$work/epoch_3.pt" --out "$work/again"
says "without 'state_dict.module.' in front"
[ "$(grep -cE '^  (resized|missing|wrong shape|unexpected) +0$' "$work/log")" = 4 ] || fail "not all weights fit"

expect 0 "${train[@]}" --pretrained-image "$work/formats/mae_vit.pth" --out "$work/image"
says "patch_embed.proj.weight (96, 3, 16, 16) → (96, 1, 8, 12, 16), pos_embed (1, 197, 96) → spatial_posemb (1, 4, 4, 4, 96)"
says '^  loaded  *52 '

volume=$(find "$work/phantom" -path '*valid*' -name '*.nii.gz' | sort | head -n 1)
probabilities() { "$bin/zero_shot_ct_rate" --volume "$volume" "$@" 2>"$work/log" | grep -E ' [01]\.[0-9]{4}$'; }
probabilities --checkpoint "$work/run" >"$work/ours" || fail "no probabilities of the run"
probabilities --checkpoint "$work/epoch_3.pt" --model phantom --vocab "$work/run/step_2/vocab.txt" >"$work/theirs" || fail "no probabilities of epoch_3.pt"
[ "$(wc -l <"$work/ours")" = 16 ] || fail "$(wc -l <"$work/ours") findings"
cmp "$work/ours" "$work/theirs" || fail "epoch_3.pt names other findings than the run"

# Wrong usage, and weights of something else
refuses() {  # refuses CODE TEXT PROGRAM ARGUMENT…
  local want=$1 text=$2
  shift 2
  expect "$want" "$@"
  says "$text"
}
refuses 2 "needs --vocab" "$bin/zero_shot_ct_rate" --checkpoint "$work/epoch_3.pt" --volume "$volume"
refuses 2 "--model means nothing with it" "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --model phantom --volume "$volume"
refuses 1 "does not hold all of the model" "$bin/zero_shot_ct_rate" --checkpoint "$work/formats/run2.pth" --model phantom --vocab "$work/run/step_2/vocab.txt" --volume "$volume"
refuses 1 "holds nothing that fits" "${train[@]}" --pretrained "$work/formats/run2.pth" --out "$work/none"
refuses 1 "no weights of a 2-D vision transformer" "${train[@]}" --pretrained-image "$work/formats/run2.pth" --out "$work/none"
refuses 2 "does not go with --lock-text" "${train[@]}" --lora-text --lock-text --out "$work/none"
refuses 1 "config.json: is not there" "${train[@]}" --text-model "$work/formats" --out "$work/none"
echo "pytorch_weights: every format, strict names, the same probabilities"
