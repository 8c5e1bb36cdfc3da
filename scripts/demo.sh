#!/usr/bin/env bash
# From a fresh clone to a table of zero-shot results: installs what is missing, builds the programs, trains on generated
# scans and prints how well findings are named in volumes that were never seen.
#
#   scripts/demo.sh                     chest CT; about a quarter of an hour on two cores
#   scripts/demo.sh brain               brain MRI, four sequences a study, and beside it the same model whose attention
#                                       ends at the scan and at the slice; as long
#   scripts/demo.sh --shuffle-reports   the control: reports of other studies, so nothing can be learned (also with brain)
#   scripts/demo.sh --short             a minute, only to see that everything works (also with brain)
# Other options are handed to train_ct_rate or train_brain_mri.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=ct
if [ "${1:-}" = brain ]; then kind=brain && shift; fi
out=runs/demo
if [ $kind = brain ]; then out=runs/demo_brain; fi
short=""
extra=()
for option in "$@"; do
  case $option in
    --short) short=yes out=${out}_short ;;
    --shuffle-reports) extra+=("$option") out=${out}_shuffled ;;
    *) extra+=("$option") ;;
  esac
done

# ---- what is trained ----------------------------------------------------------------------------------------------
# The recipes are in the programs (--print-config shows them); the generated studies are shared by a demo and its control.
if [ $kind = ct ]; then
  programs=(train_ct_rate zero_shot_ct_rate)
  arguments=(--phantom 6000 --phantom-root runs/phantoms)
  if [ -n "$short" ]; then arguments=(--phantom 200 --steps 20 --phantom-root runs/phantoms_short); fi
else
  programs=(train_brain_mri)
  arguments=(--phantom 3000 --phantom-root runs/brain_phantoms)
  if [ -n "$short" ]; then arguments=(--phantom 200 --steps 20 --phantom-root runs/brain_phantoms_short); fi
fi
# --------------------------------------------------------------------------------------------------------------------

scripts/setup.sh
scripts/configure.sh release
echo "demo: building"
if ! cmake --build build/release --parallel "${HLIP_JOBS:-$(nproc 2>/dev/null || echo 2)}" --target "${programs[@]}" >build/release/build.log 2>&1; then
  tail -n 40 build/release/build.log >&2
  exit 1
fi

rm -rf "$out"  # a demo starts afresh; your own runs belong elsewhere
if [ $kind = ct ]; then exec build/release/bin/train_ct_rate "${arguments[@]}" --out "$out" "${extra[@]}"; fi

# The three models have the same weights to begin with, the same text tower, data, order and number of steps.
mkdir -p "$out"
train() { build/release/bin/train_brain_mri "${arguments[@]}" "$@" "${extra[@]}"; }
echo "demo: slice, scan and study attention"
train --out "$out/study" | tee "$out/study.log"
text=$(find "$out/study" -maxdepth 1 -name 'text_step_*' | sort -V | tail -n 1)
for level in scan slice; do
  echo "demo: the same model, no attention beyond the $level"
  train --out "$out/$level" --highest-level $level --text-steps 0 --lock-text --pretrained "$text"
done

echo
echo "AUC on synthetic studies, by the highest level at which blocks attend (macro: 95 % CI)"
awk -F, '
  FNR == 1 { model++; for (i = 1; i <= NF; i++) column[$i] = i; next }
  { if (model == 1) name[++rows] = $1
    auc[model, FNR] = sprintf($1 == "mean" ? "%.3f (%.3f-%.3f)" : "%.3f", $column["auc"], $column["auc_low"], $column["auc_high"]) }
  END {
    printf "%-22s %-20s %-20s %-20s\n", "finding", "study", "scan", "slice"
    for (r = 1; r <= rows; r++) printf "%-22s %-20s %-20s %-20s\n", name[r] == "mean" ? "macro" : name[r], auc[1, r + 1], auc[2, r + 1], auc[3, r + 1]
  }' "$out"/{study,scan,slice}/zero_shot.csv | tee "$out/levels.txt"
tail -n 1 "$out/study.log"
