#!/usr/bin/env bash
# One command for who has a GPU: builds for the card, checks the Cuda backend on it, compares with PyTorch, and writes one table.
#
#   benchmarks/gpu.sh [all]     the three stages; hours, most of them the comparison
#   benchmarks/gpu.sh build     the preset cuda for this card, the programs the other stages need
#   benchmarks/gpu.sh test      conformance table, golden fixtures, a short training, and compute-sanitizer where it is installed
#   benchmarks/gpu.sh bench     hlip's kernels one by one (kernels.jsonl), compare_pytorch.py --device cuda
#   benchmarks/gpu.sh pack      builds for another machine (CUDA_ARCH=90), and gathers programs and libraries in build/gpu_pack: there,
#                               `benchmarks/gpu.sh --programs build/gpu_pack --quick test bench` needs neither a compiler nor a network
#
#   --quick          the most telling part of test and bench, in about eight minutes
#   --host           a rehearsal without a GPU: the preset thrust-omp, PyTorch on the processor, a tiny model. The table says so
#   --programs DIR   where the programs are (default build/cuda)
#   --out DIR        where result.md, kernels.jsonl and a log of every check go (default build/gpu)
#
# PYTHON names a Python with torch, numpy and safetensors; where it has none, they are installed into build/gpu/venv. Exit code: 0 all
# is well, 1 something failed or could not be measured, 2 wrong usage. docs/performance.md says how to read the table.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' benchmarks/gpu.sh; }
wrong() {
  echo "gpu.sh: $* (--help lists the stages)" >&2
  exit 2
}
stages=()
quick=0 host=0 preset=cuda programs="" out=build/gpu
while [ $# -gt 0 ]; do
  case $1 in
    build | test | bench | pack) stages+=("$1") ;;
    all) stages+=(build test bench) ;;
    --quick) quick=1 ;;
    --host) host=1 preset=thrust-omp ;;
    --programs | --out)
      [ $# -gt 1 ] || wrong "$1 wants a folder"
      if [ "$1" = --out ]; then out=$2; else programs=$2; fi
      shift
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    *) wrong "$1 is neither a stage nor an option" ;;
  esac
  shift
