#!/usr/bin/env bash
# The program to start from: it learns its shapes, goes on after a stop to the same bits, and means every option it takes.
. "$(dirname "$0")/../support/script.sh"

common=(--epochs 12 --save-frequency 2 --keep-checkpoints 0)
expect 0 "$bin/train_classifier" "${common[@]}" --out "$work/straight"
right=$(sed -n 's/^\([0-9]*\) of 300 volumes it was not trained on are named right$/\1/p' "$work/log")
[ "${right:-0}" -ge 240 ] || fail "${right:-no number} of 300 named right, expected 240 (a third by chance)"

mkdir "$work/resumed"
cp -r "$work/straight/config.toml" "$work/straight/metrics.csv" "$work/straight"/step_74 "$work/resumed"
expect 0 "$bin/train_classifier" --out "$work/resumed" --resume latest
says "resuming from .*step_74"
cmp "$work/straight/step_444/model.safetensors" "$work/resumed/step_444/model.safetensors"
cmp <(cut -d, -f1-5 "$work/straight/metrics.csv") <(cut -d, -f1-5 "$work/resumed/metrics.csv")
head -n 1 "$work/straight/metrics.csv" | grep -qx 'stage,step,loss,lr,grad_norm,samples_per_second,data_wait,skipped' || fail "the log has columns that no objective names"

# Batches that share a step are one large batch; averages are kept; a longer run goes on; a run without a step is refused.
expect 0 "$bin/train_classifier" --steps 6 --model-ema-decay 0.9 --out "$work/whole"
[ -f "$work/whole/step_6/model_ema.safetensors" ] || fail "no averages were kept"
expect 0 "$bin/train_classifier" --steps 6 --batch-size 8 --accum-freq 4 --out "$work/parts"
paste -d, <(cut -d, -f3 "$work/whole/metrics.csv") <(cut -d, -f3 "$work/parts/metrics.csv") |
  awk -F, 'NR > 1 { d = $1 - $2; if (d * d > 1e-8) exit 1 }' || fail "four batches of 8 have another loss than one of 32"
expect 1 "$bin/train_classifier" --batch-size 2000 --out "$work/none"
expect 0 "$bin/train_classifier" --epochs 13 --out "$work/resumed" --resume latest
says "step 481/481"
expect 0 "$bin/train_classifier" --dry-run --out "$work/dry"
says "dry run done: .* for 555 steps"
[ ! -e "$work/dry" ] || fail "a dry run has left something"
