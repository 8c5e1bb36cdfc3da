#!/usr/bin/env bash
# From a fresh clone to a table of zero-shot results: installs what is missing, builds the two programs, trains on
# generated chest CTs and prints how well findings are named in volumes that were never seen.
#
#   scripts/demo.sh                     about a quarter of an hour on two cores
#   scripts/demo.sh --shuffle-reports   the control: reports of other studies, so nothing can be learned
#   scripts/demo.sh --short             a minute, only to see that everything works
# Other options are handed to train_ct_rate.
set -euo pipefail
cd "$(dirname "$0")/.."

out=runs/demo
short=""
extra=()
for option in "$@"; do
  case $option in
    --short) short=yes out=runs/demo_short ;;
    --shuffle-reports) extra+=("$option") out=runs/demo_shuffled ;;
    *) extra+=("$option") ;;
  esac
done

# ---- what is trained ----------------------------------------------------------------------------------------------
# The recipe is in train_ct_rate (--print-config shows it); the generated studies are shared by the demo and its control.
arguments=(--phantom 6000 --phantom-root runs/phantoms)
if [ -n "$short" ]; then arguments=(--phantom 200 --steps 20 --phantom-root runs/phantoms_short); fi
# --------------------------------------------------------------------------------------------------------------------

scripts/setup.sh
scripts/configure.sh release
echo "demo: building"
if ! cmake --build build/release --parallel "${HLIP_JOBS:-$(nproc 2>/dev/null || echo 2)}" --target train_ct_rate zero_shot_ct_rate >build/release/build.log 2>&1; then
  tail -n 40 build/release/build.log >&2
  exit 1
fi

rm -rf "$out"  # a demo starts afresh; your own runs belong elsewhere
exec build/release/bin/train_ct_rate "${arguments[@]}" --out "$out" "${extra[@]}"
