#!/usr/bin/env bash
# train_t3d: killed, with other numbers of threads and in parts it ends as a run that was left alone; NIfTI files with a table do as well as
# a CT-RATE tree; what cannot be used is named. HLIP_KILLS sets how often it is killed (default 2).
. "$(dirname "$0")/../support/script.sh"
. "$(dirname "$0")/../support/killed_runs.sh"
train=("$bin/train_t3d" --phantom 12 --phantom-valid 5 --phantom-root "$work/phantom" --size 16 16 16 --spacing 8 6 6 --batch-size 4 --epochs 3
       --text-width 32 --text-layers 1 --save-frequency-steps 2 --evaluation-frequency 3)
bits() { (cd "$1" && cat step_9/{model,optimizer}.safetensors encoder/* | sha256sum); }
expect 0 "${train[@]}" --out "$work/drawn" --dry-run  # the phantoms, for all
run_straight
says "restoration error with the own report 0\.[0-9]*, another's .*, none .*; pairs told apart .*, with shuffled voxels .* (4 studies)"
expect 0 "${train[@]}" --out "$work/threads1" --threads 1
same threads1 "one thread instead of two"
expect 0 "${train[@]}" --out "$work/threads4" --threads 4 --workers 3
same threads4 "four threads instead of two, with three that load"
kill_runs "${HLIP_KILLS:-2}"
parts=("${train[@]/#4/2}")  # --batch-size 2
expect 0 "${parts[@]}" --out "$work/parts" --accum-freq 2 --contrast both --norm group --report none --only-changed
grep -q "^step,9,.*,0$" "$work/parts/metrics.csv" || fail "a run in parts and without reports has no step 9, or skipped one"

# the same volumes by a table
python3 - "$work" <<'PY'
import csv, glob, os, sys
work = sys.argv[1]
reports = {r["VolumeName"]: r["Findings_EN"] for r in csv.DictReader(open(glob.glob(work + "/phantom/dataset/*/train_reports.csv")[0]))}
rows = [(os.path.relpath(p, work), reports[os.path.basename(p)]) for p in sorted(glob.glob(work + "/phantom/dataset/train/*/*/*.nii.gz"))]
assert len(rows) == 12
def write(name, rows, header=("volume", "report", "split")):
    with open(work + "/" + name, "w", newline="") as f:
        csv.writer(f).writerows([header, *rows])
write("volumes.csv", [(*r, "train" if i < 8 else "valid") for i, r in enumerate(rows)])
write("faulty.csv", [(*r, "train") for r in rows] + [("gone.nii", "clear", "train"), (rows[0][0], "clear", "train")])
write("no_report.csv", [r[:1] for r in rows], ("volume",))
PY
fits=(--size 16 16 16 --batch-size 4)
small=(--spacing 8 6 6 --model resnet_phantom --fusion-heads 4 --decoder-widths 8 --text-width 32 --text-layers 1 --epochs 1)
for root in "$work" "$work/volumes.csv"; do
  rm -rf "$work/table"
  expect 0 "$bin/train_t3d" --data-root "$root" --out "$work/table" "${small[@]}" "${fits[@]}"
  says "8 studies, 4 held out"
done

# what cannot be used
refused() {  # refused CODE TEXT OPTION…
  expect "$1" "$bin/train_t3d" --out "$work/refused" "${small[@]}" "${@:3}"
  says "$2"
  [ ! -e "$work/refused/metrics.csv" ] || fail "a run that was refused leaves a log"
}
refused 1 'line 14, column volume: "gone.nii" is not there' --data-root "$work/faulty.csv" --valid-split '' "${fits[@]}"
refused 1 'line 15, column volume: ".*" is there twice' --data-root "$work/faulty.csv" --valid-split '' "${fits[@]}"
refused 1 "is in the split to train on and in the one to measure on" --data-root "$work/volumes.csv" --valid-split train "${fits[@]}"
refused 1 "column report is absent" --data-root "$work/no_report.csv" "${fits[@]}"
refused 1 "a sub-volume, as the file lies, 16 x 88 x 16 (hint: a smaller --size, or a finer --spacing)" --data-root "$work/volumes.csv" --size 16 88 16 --batch-size 4
refused 2 "size 12: expected multiples of 8" --data-root "$work" --size 12 16 16
refused 2 "leave nothing to learn" --data-root "$work" --contrast-weight 0 --restoration-weight 0 "${fits[@]}"
refused 2 "a contrast needs two studies a step" --data-root "$work" --batch-size 1 --size 16 16 16
refused 2 "expected two rising numbers" --data-root "$work" --window 300 -100 "${fits[@]}"
expect 0 "$bin/train_t3d" --data-root "$work/faulty.csv" --valid-split '' --skip-bad --out "$work/skipping" "${small[@]}" "${fits[@]}"
says "train: 2 faulty studies or rows are left out"

# masks on the encoder that was trained, from scratch, and with what was written
structures=right_lung,left_lung,heart,aorta,liver,lesion
segment=("$bin/transfer_t3d" segment train --data-root "$work/phantom" --classes "$structures" --test-split valid --decoder-widths 4 8)
expect 0 "${segment[@]}" --encoder "$work/straight/encoder" --steps 3 --batch-size 2 --out "$work/segmented"
says "12 volumes to train, 5 to test; encoder resnet_phantom from "
says "^macro Dice 0\.[0-9]* .*lesion .*, 5 pictures"
[ "$(wc -l <"$work/segmented/volumes.csv")" = 31 ] || fail "volumes.csv has not every volume and class once"
[ "$(find "$work/segmented/predictions" -name '*.nii.gz' | wc -l)" = 5 ] || fail "not every test volume has its label map"
expect 0 "${segment[@]}" --encoder "$work/straight/encoder" --freeze --train-fraction 0.1 --epochs 4 --batch-size 1 --out "$work/frozen" --threads 1
says "1 volumes to train, .*, frozen, "
python3 - "$work" <<'PY'
import json, struct, sys
def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    return {k: data[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]] for k, v in json.loads(data[8:8 + size]).items() if k != "__metadata__"}
encoder, frozen, tuned = (tensors(sys.argv[1] + "/" + p + "/model.safetensors") for p in ("straight/encoder", "frozen/model", "segmented/model"))
assert all(frozen["visual." + k] == v for k, v in encoder.items()), "a frozen encoder has changed"
assert any(tuned["visual." + k] != v for k, v in encoder.items()), "the encoder was not tuned"
PY
scan=$(find "$work/phantom/dataset/valid" -name '*.nii.gz' | head -n 1)
expect 0 "$bin/transfer_t3d" segment apply "$scan" --model "$work/segmented/model" --out "$work/applied"
says "heart [0-9.]* ml, .*_labels.nii.gz"
expect 1 "${segment[@]/#$structures/right_lung}" --batch-size 1 --encoder "$work/straight/encoder" --steps 1 --out "$work/refused"
says "masks/.*: holds the value [2-6], expected whole numbers from 0 to 1 (hint: --classes)"
expect 1 "${segment[@]}" --encoder "$work/straight" --batch-size 1 --steps 1 --out "$work/refused"
says "straight/model.json"
expect 2 "${segment[@]}" --encoder "$work/straight/encoder" --size 16 16 16 --out "$work/refused"
says "size means nothing without --encoder none"
echo "t3d: $killed kills in $rounds runs, a run of $took ms; same bits"