done
[ ${#stages[@]} -gt 0 ] || stages=(build test bench)
[ $host = 0 ] || [[ " ${stages[*]} " != *" pack "* ]] || wrong "pack means nothing with --host"
programs=${programs:-build/$preset}
mkdir -p "$out" build/gpu || exit 1
out=$(cd "$out" && pwd)
failed=0
fault() {
  echo "gpu.sh: $*" >&2
  failed=1
}

# ---- build ----

targets=(hlip_test_device hlip_golden train_ct_rate zero_shot_ct_rate evaluate hlip_bench)

# build [cmake option…]
build() {
  scripts/setup.sh "$preset" || return 1
  local options=(-DHLIP_BUILD_BENCHMARKS=ON "$@")
  if [ $host = 0 ]; then
    local arch=${CUDA_ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader --id=0 2>/dev/null | tr -d '. ')}
    [[ $arch =~ ^[0-9]+[a-z]?$ ]] || { echo "gpu.sh: nvidia-smi names no GPU here: say what to build for with CUDA_ARCH=90" >&2 && return 1; }
    options+=("-DCMAKE_CUDA_ARCHITECTURES=$arch-real")
  fi
  scripts/configure.sh "$preset" "${options[@]}" || return 1
  cmake --build "build/$preset" --parallel "${HLIP_JOBS:-$(nproc)}" --target "${targets[@]}" >"$out/build.log" 2>&1 || { tail -n 20 "$out/build.log" >&2 && return 1; }
}

# What pack leaves to the other machine: what every Linux has, and the CUDA toolkit.
left_there='/(linux-vdso|ld-linux|libc|libm|libpthread|libdl|librt|libstdc\+\+|libgcc_s|libcuda|libcublas|libcublasLt|libcudart)[.-]'
pack() {
  build -DHLIP_NATIVE=OFF || return 1
  local to=build/gpu_pack program library
  rm -rf "$to"
  mkdir -p "$to/bin" "$to/tests" "$to/lib"
  for program in "${targets[@]}"; do
    if [ "$program" = hlip_test_device ]; then cp "build/$preset/tests/$program" "$to/tests/"; else cp "build/$preset/bin/$program" "$to/bin/"; fi
  done
  strip "$to"/bin/* "$to"/tests/*
  ldd "$to"/bin/* "$to"/tests/* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u | grep -vE "$left_there" | while read -r library; do cp -L "$library" "$to/lib/"; done
  echo "gpu.sh: $to, $(du -sm "$to" | cut -f1) MiB"
}

# ---- test ----

# check NAME COMMAND…: one line of the result, its output in a log
check() {
  local name=$1 log="$out/${1// /_}.log" started=$SECONDS verdict=passed said
  shift
  echo "gpu.sh: $name"
  "$@" >"$log" 2>&1 || verdict="FAILED, see $(basename "$log")"
  said=$(grep -E 'test cases:|passed, [0-9]+ failed|^training:|^[0-9]+ of [0-9]+ test cases' "$log" | tail -n 1 | sed 's/^\[doctest\] *//; s/  */ /g; s/|/,/g')
  echo "- $name: $verdict, $((SECONDS - started)) s${said:+: $said}" | tee -a "$out/tests.md"
  [ "$verdict" = passed ] || fault "$name failed"
}

# sanitize TOOL SECONDS: every test case of the conformance table by itself, as many as there is time for
# shellcheck disable=SC2317  # called by check
sanitize() {
  local tool=$1 end=$((SECONDS + $2)) name clean=0 bad=0 all=0 rc said
  while IFS= read -r name; do
    all=$((all + 1))
    [ "$SECONDS" -lt "$end" ] || continue
    rc=0
    said=$(timeout $((end - SECONDS)) compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 99 "$tests" -tc="${name//,/?}" 2>&1 </dev/null) || rc=$?
    echo "$said"
    [ "$rc" != 0 ] || [[ $said =~ [1-9][0-9]*\ passed ]] || rc="0, and no test was run"
    case $rc in
      0) clean=$((clean + 1)) ;;
      124) echo "not finished in time: $name" ;;
      *) bad=$((bad + 1)) && echo "exit code $rc: $name" ;;
    esac
  done < <("$tests" --list-test-cases | grep -v -e '^\[doctest\]' -e '^=*$' -e '^allocate:')
  echo "$clean of $all test cases without an error, $bad with, for $((all - clean - bad)) the time ($2 s) was too short"
  [ "$bad" = 0 ] && [ "$clean" -gt 0 ]
}

test_stage() {
  local tests=$programs/tests/hlip_test_device seconds=900
  [ $quick = 0 ] || seconds=40
  echo "- checked $(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)" >"$out/tests.md"
  check "conformance table" "$tests"
  check "golden fixtures" env HLIP_GOLDEN_BACKENDS=cuda bash tests/scripts/golden.sh "$programs/bin"
  check "training and zero-shot" bash tests/device_training.sh "$programs/bin"
  if [ $host = 1 ]; then
    echo "- compute-sanitizer: not on a host" | tee -a "$out/tests.md"
  elif ! command -v compute-sanitizer >/dev/null; then
    echo "- compute-sanitizer: not installed here, so not run" | tee -a "$out/tests.md"
  else
    check memcheck sanitize memcheck $seconds
    check racecheck sanitize racecheck $seconds
  fi
}

# ---- bench ----

python=${PYTHON:-python3}
find_python() {
  local needs="import torch, numpy, safetensors"
  [ $host = 1 ] || needs+="; assert torch.cuda.is_available()"
  if "$python" -c "$needs" 2>/dev/null; then return 0; fi
  [ -z "${PYTHON:-}" ] || { echo "gpu.sh: $PYTHON has no torch, numpy and safetensors, or its torch sees no GPU" >&2 && return 1; }
  python=build/gpu/venv/bin/python
  if "$python" -c "$needs" 2>/dev/null; then return 0; fi
  echo "gpu.sh: installing PyTorch into build/gpu/venv"
  python3 -m venv build/gpu/venv && "$python" -m pip install -q torch numpy safetensors && "$python" -c "$needs" && return 0
  echo "gpu.sh: no PyTorch that works: name a Python that has it with PYTHON=…" >&2
  return 1
}

