#!/usr/bin/env bash
# Masks of radiographs: a decoder learns what phantoms mark, a run that goes on ends in the same bits, what is trained marks any picture, and files that
# are no good are named. Usage: segmentation.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
program=$bin/segment_radiographs
drawn=(--phantom 48 --phantom-size 32 --phantom-root "$work/drawn")
none=(--encoder none --head unet --width 4 --levels 3)

# a linear head on random weights learns where lungs are; a run that was cut off ends where this one does, at any number of threads
linear=("$program" train "${drawn[@]}" --encoder untrained:radiograph_phantom_tiny --head linear --classes lungs=right_lung+left_lung,ribs
        --size 48 --batch-size 8 --epochs 12 --save-frequency 8)  # not the size that the encoder has positions for
expect 0 "${linear[@]}" --out "$work/straight" --threads 2
says "36 radiographs of 48 pixels to train, 4 to choose by, 8 to test; 3 classes; decoder linear with 675 parameters"
last=$(tail -n 1 "$work/log")
awk -v line="$last" 'BEGIN { split(line, w, "lungs "); exit !(w[2] + 0 > 0.4) }' || fail "lungs were not learned: $last"
[ "$(grep -c ',lungs,right_lung,' "$work/straight/dice.csv")" = 8 ] || fail "dice.csv has not every picture"
cp -r "$work/straight" "$work/cut"
rm -r "$work/cut/step_48" "$work/cut/model" "$work"/cut/dice*.csv
sed -i 's/^threads = .*/threads = "1"/' "$work/cut/config.toml"
expect 0 "$program" train --resume latest --out "$work/cut" --threads 1 --workers 2
says "resuming from .*cut/step_32"
for file in step_48/model.safetensors step_48/best.safetensors step_48/optimizer.safetensors model/decoder.safetensors dice.csv dice_summary.csv; do
  cmp "$work/straight/$file" "$work/cut/$file" || fail "$file of a run that went on differs"
