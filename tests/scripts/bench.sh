#!/usr/bin/env bash
# hlip_bench runs every subject in a small size: each prints as many JSON lines as it has measurements, with the fields that other
# programs read, and options that mean nothing to a subject are refused. Speed is not looked at.
# Usage: bench.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
source=${HLIP_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bench() { expect "$1" "$bin/hlip_bench" "${@:2}"; }  # bench CODE ARGUMENT…

# lines COUNT "FIELD…" ARGUMENT…: so many lines, all with these fields and the ones that every line has
lines() {
  local count=$1 fields=$2
  shift 2
  bench 0 "$@"
  python3 - "$count" "$work/log" "$fields" <<'CHECK' || fail "hlip_bench $*"
import json, math, sys

count, path, fields = int(sys.argv[1]), sys.argv[2], sys.argv[3].split()
lines = [json.loads(line) for line in open(path)]
if len(lines) != count:
    sys.exit(f"{len(lines)} lines instead of {count}")
for line in lines:
    missing = [f for f in ["op", "threads", "provider", "steps", "seconds_per_step", "best", "peak_rss_bytes", *fields] if f not in line]
    if missing:
        sys.exit(f"{line['op']}: no field {' '.join(missing)}")
    if not (0 < line["best"] <= line["seconds_per_step"] < math.inf and line["peak_rss_bytes"] > 1 << 20):
        sys.exit(f"impossible numbers: {line}")
CHECK
}

tiny=(--model phantom --batch 2 --steps 1)
lines 2 "model batch scans" train "${tiny[@]}" --scans 2 --threads 1,2
says '"threads":1,'
says '"threads":2,'
lines 1 "model batch scans" train "${tiny[@]}" --threads 1 --grad-checkpointing
says '"grad_checkpointing":true'
lines 1 "model batch scans" infer "${tiny[@]}" --scans 1 --threads 1 --provider eigen
lines 1 "levels warmup" infer "${tiny[@]}" --threads 1 --levels study --warmup 0
says '"levels":"study"'
lines 1 "model batch tokens" text "${tiny[@]}" --tokens 9 --threads 1
lines 2 "prompt tokens parameters answer" decode --folder "$source/tests/golden/llama_hf/model" --prompt 5 --tokens 3 --threads 1,2 --steps 1
lines 12 "model batch scans m n k gflops" gemm "${tiny[@]}" --threads 1
lines 1 "m n k gflops" gemm --m 5 --n 7 --k 3 --trans-a 1 --trans-b 0 --threads 1 --steps 1
lines 6 "model sequences tokens gflops" attention "${tiny[@]}" --threads 1
lines 3 "sequences tokens gflops" attention --sequences 1 --tokens 9 --heads 2 --head-dim 16 --threads 2 --steps 1
lines 3 "gbytes_per_second" layernorm --rows 8 --cols 24 --threads 1 --steps 1
lines 14 "gbytes_per_second" elementwise --rows 64 --cols 32 --threads 1 --steps 1 --device cpu

# the way of data: a volume of the phantom, its cached form, a model that looks at it
bench 0 preprocess --help
"$bin/train_ct_rate" --phantom 8 --steps 1 --text-steps 1 --batch-size 2 --out "$work/run" >"$work/log" 2>&1 || fail "no phantom"
volume=$work/run/phantom/dataset/train/train_1/train_1_a/train_1_a_1.nii.gz
vocab=$source/tests/golden/interop/vocab.txt
lines 1 "file to middle_hu" preprocess --file "$volume" --spacing 9,5,5 --threads 1 --steps 1 --out "$work/cached.safetensors"
lines 1 "model batch" load --file "$work/cached.safetensors" --model phantom --batch 2 --threads 1 --steps 2
printf 'No nodule.\nA nodule in the left lung.\n' >"$work/reports.txt"
printf 'name,text\na,No nodule.\nb,A nodule in the left lung.\n' >"$work/reports.csv"
lines 1 "reports ids hash" tokenize --file "$work/reports.txt" --vocab "$vocab" --threads 1 --steps 1
hash=$(grep -o '"hash":"[0-9a-f]*"' "$work/log")
lines 1 "reports ids hash" tokenize --file "$work/reports.csv" --column text --vocab "$vocab" --threads 2 --steps 1
says "$hash"
lines 1 "model parameters" checkpoint --model phantom --vocab "$vocab" --out "$work/checkpoint"
lines 1 "model forward_seconds first_probability" start --checkpoint "$work/checkpoint" --file "$work/cached.safetensors" --threads 1

# wrong usage, and what is not there
bench 2
bench 2 trian
bench 2 train --stesp 3
says "did you mean --steps"
bench 2 train --model vit_bas
bench 2 train --tokens 3
bench 2 train --steps 0
bench 2 train --threads 1,0
bench 2 train --provider mkl
bench 2 text --scans 2
bench 2 text --levels study
bench 2 infer --levels scan
bench 2 infer --model phantom --levels scan+study
says "whose studies are one scan"
bench 2 elementwise --provider eigen
bench 2 elementwise --device tpu
bench 2 infer --device tpu
bench 2 attention --precision bf16
says "attention on a processor is fp32"
bench 1 infer "${tiny[@]}" --precision tf32
says "only some GPUs do"
bench 2 gemm --model phantom --m 3
bench 2 attention --batch 2
bench 2 attention --tokens 1
bench 2 tokenize --file "$work/reports.txt"
bench 2 preprocess --file "$work/no_such_file"
bench 1 tokenize --file "$work/reports.csv" --column words --vocab "$vocab"
says "column words is absent"
if [ -e "$bin/hlip_bench_cblas" ]; then
  lines 1 "model batch scans" infer "${tiny[@]}" --threads 1 --provider cblas
  says '"provider":"cblas"'
else
  bench 1 infer "${tiny[@]}" --provider cblas
  says "libopenblas-openmp-dev"
fi

# the comparison says what it lacks, or that the sides agree
compare=$source/benchmarks/compare_pytorch.py
got=0
python3 "$compare" --check >"$work/log" 2>&1 || got=$?
if [ "$got" = 0 ]; then says "golden fixtures: the PyTorch side computes what hlip computes"; else says " has no .*; install torch"; fi
got=0
python3 "$compare" --only trian >"$work/log" 2>&1 || got=$?
[ "$got" = 2 ] || fail "exit code $got instead of 2: compare_pytorch.py --only trian"
says "no such row"
got=0
python3 "$compare" --batches 1,2 >"$work/log" 2>&1 || got=$?
[ "$got" = 2 ] || fail "exit code $got instead of 2: compare_pytorch.py --batches without a device"
says "means nothing without --device"
got=0
python3 "$compare" --device host --batches 2,1 >"$work/log" 2>&1 || got=$?
if [ "$got" = 2 ]; then says "expected rising numbers"; else says " has no .*; install torch"; fi
got=0
bash "$source/benchmarks/gpu.sh" tset >"$work/log" 2>&1 || got=$?
[ "$got" = 2 ] || fail "exit code $got instead of 2: gpu.sh tset"
says "neither a stage nor an option"

# the chart of scale.py from points that are measured, and those that are not
scale=$source/benchmarks/scale.py
printf '%s\n' '{"op":"infer","levels":"study","scans":1,"seconds_per_step":0.5,"peak_rss_bytes":500000000}' \
  '{"op":"infer","levels":"study","scans":2,"seconds_per_step":null,"peak_rss_bytes":600000000}' >"$work/scale.jsonl"
python3 "$scale" --no-run --results "$work/scale.jsonl" --levels study --scans 1,2,4 --svg "$work/scale.svg" >"$work/log" 2>&1 || fail "scale.py --no-run"
says "| 1 | 1176 | 0.5 (0.5) | 0.47 "
says "| 2 | 2352 | not timed "
says "| 4 | 4704 | not run "
python3 -c 'import sys, xml.dom.minidom as x; sys.exit(len(x.parse(sys.argv[1]).getElementsByTagName("path")) < 10)' "$work/scale.svg" || fail "scale.py draws no chart"
got=0
python3 "$scale" --levels slice >"$work/log" 2>&1 || got=$?
[ "$got" = 2 ] || fail "exit code $got instead of 2: scale.py --levels slice"
echo "bench: every subject measures"
