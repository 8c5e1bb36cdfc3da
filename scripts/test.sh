#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test. The last line is `N passed, N failed`.
#
#   scripts/test.sh [--preset release|dev|asan|tsan|thrust-omp|thrust-asan|cuda|cuda-check] [ctest options, e.g. -R autograd]
#
# HLIP_JOBS=N builds and tests N things at a time (default: one for each processor).
set -uo pipefail
cd "$(dirname "$0")/.."
preset=release
if [ "${1:-}" = --preset ]; then
  preset=${2:?"--preset wants a name"}
  shift 2
fi
build=build/$preset
jobs=${HLIP_JOBS:-$(nproc 2>/dev/null || echo 2)}
started=$SECONDS

finish() {  # finish PASSED FAILED
  echo "test.sh: preset $preset, $((SECONDS - started)) s"
  echo "$1 passed, $2 failed"
  [ "$2" -eq 0 ]
  exit
}

scripts/setup.sh "$preset" || finish 0 1
scripts/configure.sh "$preset" || finish 0 1

targets=(all)
[ "$preset" = thrust-asan ] && targets+=(hlip_device_verify_interface_header_sets)
keep_going=-k
[ -e "$build/build.ninja" ] && keep_going=-k0  # the rest of the tests still say something
echo "test.sh: building $build"
build_failed=0
cmake --build "$build" --parallel "$jobs" --target "${targets[@]}" -- "$keep_going" >"$build/build.log" 2>&1 || build_failed=1
built=$((SECONDS - started))
if [ $build_failed -ne 0 ]; then
  grep -E '(error|Error|FAILED)[: ]' "$build/build.log" | head -n 40
  echo "test.sh: the build failed, see $build/build.log"
fi
echo "test.sh: built in $built s, now testing"

logs=$build/Testing/Temporary
rm -f "$logs"/LastTest*.log
ctest --preset "$preset" --parallel "$jobs" "$@"
read -r passed failed < <(scripts/count_tests "$logs")
finish "$passed" $((failed + build_failed))
