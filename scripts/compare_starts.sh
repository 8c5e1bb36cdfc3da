#!/usr/bin/env bash
# What self-distillation of volumes is worth before contrastive training (docs/rad_dino.md). For every seed an encoder learns from
# synthetic chest CT without reports; then train_ct_rate learns for equal steps from noise and from that encoder. Prints
# the zero-shot macro AUC of both.
#
#   scripts/compare_starts.sh                  seeds 0, 1 and 2
#   scripts/compare_starts.sh 3 4              other seeds
#   STUDIES=1200 PRETRAINING=200 TEXT_STEPS=120 STEPS=200 scripts/compare_starts.sh      smaller than the defaults below
# A finished run is not made again. BIN says where the programs are, OUT where the runs go.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${BIN:-build/release/bin} out=${OUT:-runs/starts}
studies=${STUDIES:-2000} pretraining=${PRETRAINING:-500} text=${TEXT_STEPS:-250} steps=${STEPS:-500}
mkdir -p "$out"
[ $# -gt 0 ] || set -- 0 1 2

# The phantoms are drawn by the first run that needs them.
train() { # LOG ARGUMENT…: unless the log says that it is done
  grep -qs "^macro AUC" "$out/$1.log" ||
    "$bin/train_ct_rate" --phantom "$studies" --phantom-valid 400 --phantom-root "$out/phantom" --text-steps "$text" --steps "$steps" \
      --out "$out/$1" "${@:2}" >"$out/$1.log"
}
auc() { sed -n 's/^macro AUC \([0-9.]*\) .*/\1/p' "$out/$1.log"; }

for seed in "$@"; do
  train "noise_$seed" --seed "$seed"
  encoder=$out/volumes_$seed/encoder/model.safetensors
  [ -e "$encoder" ] ||
    "$bin/train_rad_dino" --volumes "$out/phantom/dataset" --model phantom --steps "$pretraining" --seed "$seed" \
      --out "$out/volumes_$seed" >"$out/volumes_$seed.log"
  train "pretrained_$seed" --seed "$seed" --pretrained "$encoder"
  echo "seed $seed: macro AUC $(auc "noise_$seed") from noise, $(auc "pretrained_$seed") from self-distillation"
done
