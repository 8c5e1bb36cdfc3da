#!/usr/bin/env bash
# The fixtures of the reference implementation, computed by the Cuda backend.
. "$(dirname "$0")/../support/script.sh"
mapfile -t files < <(find "$source/tests/golden" -name '*.safetensors' | sort)
[ ${#files[@]} -gt 0 ] || fail "no fixtures below $source/tests/golden"
expect 0 "$bin/hlip_golden" --device cuda "${files[@]}"
says "^${#files[@]} passed, 0 failed$"
tail -n 1 "$work/log"
