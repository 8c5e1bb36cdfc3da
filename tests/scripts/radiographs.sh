#!/usr/bin/env bash
# Features and sheets of radiographs: the same bytes at every number of threads; pictures, folders and weights that are no good are named, and what was
# written before stays. The published folder of tests/golden and random weights encode drawn pictures; real ones take part where they are.
# Usage: radiographs.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
encode=$bin/encode_radiographs look=$bin/look_at_radiographs
model=$source/tests/golden/rad_dino_hf/model

# drawn pictures, a table of them, what is no picture, and folders that lack something
python3 - "$work" "$model" <<'PY'
import json, math, os, shutil, struct, sys, zlib
work, model = sys.argv[1:]
def png(path, width, height, level, colour=False):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(level(x, y) >> c for x in range(width) for c in range(3 if colour else 1)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if colour else 0, 0, 0, 0)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
os.makedirs(work + "/images")
for n in range(5):
    png("%s/images/p%d.png" % (work, n), 150 + 10 * n, 170, lambda x, y: int(120 + 70 * math.sin(x / (9 + n)) * math.cos(y / 13)) + (x * 7 + y * 5) % 40)
with open(work + "/table.csv", "w") as f:
    f.write("picture,age\n" + "".join("images/p%d.png,%d\n" % (n, 40 + n) for n in range(5)))
with open(work + "/absent.csv", "w") as f:
    f.write("image\nimages/p0.png\nimages/p9.png\n")
open(work + "/text.png", "w").write("no picture")
open(work + "/cut.png", "wb").write(open(work + "/images/p0.png", "rb").read()[:400])
png(work + "/dot.png", 1, 1, lambda x, y: 9)
png(work + "/blue.png", 32, 32, lambda x, y: 6 * x, True)
def folder(name, leave=(), **entries):
    path = work + "/" + name
    os.makedirs(path)
    for file in os.listdir(model):
        if file not in leave:
            shutil.copyfile(model + "/" + file, path + "/" + file)
    config = dict(json.load(open(model + "/config.json")), **entries)
    if "config.json" not in leave:
        json.dump(config, open(path + "/config.json", "w"))
    return path
folder("no_config", ["config.json"])
folder("no_weights", ["model.safetensors"])
folder("no_levels", ["preprocessor_config.json"])
folder("huge", hidden_size=16384, num_hidden_layers=1024)
folder("swiglu", use_swiglu_ffn=True)
weights = bytearray(open(model + "/model.safetensors", "rb").read())
open(folder("short") + "/model.safetensors", "wb").write(weights[:-100])
begin = 8 + struct.unpack("<Q", weights[:8])[0]
entry = json.loads(weights[8:begin])["layernorm.bias"]["data_offsets"][0]
weights[begin + entry:begin + entry + 4] = struct.pack("<f", float("nan"))
open(folder("nan") + "/model.safetensors", "wb").write(weights)
PY

for threads in 1 4; do
  expect 0 "$encode" "$work/images" --model "$model" --out "$work/f$threads.safetensors" --threads $threads --batch-size 2
  expect 0 "$encode" "$work/images" --model untrained:radiograph_phantom --out "$work/u$threads.safetensors" --threads $threads
done
says "5 pictures of 5 given, 128 numbers each and 8 x 8 patches"
cmp "$work/f1.safetensors" "$work/f4.safetensors" || fail "features depend on the number of threads"
cmp "$work/u1.safetensors" "$work/u4.safetensors" || fail "features of random weights depend on the number of threads"
expect 0 "$encode" "$work/images" --model untrained:radiograph_phantom --seed 1 --out "$work/seed.safetensors" --no-patches
cmp -s "$work/u1.safetensors" "$work/seed.safetensors" && fail "the seed of random weights changes nothing"
expect 0 "$encode" "$work/table.csv" --image-column picture --model "$model" --out "$work/t.safetensors"
says "loaded          49"
python3 - "$work" <<'PY' || fail "the table's pictures are named or encoded otherwise than the folder's"
import json, struct, sys
def read(path):
    data = open(path, "rb").read()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:end])
    a, b = head["cls"]["data_offsets"]
    assert head["cls"]["shape"] == [5, 48] and head["patches"]["shape"] == [5, 8, 8, 48]
    return json.loads(head["__metadata__"]["files"]), struct.unpack("<240f", data[end + a:end + b])
(a, x), (b, y) = read(sys.argv[1] + "/f1.safetensors"), read(sys.argv[1] + "/t.safetensors")
assert b == ["images/" + n for n in a] and max(abs(p - q) for p, q in zip(x, y)) < 1e-4
assert x[:48] != x[48:96]
PY

