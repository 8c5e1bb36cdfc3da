#!/usr/bin/env bash
# Fuzzes the readers of foreign bytes with libFuzzer, under the address and undefined-behaviour sanitizers.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]      SECONDS for each target (default 600), targets: the files of tests/fuzz
#
# HLIP_FUZZ_SEED=N makes the inputs those of every other run with N, as far as it gets: so in CI, where the outcome must depend on the
# change alone. Starts from tests/fuzz/corpus/TARGET; what is found on the way stays in build/fuzz/corpus. A finding is left in build/fuzz/findings, and
# `build/fuzz/tests/fuzz/fuzz_TARGET FILE` repeats it. The last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
[ $# -gt 0 ] && shift
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz.sh: $seconds is no number of seconds" >&2; exit 2; }
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then for f in tests/fuzz/*.cpp; do targets+=("$(basename "$f" .cpp)"); done; fi
for t in "${targets[@]}"; do [ -e "tests/fuzz/$t.cpp" ] || { echo "fuzz.sh: there is no target $t" >&2; exit 2; }; done
jobs=${HLIP_JOBS:-$(nproc 2>/dev/null || echo 2)}

{ scripts/setup.sh fuzz && scripts/configure.sh fuzz; } || { echo "0 passed, 1 failed"; exit 1; }
build=build/fuzz
known=$(cmake --build "$build" --target help)
for i in "${!targets[@]}"; do  # dicom needs DCMTK
  grep "fuzz_${targets[i]}\b" <<<"$known" >/dev/null && continue
  echo "fuzz.sh: ${targets[i]}: SKIPPED, its libraries are not there"
  unset "targets[i]"
done
[ ${#targets[@]} -gt 0 ] || { echo "0 passed, 0 failed"; exit 0; }
if ! cmake --build "$build" --parallel "$jobs" --target "${targets[@]/#/fuzz_}" >"$build/build.log" 2>&1; then
  tail -n 30 "$build/build.log"
  echo "fuzz.sh: the build failed, see $build/build.log"
  echo "0 passed, 1 failed"
  exit 1
fi

fuzz() {  # fuzz TARGET: 0 without a finding
  local t=$1 log=build/fuzz/$1.log code=0
  mkdir -p "build/fuzz/corpus/$t" "build/fuzz/findings"
  local seeds=(tests/fuzz/corpus/"$t")
  [ "$t" = torch ] && seeds+=(tests/golden/interop)
  # (Leaks are looked for at the end only: looking after every input takes longer than the reading.)
  OMP_NUM_THREADS=1 "build/fuzz/tests/fuzz/fuzz_$t" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -detect_leaks=0 -print_final_stats=1 -seed="${HLIP_FUZZ_SEED:-0}" \
    -artifact_prefix="build/fuzz/findings/$t-" "build/fuzz/corpus/$t" "${seeds[@]}" >"$log" 2>&1 || code=$?
  local runs
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  if [ $code -eq 0 ] && [ "${runs:-0}" -gt 0 ]; then
    echo "fuzz.sh: $t: $runs executions, no finding"
  else
    tail -n 40 "$log"
    echo "fuzz.sh: $t: exit code $code after ${runs:-?} executions, see $log and build/fuzz/findings"
    return 1
  fi
}
export -f fuzz
export seconds

failed=0
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'fuzz "$1" || echo "$1" >&3' _ 3>"$build/failed"
failed=$(wc -l <"$build/failed")
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
