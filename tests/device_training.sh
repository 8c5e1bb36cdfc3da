#!/usr/bin/env bash
# Fifty steps on phantoms (HLIP_DEVICE_STEPS), and at most ten in bf16: losses of the Cuda backend are those of Cpu, and a run that was stopped and
# resumed ends in the bits of one that was not. What the programs that only ask a model find with it is the same on either.
. "$(dirname "$0")/support/script.sh"
steps=${HLIP_DEVICE_STEPS:-50}
few=$((steps < 10 ? steps : 10)) batch=$((steps < 10 ? 3 : 8))  # a few steps: under sanitizers, where attention of a device takes seconds
train=("$bin/train_ct_rate" --phantom 64 --text-steps $few --report-examples 1 --batch-size $batch --phantom-root "$work/phantom")

# apart RUN OTHER: of their losses the largest difference, that of the first, and in percent that of the means after the text steps
apart() {
  awk -F, -v few=$few '
    FNR == 1 { file++; next }
    file == 1 { loss[$1, $2] = $3; wanted++; next }
    { d = loss[$1, $2] - $3; if (d < 0) d = -d; if (d > worst) worst = d; if (!rows++) first = d }
    $1 == "step" { one += loss[$1, $2]; other += $3 }
    END { if (rows != wanted || rows < 2 * few) print "incomplete"; else printf "%.7f %.7f %.3f", worst, first, 100 * (other < one ? one - other : other - one) / one }' "$work/$1/metrics.csv" "$work/$2/metrics.csv"
}
# within WHAT VALUE LEAST MOST
within() { awk -v v="$2" -v least="$3" -v most="$4" 'BEGIN { exit !(v + 0 == v && v >= least && v <= most) }' || fail "$1 differ by $2, $3 to $4 is expected"; }
# beside_cpu PRECISION STEPS FROM: sets worst, first, means; the run on the device ends in the same bits when it is resumed from step FROM
beside_cpu() {
  local options=(--steps "$2")
  expect 0 "${train[@]}" "${options[@]}" --out "$work/cpu_$1"
  options+=(--device cuda --precision "$1")
  expect 0 "${train[@]}" "${options[@]}" --out "$work/$1" --save-frequency-steps "$3"
  read -r worst first means <<<"$(apart "cpu_$1" "$1")"
  cp -r "$work/$1" "$work/resumed"
  rm -rf "$work/resumed/step_$2"
  expect 0 "${train[@]}" "${options[@]}" --out "$work/resumed" --resume latest
  says "resuming from .*step_$3"
  for file in model optimizer; do cmp "$work/$1/step_$2/$file.safetensors" "$work/resumed/step_$2/$file.safetensors" || fail "the run in $1 ends in another $file when it is resumed"; done
  rm -rf "$work/resumed"
}
# Runs in other roundings part within a few steps of such training (docs/design.md, D5): the first loss has to agree, and the mean. Found
# with eight seeds: the first within 0.0005, means within 1.5 %.
beside_cpu bf16 $few $((few / 2))
within "losses in bf16" "$worst" 1e-4 1
within "the first losses in bf16" "$first" 0 1e-2
within "means of the losses in bf16, in percent," "$means" 0 3
rounded="$means %"
beside_cpu fp32 "$steps" $((steps * 4 / 5))
within "losses" "$worst" 0 1e-4
mv "$work/cpu_fp32" "$work/cpu"
mv "$work/fp32" "$work/cuda"

expect 2 "${train[@]}" --out "$work/none" --device tpu

# numbers FILE FILE: how far the numbers in two files are apart, which have the same words between them
numbers() {
  python3 - "$@" <<'PY' || fail "$1 and $2 differ"
import re, sys
number = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e-?\d+)?")
one, two = (open(path).read() for path in sys.argv[1:])
if number.sub("#", one) != number.sub("#", two) or not number.search(one):
    sys.exit("not the same words, or no number")
print(f"{max(abs(float(a) - float(b)) for a, b in zip(number.findall(one), number.findall(two))):.7f}")
PY
}
# close FILE FILE: no number differs by more than a golden fixture may
close() {
  local apart
  apart=$(numbers "$@")
  awk -v d="$apart" 'BEGIN { exit !(d <= 1e-4) }' || fail "numbers of $1 and $2 are $apart apart, at most 1e-4 is expected"
  farthest=$(printf '%s\n%s\n' "$farthest" "$apart" | sort -g | tail -n 1)
}
farthest=0
tree=$work/phantom/dataset
volume=$(find "$tree/valid" -name '*.nii.gz' | sort | head -n 1)
weights=("$work/cuda/step_$steps/model.safetensors" --model phantom --vocab "$work/cuda/step_$steps/vocab.txt")
for device in cpu cuda; do
  expect 0 "$bin/evaluate" ct-rate --checkpoint "$work/cuda" --data-root "$tree" --already-hu --resamples 20 --device $device --out "$work/scores_$device"
  expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/cuda" --volume "$volume" --device $device --interpret "$work/looked_at_$device"
  grep -E ' [01]\.[0-9]{4}$' "$work/log" >"$work/findings_$device"
  expect 0 "$bin/zero_shot_ct_rate" --checkpoint "${weights[@]}" --volume "$volume" --device $device
  grep -E ' [01]\.[0-9]{4}$' "$work/log" >"$work/findings_of_weights_$device"
done
close "$work/scores_cpu/scores.csv" "$work/scores_cuda/scores.csv"
close "$work/findings_cpu" "$work/findings_cuda"
close "$work/findings_cuda" "$work/findings_of_weights_cuda"
for map in "$work"/looked_at_cpu/relevance_*.nii.gz; do [ -s "$work/looked_at_cuda/$(basename "$map")" ] || fail "no $(basename "$map") of the device"; done
expect 2 "$bin/evaluate" ct-rate --scores "$work/scores_cpu/scores.csv" --data-root "$tree" --out "$work/again" --device cuda
echo "training: largest difference of a loss $worst, of their mean in bf16 $rounded, resumed runs bit-identical; of a score or probability $farthest"
