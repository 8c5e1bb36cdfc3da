#!/usr/bin/env bash
# Fifty steps on phantoms: losses and zero-shot scores of the Cuda backend are those of Cpu, and a run that was stopped and resumed
# ends in the bits of one that was not.
. "$(dirname "$0")/support/script.sh"
train=("$bin/train_ct_rate" --phantom 64 --steps 50 --text-steps 10 --batch-size 8 --phantom-root "$work/phantom")
expect 0 "${train[@]}" --out "$work/cpu"
expect 0 "${train[@]}" --out "$work/cuda" --device cuda --save-frequency-steps 40
worst=$(awk -F, '
  FNR == 1 { file++; next }
  file == 1 { loss[$1, $2] = $3; next }
  { d = loss[$1, $2] - $3; if (d < 0) d = -d; if (d > worst) worst = d; rows++ }
  END { if (rows != 60) print "incomplete"; else printf "%.7f", worst }' "$work/cpu/metrics.csv" "$work/cuda/metrics.csv")
awk -v w="$worst" 'BEGIN { exit !(w + 0 == w && w <= 1e-4) }' || fail "losses differ by $worst, at most 1e-4 is expected"

cp -r "$work/cuda" "$work/resumed"
rm -rf "$work/resumed/step_50"
expect 0 "${train[@]}" --out "$work/resumed" --device cuda --resume latest
says "resuming from .*step_40"
for file in model optimizer; do cmp "$work/cuda/step_50/$file.safetensors" "$work/resumed/step_50/$file.safetensors" || fail "the resumed run ends in another $file"; done

expect 2 "${train[@]}" --out "$work/none" --device tpu
echo "training: largest difference of a loss $worst, resumed run bit-identical"