# what is wrong is named, and features of before stay
refused() {  # refused WORDS ARGUMENT…
  local words=$1
  shift
  cp "$work/f1.safetensors" "$work/kept.safetensors"
  expect 1 "$encode" --out "$work/kept.safetensors" "$@"
  says "$words"
  cmp "$work/f1.safetensors" "$work/kept.safetensors" || fail "features of before are gone"
}
one() { refused "$@"; [ "$(grep -vc '^encoded ' "$work/log")" = 1 ] || fail "more than one message"; }
one "text.png: byte 0: is neither PNG nor JPEG" "$work/images/p0.png" "$work/text.png" --model untrained:radiograph_phantom
one "cut.png: " "$work/cut.png" --model untrained:radiograph_phantom
one "dot.png: a picture of 1 x 1 pixels, expected at least 16 a side" "$work/dot.png" --model untrained:radiograph_phantom
one "blue.png" "$work/blue.png" --model untrained:radiograph_phantom
refused "1 of 2 pictures is not there: .images/p9.png" "$work/absent.csv" --model untrained:radiograph_phantom
one "p0.png. is given twice" "$work/images/p0.png" "$work/images/p0.png" --model untrained:radiograph_phantom
one "is not a known configuration, expected one of vit_small_patch14_dinov2" "$work/images" --model untrained:vit_huge
one "elsewhere: is not there; expected a run, a folder with config.json" "$work/images" --model "$work/elsewhere"
one "config.json: is not there; expected a folder with config.json" "$work/images" --model "$work/no_config"
one "no_weights: has neither model.safetensors nor pytorch_model.bin" "$work/images" --model "$work/no_weights"
one "no_levels/preprocessor_config.json: is not there" "$work/images" --model "$work/no_levels"
one "huge/config.json: hidden_size: is 16384, in .*model.safetensors it is 48" "$work/images" --model "$work/huge"
one "short/model.safetensors: " "$work/images" --model "$work/short"
one "images: holds no complete checkpoint" "$work/images" --model "$work/images"
one "table.csv" "$work/images" --model "$work/table.csv"
refused "missing  *12  blocks" "$work/images" --model "$work/swiglu"
refused "p0.png: a feature is nan (hint: the weights of .*nan may be damaged)" "$work/images" --model "$work/nan"
expect 2 "$encode" "$work/images" --model "$model"

expect 0 "$encode" "$work/text.png" "$work/images" "$work/dot.png" --skip-bad --model "$model" --out "$work/left.safetensors"
says "left out: .*text.png: byte 0: is neither"
says "left out: .*dot.png"
says "5 pictures of 7 given"
expect 0 "$encode" "$work/absent.csv" --skip-bad --model "$model" --out "$work/left.safetensors"
says "^left out: .*absent.csv: 1 of 2 pictures is not there: .images/p9.png"
expect 1 "$encode" "$work/text.png" --skip-bad --model "$model" --out "$work/none.safetensors"
says "none of 1 pictures could be read"
[ ! -e "$work/none.safetensors" ] || fail "features of nothing were written"

pair=("$work/images/p0.png" "$work/images/p1.png")
for threads in 1 4; do
  expect 0 "$look" "${pair[@]}" --model "$model" --out "$work/look$threads" --points 0.5 0.5 1 0 --threads $threads
done
for file in attention.png correspondence.png components.png look.html; do
  says "look4/$file"
  cmp "$work/look1/$file" "$work/look4/$file" || fail "$file depends on the number of threads"
done
[ "$(grep -o '<img src="data:image/png;base64,' "$work/look1/look.html" | wc -l)" = 3 ] || fail "the page has not three pictures"
grep -q "p1.png, 170 x 160 pixels" "$work/look1/look.html" || fail "the page does not name the pictures"
expect 0 "$look" "${pair[0]}" --model untrained:radiograph_phantom --heads 0 --out "$work/alone"
[ ! -e "$work/alone/correspondence.png" ] || fail "one picture was compared"
spoilt() {  # spoilt CODE WORDS ARGUMENT…
  local code=$1 words=$2
  shift 2
  expect "$code" "$look" --out "$work/look4" "$@"
  says "$words"
  cmp "$work/look1/look.html" "$work/look4/look.html" || fail "the page of before is gone"
}
spoilt 1 "text.png: byte 0" "${pair[0]}" "$work/text.png" --model "$model"
spoilt 1 "p0: a feature is nan" "${pair[@]}" --model "$work/nan"
spoilt 1 "points has 3 numbers, expected pairs" "${pair[@]}" --model "$model" --points 0.1 0.2 0.3
spoilt 2 "points" "${pair[@]}" --model "$model" --points 0.1 1.2
spoilt 2 "" "${pair[@]}" "${pair[@]}" "${pair[@]}" "${pair[@]}" "${pair[@]}" "${pair[@]}" "${pair[@]}" "${pair[@]}" "${pair[0]}" --model "$model"
spoilt 2 "heads" "${pair[@]}" --model "$model" --heads 99

images=$shared/data/cxr/images
if [ -d "$images" ]; then
  expect 0 "$encode" "$images" --model "$model" --out "$work/real.safetensors"
  says "47 pictures of 47 given, 48 numbers each and 8 x 8 patches"
else
  echo "radiographs: SKIPPED the real pictures, which are not in $images"
fi
echo "radiographs: the same bytes at every number of threads, faults named, nothing lost"
