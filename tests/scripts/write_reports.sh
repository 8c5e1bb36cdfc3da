#!/usr/bin/env bash
# Reports of radiographs: the same bits after a stop and at every number of threads; a decoder of a Hugging Face folder; the control; faults are named.
# Usage: write_reports.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
write=$bin/write_reports
decoder=$source/tests/golden/llama_hf/model

# eight pictures with reports, and tables with faults
python3 - "$work" <<'PY'
import os, struct, sys, zlib
work = sys.argv[1]
def png(path, side, level):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(level(x, y) for x in range(side)) for y in range(side))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
rows = []
for n in range(8):
    png("%s/p%d.png" % (work, n), 32, lambda x, y: (40 * n + x * (n + 1) + 3 * y) % 256)
    rows.append("p%d.png,%s,\"%s, picture %d.\"" % (n, "test" if n > 5 else "train", "No nodule" if n % 2 else "A nodule is seen", n))
def table(name, rows, header="image,split,report"):
    open(work + "/" + name, "w").write("\n".join([header] + rows) + "\n")
table("table.csv", rows)
table("none.csv", [r.split(",")[0] for r in rows], "image")
table("empty.csv", rows[:3] + ["p3.png,train, "])
table("long.csv", rows[:3] + ["p3.png,train," + "no nodule " * 3000])
PY

train() { "$write" train --encoder untrained:radiograph_phantom_tiny --images "$work/table.csv" --batch-size 2 "$@"; }
tiny=(--decoder-width 32 --decoder-layers 1)
expect 0 train "${tiny[@]}" --steps 8 --out "$work/whole" --threads 1
says "6 radiographs with reports; 16 patches and 12 words of the prompt"
expect 0 train "${tiny[@]}" --steps 8 --out "$work/parts" --threads 3 --save-frequency-steps 3
rm -r "$work/parts/step_8" "$work/parts/step_6"
expect 0 "$write" train --resume latest --out "$work/parts"
says "resuming from .*parts/step_3"
cmp "$work/whole/step_8/model.safetensors" "$work/parts/step_8/model.safetensors" || fail "threads or a stop change the weights"

expect 1 "$write" train --resume latest --out "$work/parts" --encoder untrained:radiograph_phantom
says "does not fit this run: it goes on with the encoder that is kept in .*parts/encoder (hint: .*: --encoder"

apply() { "$write" apply --max-new-tokens 12 "$@"; }
expect 0 apply --model "$work/whole" "$work/table.csv" --shuffle-images --out "$work/a" --threads 1 --batch-size 1
says "^label F1 .*, of other pictures .*, 2 reports"
expect 0 apply --model "$work/parts/step_8/" "$work/table.csv" --shuffle-images --out "$work/b" --threads 3
cmp "$work/a/reports.csv" "$work/b/reports.csv" || fail "reports depend on threads or on how many are written at a time"
cmp "$work/a/scores.csv" "$work/b/scores.csv" || fail "scores depend on threads"
expect 0 "$write" score "$work/a/reports.csv" --shuffle-images --out "$work/c"
cmp "$work/a/scores.csv" "$work/c/scores.csv" || fail "scores of the written table are others"
# what others have read counts rows without a report too, which are then left out
python3 - "$work" <<'PY'
import json, sys
fact = lambda word: {"entities": {"1": {"tokens": word, "label": "x", "relations": []}}}
open(sys.argv[1] + "/three.csv", "w").write("image,report,generated\na,,No nodule.\nb,A nodule.,A nodule.\nc,A mass.,A mass.\n")
json.dump({"0": {"entities": {}}, "1": fact("nodule"), "2": fact("mass")}, open(sys.argv[1] + "/reference.json", "w"))
json.dump({"0": fact("nodule"), "1": fact("nodule"), "2": fact("mass")}, open(sys.argv[1] + "/generated.json", "w"))
PY
expect 0 "$write" score "$work/three.csv" --out "$work/three" --radgraph-reference "$work/reference.json" --radgraph-generated "$work/generated.json"
grep -q '^relation F1,1,' "$work/three/scores.csv" || fail "facts of RadGraph are those of another row: $(cat "$work/three/scores.csv")"
printf 'image,report\np0.png,A nodule.\n,No nodule.\np99.png,A nodule.\n' >"$work/faulty.csv"
expect 0 apply --model "$work/whole" "$work/faulty.csv" --skip-bad --out "$work/one"
says "^left out: .*faulty.csv: line 3, column image: is empty"
says "^left out: .*faulty.csv: 1 of 2 pictures is not there"
expect 0 apply --model "$work/whole" "$work/p0.png" --out "$work/one"
says "1 of 1 pictures have no report to compare with"

# a decoder that others trained: LoRA, then its folder moves
cp -r "$decoder" "$work/llama"
expect 0 train --decoder "$work/llama" --train lora --steps 2 --out "$work/lora"
says "decoder .*llama: 420 tokens"
mv "$work/llama" "$work/moved"
refused() {  # refused WORDS COMMAND…: fails with one message
  local words=$1
  shift
  expect 1 "$@"
  says "$words"
}
refused "llama/config.json: is not there" apply --model "$work/lora" "$work/table.csv" --out "$work/d"
expect 0 apply --model "$work/lora" --decoder "$work/moved" "$work/table.csv" --out "$work/d"
rm "$work/moved/model-00003-of-00005.safetensors"
refused "model-00003-of-00005.safetensors: is not there" train --decoder "$work/moved" --steps 2 --out "$work/e"
rm "$work/moved/tokenizer.model"
refused "tokenizer.model: is not there; .*(hint:" train --decoder "$work/moved" --steps 2 --out "$work/e"
refused "takes features of width 96, those of .* have 128 (hint:" apply --model "$work/whole" --encoder untrained:radiograph_phantom "$work/table.csv" --out "$work/d"
refused "expected two or more (hint: a table with a column of reports" apply --model "$work/whole" "$work/p0.png" --shuffle-images --out "$work/d"
own() { "$write" train --encoder untrained:radiograph_phantom_tiny --batch-size 2 --steps 2 "${tiny[@]}" --out "$work/f" --images "$work/$1" "${@:2}"; }
# a table that has more rows now goes on with the words that were learned
cp "$work/p1.png" "$work/more.png"
sed 's/^p1.png.*/&\nmore.png,train,"Picture 1, picture 1, picture 1 picture 1 nodule."/' "$work/table.csv" >"$work/more.csv"
expect 0 train "${tiny[@]}" --steps 3 --out "$work/words"
expect 0 "$write" train --resume latest --steps 4 --images "$work/more.csv" --out "$work/words"
cmp "$work/words/step_3/vocab.txt" "$work/words/step_4/vocab.txt" || fail "a run that goes on has other words"
refused "none.csv: line 1: column report is absent" own none.csv
refused "empty.csv: line 5, column report: is empty" own empty.csv
refused "long.csv: line 5: a report of .* tokens; behind the 28" own long.csv
expect 0 own long.csv --skip-bad
says "1 faulty studies or rows are left out, listed in .*f/skipped_reports.txt"
expect 2 train --train lora --steps 2 --out "$work/g"
says "means nothing without --decoder FOLDER"
expect 2 apply --model "$work/whole" "$work/p0.png" --length-penalty 2 --out "$work/d"
says "--length-penalty requires --beams"
echo "write_reports: the same bits at every number of threads and after a stop, faults named"