# hlip's kernels one by one: a line for each, with its share of the bandwidth or its FLOP/s. Where to look first when a model is slow.
kernels() {
  local precision precisions=(fp32 tf32 bf16) sizes=()
  [ $host = 0 ] || precisions=(fp32) sizes=(--model phantom)
  "$bench" elementwise --device cuda || return 1
  for precision in "${precisions[@]}"; do
    "$bench" gemm --device cuda --precision "$precision" "${sizes[@]}" && "$bench" attention --device cuda --precision "$precision" "${sizes[@]}" || return 1
  done
}

bench_stage() {
  local options=(--device cuda)
  if [ $host = 1 ]; then
    options=(--device host --no-compile --rounds 2 --steps 2)
    [ $quick = 0 ] || options+=(--batches 1 --seconds 120)
  elif [ $quick = 1 ]; then
    options+=(--only "train,infer" --models vit_base_singlescan_h2_token2744 --precisions "bf16,tf32" --batches "1,8" --rounds 2 --steps 5 --no-compile --seconds 240)
  fi
  rm -f "$out/bench.md"
  kernels >"$out/kernels.jsonl" || fault "kernels: not all of them came about"
  find_python || return 1
  echo "gpu.sh: compare_pytorch.py ${options[*]}"
  "$python" benchmarks/compare_pytorch.py "${options[@]}" --hlip-bench "$bench" --json "$out/bench.json" --markdown "$out/bench.md" >"$out/bench.log" 2>&1 || { grep '^compare_pytorch.py:' "$out/bench.log" >&2 && return 1; }
}

# ---- all together ----

result() {
  local title
  title="hlip on $(nvidia-smi --query-gpu=name --format=csv,noheader --id=0 2>/dev/null)"
  [ $host = 0 ] || title="Rehearsal on a processor: NOT A GPU, no figure below says anything about one"
  echo "# $title"
  echo
  [ ! -s "$out/tests.md" ] || { cat "$out/tests.md" && echo; }
  [ ! -s "$out/bench.md" ] || cat "$out/bench.md"
}

# A packed folder brings its libraries; cuBLASLt is the toolkit's. They are for hlip's programs alone: PyTorch has its own.
bench=$programs/bin/hlip_bench libraries=""
if [ -d "$programs/lib" ]; then
  libraries="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$(cd "$programs/lib" && pwd):/usr/local/cuda/lib64"
  if LD_LIBRARY_PATH=$libraries ldd "$bench" | grep 'not found'; then
    echo "gpu.sh: these libraries are missing here (LD_LIBRARY_PATH names folders of more)" >&2
    exit 1
  fi
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$(cd "$programs/bin" && pwd)/hlip_bench" >"$out/hlip_bench"
  chmod +x "$out/hlip_bench"
  bench=$out/hlip_bench
fi
for stage in "${stages[@]}"; do
  case $stage in
    build) build || exit 1 ;;
    pack) pack || exit 1 ;;
    test | bench)
      if [ $host = 0 ] && ! nvidia-smi >/dev/null 2>&1; then
        echo "gpu.sh: nvidia-smi finds no GPU here; --host rehearses without one" >&2
        exit 1
      fi
      [ -x "$programs/bin/hlip_bench" ] || { echo "gpu.sh: $programs has no programs: benchmarks/gpu.sh build makes them" >&2 && exit 1; }
      if [ "$stage" = test ]; then
        ([ -z "$libraries" ] || export LD_LIBRARY_PATH="$libraries"; test_stage; exit "$failed") || failed=1
      else
        bench_stage || fault "bench: not all of it came about"
      fi
      result >"$out/result.md"
      ;;
  esac
done
[ ! -s "$out/result.md" ] || { cat "$out/result.md" && echo "gpu.sh: $out/result.md"; }
exit $failed