done
# SIGTERM comes in the middle of a step, in which batch norms have moved
"${linear[@]}" --save-frequency-steps 4 --out "$work/stopped" --threads 1 >"$work/stopped.log" 2>&1 &
pid=$!
until [ -e "$work/stopped/step_4/COMPLETE" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -TERM $pid 2>/dev/null || fail "the run ended before it could be stopped"
wait $pid || fail "a stopped run exits with $?"
expect 0 "$program" train --resume latest --out "$work/stopped"
says "resuming from .*stopped/step_"
for file in step_48/model.safetensors model/decoder.safetensors model/encoder/model.safetensors model/segmentation.json dice.csv; do
  cmp "$work/straight/$file" "$work/stopped/$file" || fail "$file of a run that was stopped differs"
done
expect 1 "$program" train --resume latest --out "$work/cut" --encoder untrained:radiograph_phantom_tiny --head upernet --width 8
says "does not fit this run: .*; changed since it was made: .*--head"
# the run has its own copy of the encoder, and another one is not taken for it
expect 1 "$program" train --resume latest --out "$work/cut" --encoder untrained:radiograph_phantom --epochs 13
says "does not fit this run: it goes on with the encoder that is kept in .*cut/encoder (hint: .*; changed since it was made: .*--encoder"
expect 0 "$program" train "${drawn[@]}" --encoder untrained:radiograph_phantom_tiny --head linear --classes ribs --batch-size 8 --steps 1 --train-fraction 0.5 --out "$work/few"
says "18 radiographs of 32 pixels to train, 4 to choose by, 8 to test"

# what it marks, with what table and pictures say; masks come back as masks
expect 0 "$program" apply "$work/drawn/radiographs.csv" --split test --model "$work/straight" --out "$work/marked"
[ "$(tail -n 1 "$work/log")" = "$last" ] || fail "apply measures otherwise than train"
cmp "$work/straight/dice.csv" "$work/marked/dice.csv" || fail "apply measures pictures otherwise than train"
[ "$(ls "$work/marked/masks/lungs" "$work/marked/masks/ribs" "$work/marked/overlays" | grep -c png)" = 24 ] || fail "not every picture has its files"
[ "$(grep -o '<img src="data:image/png;base64,' "$work/marked/masks.html" | wc -l)" = 8 ] || fail "the page has not eight pictures"
(echo "image,lungs,split" && for n in 16 17 18; do echo "$work/drawn/images/synthetic_0000$n.png,marked/masks/lungs/synthetic_0000$n.png,"; done |
  paste -d '' - <(printf 'train\nvalid\ntest\n')) >"$work/again.csv"
expect 0 "$program" train --images "$work/again.csv" --classes lungs:2 "${none[@]}" --size 32 --batch-size 1 --steps 1 --out "$work/again"
says "1 radiographs of 32 pixels to train, 1 to choose by, 1 to test; 2 classes"
expect 0 "$program" apply "$work/drawn/images/synthetic_000016.png" --model "$work/again/model" --out "$work/one"
says "^1 pictures$"
[ ! -e "$work/one/dice.csv" ] || fail "Dice of a picture without masks"

# what is wrong is named in one message
table() { { echo image,ribs,split; printf '%s\n' "$@"; } >"$work/bad.csv"; }
row() { echo "$work/drawn/images/synthetic_0000$1.png,$2,$3"; }
mask=$work/drawn/masks/ribs/synthetic_000000.png
refused() {  # refused CODE WORDS ARGUMENT…
  local code=$1 words=$2
  shift 2
  expect "$code" "$program" "$@" --out "$work/refused"
  says "$words"
}
train=(train --images "$work/bad.csv" --classes ribs "${none[@]}" --size 32 --batch-size 1 --steps 1)
python3 - "$work" <<'PY'
import struct, sys, zlib
def png(path, side, level):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(level(x, y) for x in range(side)) for y in range(side))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
png(sys.argv[1] + "/small.png", 16, lambda x, y: 255)
png(sys.argv[1] + "/many.png", 32, lambda x, y: 8 * x)
png(sys.argv[1] + "/dot.png", 1, lambda x, y: 9)
PY
table "$(row 00 small.png train)" "$(row 16 "$mask" test)" "$(row 14 "$mask" valid)"
refused 1 "small.png: is a mask of 16 x 16 pixels, its picture .* has 32 x 32" "${train[@]}"
table "$(row 00 many.png train)" "$(row 16 "$mask" test)" "$(row 14 "$mask" valid)"
refused 1 "many.png: row 0, column 2: is 16, and 8 was met before" "${train[@]}"
table "$(row 00 gone.png train)" "$(row 16 "$mask" test)" "$(row 14 "$mask" valid)"
refused 1 '1 mask is not there, the first is "gone.png"' "${train[@]}"
table "$(row 00 "$mask" train)" "$(row 16 "$mask" test)"
refused 1 "no picture is left for the split valid" "${train[@]}"
for split in train valid test; do  # nothing that could be learned, chosen or measured by
  table "$(row 00 "$mask" train)" "$(row 16 "$mask" valid)" "$(row 14 "$mask" test)"
  sed -i "s|$mask,$split|,$split|" "$work/bad.csv"
  refused 1 "bad.csv: no mask of the split $split is known: nothing to " "${train[@]}"
done

# --skip-bad: rows that name no picture or subject, or a picture again, are left out; of an absent mask only that is not known
{
  echo image,ribs,lungs,subject,split
  echo "$work/drawn/images/synthetic_000000.png,$mask,gone.png,a,train"
  echo "$work/drawn/images/synthetic_000001.png,$mask,,,train"
  echo ",$mask,,b,train"
  echo "$work/drawn/images/synthetic_000000.png,$mask,,c,test"
  echo "$work/drawn/images/synthetic_000099.png,$mask,,d,train"
  echo "$work/drawn/images/synthetic_000016.png,$mask,,e,valid"
  echo "$work/drawn/images/synthetic_000014.png,$mask,$mask,f,test"
} >"$work/rows.csv"
rows=(train --images "$work/rows.csv" --classes ribs,lungs "${none[@]}" --size 32 --batch-size 1 --steps 1)
refused 1 "rows.csv: radiographs: 5 problems:" "${rows[@]}"
says "line 3, column subject: is empty, expected a subject"
says "1 mask is not there"
expect 0 "$program" "${rows[@]}" --skip-bad --out "$work/rows"
says "radiographs: 4 faulty studies or rows are left out, listed in .*rows/skipped_radiographs.txt"
says "^not known: .*rows.csv: 1 mask is not there, the first is \"gone.png\""
says "1 radiographs of 32 pixels to train, 1 to choose by, 1 to test"
grep -q "mask" "$work/rows/skipped_radiographs.txt" && fail "an absent mask is said to be a picture that is left out"
expect 0 "$program" apply "$work/rows.csv" --skip-bad --split train --model "$work/rows/model" --out "$work/marked_rows"
says "^not known: .*1 mask is not there"
says "^2 pictures$\|2 pictures"
refused 1 "size: pictures of 30 pixels, expected a multiple of 4 for a U-Net of 3 levels" train "${drawn[@]}" "${none[@]}" --size 30
refused 1 "elsewhere: is not there; expected a run" train "${drawn[@]}" --encoder "$work/elsewhere" --head linear
refused 2 "head linear needs an --encoder" train "${drawn[@]}" --head linear
refused 2 "an --encoder means nothing without --head linear" train "${drawn[@]}" --encoder x
refused 1 "classes: \"a+b\" is no structure" train "${drawn[@]}" --classes a+b
refused 1 'column "spleen" is absent\|spleen' train "${drawn[@]}" --classes spleen
refused 1 "dot.png: a picture of 1 x 1 pixels, expected at least 16 a side" apply "$work/dot.png" --model "$work/straight"
refused 1 "drawn/segmentation.json: is not there; expected a run of segment_radiographs train" apply "$mask" --model "$work/drawn"
expect 0 "$program" apply "$work/dot.png" "$mask" --skip-bad --model "$work/straight" --out "$work/left"
says "left out: .*dot.png"
for file in encoder/config.json encoder/model.safetensors decoder.safetensors preprocessor_config.json; do
  rm -rf "$work/broken" && cp -r "$work/straight/model" "$work/broken" && rm "$work/broken/$file"
  refused 1 "broken/$file\|broken/encoder: has neither\|$file" apply "$mask" --model "$work/broken"
done
rm -rf "$work/broken" && cp -r "$work/straight/model" "$work/broken"
sed -i 's/"linear"/"upernet"/' "$work/broken/segmentation.json"
refused 1 "decoder.safetensors: decoder.decoder.cls.weight: is not there, but .*segmentation.json says that the head is .upernet." apply "$mask" --model "$work/broken"
