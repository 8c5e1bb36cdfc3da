#!/usr/bin/env bash
# hlip_golden on every fixture of the tree, on the backends in HLIP_GOLDEN_BACKENDS, and on those that may not be copied into it where they are present.
# Usage: golden.sh FOLDER_OF_PROGRAMS
set -euo pipefail
bin=$1
source=${HLIP_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
shared=${HLIP_SHARED:-$source/../shared}

files=("$source"/tests/golden/{hlip,rad_dino,t3d}/*.safetensors "$source"/tests/golden/interop/{wordpiece,expected}.safetensors
       "$source/tests/golden/llama_hf/expected.safetensors")
for f in "$shared"/golden/interop/wordpiece*.safetensors; do
  [ -e "$f" ] && files+=("$f")
done
images=$shared/data/cxr/images
if [ -d "$images" ]; then
  files+=("$source/tests/golden/rad_dino_hf/expected.safetensors")
else
  echo "golden.sh: SKIPPED rad_dino_hf/expected.safetensors, whose pictures are not in $images"
fi

for backend in ${HLIP_GOLDEN_BACKENDS:-cpu reference}; do
  echo "backend $backend"
  rc=0
  out=$("$bin/hlip_golden" --backend "$backend" --images "$images" "${files[@]}") || rc=$?
  echo "$out"
  last=$(tail -n 1 <<<"$out")
  if [ $rc -ne 0 ] || [ "$last" != "${#files[@]} passed, 0 failed" ]; then
    echo "golden.sh: exit code $rc and the last line '$last', expected 0 and '${#files[@]} passed, 0 failed'" >&2
    exit 1
  fi
done
