# What the test scripts share. A script sources it with its own arguments: the folder of the programs is the first.
set -euo pipefail
bin=$1
source=${HLIP_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
shared=${HLIP_SHARED:-$source/../shared}
script=$(basename "$0" .sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$script: $*" >&2; [ -f "$work/log" ] && cat "$work/log" >&2; exit 1; }
skip() { echo "$script: SKIPPED, $*"; exit 77; }
expect() {  # expect CODE COMMAND…: runs it with its output in $work/log
  local want=$1 got=0
  shift
  "$@" >"$work/log" 2>&1 || got=$?
  [ "$got" = "$want" ] || fail "exit code $got instead of $want: $*"
}
says() { grep -q -- "$1" "$work/log" || fail "does not say: $1"; }
