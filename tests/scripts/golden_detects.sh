#!/usr/bin/env bash
# hlip_golden can fail: one altered value, a missing tensor, an unknown kind or a damaged file is noticed, named, and never a crash.
# Usage: golden_detects.sh FOLDER_OF_PROGRAMS
set -euo pipefail
export LC_ALL=C
bin=$1
source=${HLIP_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$source/tests/golden/interop/vocab.txt" "$source/tests/golden/rad_dino/vit_offset.safetensors" "$tmp"
checks=0

# Runs hlip_golden on $1 and demands one FAIL line with the text $2, the count of failures and exit code 1.
must_fail() {
  local rc=0 out
  out=$("$bin/hlip_golden" "$1" 2>&1) || rc=$?
  checks=$((checks + 1))
  if [ $rc -ne 1 ] || [[ "$out" != FAIL\ * ]] || [[ "$out" != *"$2"* ]] || [ "$(tail -n 1 <<<"$out")" != "0 passed, 1 failed" ]; then
    printf 'golden_detects.sh: %s (exit code %d), expected a FAIL line with "%s", got\n%s\n' "$3" $rc "$2" "$out" >&2
    exit 1
  fi
}

# The header of a safetensors file: 8 bytes of length, then JSON.
header_length() { od -An -tu8 -N8 "$1" | tr -d ' '; }
header() { head -c $((8 + $(header_length "$1"))) "$1" | tail -c +9; }

# Overwrites the first value of tensor $2 of file $1 with 1000.5 (integers: 1000; bytes: another byte).
alter() {
  local entry begin at value
  entry=$(header "$1" | grep -ao "\"${2//./\\.}\":{[^}]*}")
  begin=$(sed 's/.*"data_offsets":\[\([0-9]*\),.*/\1/' <<<"${entry// /}")
  at=$((8 + $(header_length "$1") + begin))
  case $entry in
    *F32*) value='\x00\x20\x7a\x44' ;;
    *F64*) value='\x00\x00\x00\x00\x00\x44\x8f\x40' ;;
    *I64*) value='\xe8\x03\x00\x00\x00\x00\x00\x00' ;;
    *I32*) value='\xe8\x03\x00\x00' ;;
    *U8*) value=$(printf '\\x%02x' $((($(od -An -tu1 -j $at -N 1 "$1") + 100) % 256))) ;;
    *) echo "golden_detects.sh: $2 has an unexpected type: $entry" >&2; exit 1 ;;
  esac
  printf "$value" | dd of="$1" bs=1 seek=$at conv=notrunc status=none
}

for file in "$source"/tests/golden/{hlip,rad_dino,t3d}/*.safetensors "$source"/tests/golden/interop/wordpiece.safetensors; do
  base=$(basename "$file")
  copy=$tmp/$base
  # The first, the middle and the last of the tensors that are results; where a check takes seconds, one has to do.
  mapfile -t names < <(header "$file" | grep -ao '"\(output\|grad\)\.[^"]*":{' | tr -d '":{' | sort)
  picked=("${names[0]}" "${names[${#names[@]} / 2]}" "${names[-1]}")
  [[ $base =~ ^(volume_preparation|logistic_regression)\. ]] && picked=("${names[0]}")
  for name in "${picked[@]}"; do
    cp "$file" "$copy"
    chmod u+w "$copy"
    alter "$copy" "$name"
    must_fail "$copy" "$name " "an altered value of $name in $base"
  done
done

for file in plain nested ordered legacy; do  # a checkpoint that is not what the fixture says
  cp "$source"/tests/golden/interop/{expected.safetensors,{plain,nested,ordered,legacy}.pt} "$tmp"
  chmod u+w "$tmp"/*
  alter "$tmp/expected.safetensors" a.weight
  must_fail "$tmp/expected.safetensors" "$file.pt a.weight error 1" "an altered a.weight beside $file.pt"
done
rm "$tmp/ordered.pt"
must_fail "$tmp/expected.safetensors" "ordered.pt: cannot open" "a fixture without its ordered.pt"

small=$source/tests/golden/hlip/adamw.safetensors
sed 's/"output\.b0"/"outpuX.b0"/' "$small" >"$tmp/missing.safetensors"
must_fail "$tmp/missing.safetensors" output.b0 "a file without output.b0"
sed 's/"param\.b"/"output"/' "$small" >"$tmp/length.safetensors"
must_fail "$tmp/length.safetensors" "" "a header shorter than it says"
sed 's/"output\.b0"/"output.c0"/' "$small" >"$tmp/unknown.safetensors"
must_fail "$tmp/unknown.safetensors" output. "an output nobody computes"
sed 's/"adamw"/"adamx"/' "$small" >"$tmp/kind.safetensors"
must_fail "$tmp/kind.safetensors" 'kind: "adamx" is not known' "an unknown kind"
head -c 2000 "$small" >"$tmp/cut.safetensors"
must_fail "$tmp/cut.safetensors" "cut.safetensors" "a cut file"
: >"$tmp/empty.safetensors"
must_fail "$tmp/empty.safetensors" "0 bytes" "an empty file"
must_fail "$tmp/none.safetensors" "none.safetensors" "a file that does not exist"

for wrong in "" "--backend gpu $small" "--no-such-option $small"; do
  rc=0
  # shellcheck disable=SC2086 # options are words
  "$bin/hlip_golden" $wrong >/dev/null 2>&1 || rc=$?
  [ $rc -eq 2 ] || { echo "golden_detects.sh: 'hlip_golden $wrong' gave exit code $rc, expected 2" >&2; exit 1; }
done
echo "$checks altered files noticed"
