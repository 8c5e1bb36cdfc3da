#!/usr/bin/env bash
# A program built for a GPU on a machine that shows it none says so in one line and exits 1; --device cpu works in the same program.
# Usage: device_missing.sh FOLDER_OF_PROGRAMS
set -euo pipefail
bin=$1
source=$(cd "$(dirname "$0")/.." && pwd)
file=$source/tests/golden/hlip/adamw.safetensors
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CUDA_VISIBLE_DEVICES=""

refuses() {  # refuses COMMAND…
  local said rc=0
  said=$("$@" 2>&1) || rc=$?
  if [ $rc -ne 1 ] || [ "$(wc -l <<<"$said")" -ne 1 ] || [[ "$said" != *"no GPU that CUDA can use"* ]]; then
    printf 'device_missing.sh: %s: exit code %d and\n%s\nexpected 1 and one line\n' "$1" $rc "$said" >&2
    exit 1
  fi
}
refuses "$bin/hlip_golden" --device cuda "$file" "$file"
refuses "$bin/train_ct_rate" --device cuda --phantom 8 --steps 1 --out "$work/run"
"$bin/hlip_golden" --device cpu "$file"
