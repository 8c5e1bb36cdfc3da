#!/usr/bin/env bash
# evaluate on tiny trees in the published layouts: a run from images, from its embeddings and from its scores give the same tables.
. "$(dirname "$0")/../support/script.sh"
evaluate=$bin/evaluate

# a model for one scan and one for several, of random weights
printf '{"name": "phantom", "text": {"hidden_size": 24}, "vision": {"img_size": [32, 48, 64], "embed_dim": 24}, "embed_dim": 16}' >"$work/tiny.json"
expect 0 "$bin/train_ct_rate" --phantom 8 --steps 1 --text-steps 1 --model "$work/tiny.json" --out "$work/run"
tree=$work/run/phantom/dataset

# CT-RATE, as train_ct_rate draws it
expect 0 "$evaluate" ct-rate --checkpoint "$work/run" --data-root "$tree" --already-hu --out "$work/ct" --resamples 20
says "macro AUC"
[ "$(wc -l <"$work/ct/metrics.csv")" = 18 ] || fail "not a line for each of 16 findings, a header and a mean"
expect 0 "$evaluate" ct-rate --checkpoint "$work/run" --data-root "$tree" --embeddings "$work/ct/embeddings.safetensors" --out "$work/ct2" --resamples 20
expect 0 "$evaluate" ct-rate --scores "$work/ct/scores.csv" --data-root "$tree" --out "$work/ct3" --resamples 20
cmp "$work/ct/scores.csv" "$work/ct2/scores.csv"
weights=(--checkpoint "$work/run/step_1/model.safetensors" --data-root "$tree" --embeddings "$work/ct/embeddings.safetensors" --out "$work/ct4" --resamples 20)
expect 0 "$evaluate" ct-rate "${weights[@]}" --model "$work/tiny.json" --vocab "$work/run/step_1/vocab.txt"
cmp "$work/ct/scores.csv" "$work/ct4/scores.csv"
expect 2 "$evaluate" ct-rate "${weights[@]}" --model "$work/tiny.json"
cmp "$work/ct/metrics.csv" "$work/ct2/metrics.csv"
# the same embeddings are features that probes read
labels=$tree/multi_abnormality_labels/valid_predicted_labels.csv
expect 0 "$bin/probe_radiographs" --features "$work/ct/embeddings.safetensors" --labels "$labels" --image-column VolumeName --columns "Pleural effusion,Cardiomegaly,Emphysema" --test-fraction 0.5 --seeds 1 --resamples 20 --out "$work/probe"
says "^macro AUPRC"
grep -q "^$work/run/step_1,macro," "$work/probe/probe.csv" || fail "the probe does not name the checkpoint"
cmp "$work/ct/metrics.csv" "$work/ct3/metrics.csv"
grep -q '"finding": "Emphysema"' "$work/ct/metrics.json" || fail "no JSON"
grep -q 'plain accuracy' "$work/ct/metrics.json" || fail "the JSON does not say what fitted_accuracy is"

# products of rounded operands move the scores a little, where the processor has them
rounded=("$evaluate" ct-rate --checkpoint "$work/run" --data-root "$tree" --already-hu --out "$work/ct5" --resamples 20 --precision)
if grep -qw avx512_bf16 /proc/cpuinfo; then
  expect 0 "${rounded[@]}" bf16
  cmp -s "$work/ct/scores.csv" "$work/ct5/scores.csv" && fail "--precision bf16 changes nothing"
  python3 - "$work/ct/scores.csv" "$work/ct5/scores.csv" <<'PY' || fail "scores in bfloat16 are other scores"
import csv, sys
one, two = (list(csv.reader(open(path)))[1:] for path in sys.argv[1:])
sys.exit(not one or max(abs(float(a) - float(b)) for x, y in zip(one, two, strict=True) for a, b in zip(x[1:], y[1:], strict=True)) > 0.02)
PY
else
  expect 1 "${rounded[@]}" bf16
fi
expect 0 "${rounded[@]}" auto
expect 1 "${rounded[@]}" tf32
says "only some GPUs do"
expect 2 "$evaluate" ct-rate --scores "$work/ct/scores.csv" --data-root "$tree" --precision auto --out "$work/x"

# Rad-ChestCT and the folders of scans
python3 - "$work" <<'PY'
import os, struct, sys, zipfile
work = sys.argv[1]
def npy(descr, shape, data):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data
columns = ["Emphysema", "Atelectasis", "Lung nodule", "Lung opacity", "Pulmonary fibrotic sequela", "Pleural effusion", "Peribronchial thickening", "Consolidation", "Bronchiectasis",
           "Interlobular septal thickening", "Cardiomegaly", "Pericardial effusion", "Hiatal hernia", "Calcification"]
os.makedirs(work + "/rad")
with open(work + "/rad.csv", "w") as f:
    f.write("NoteAcc_DEID," + ",".join(columns) + "\n")
    for i in range(4):
        f.write("tst%d," % i + ",".join("%d.0" % (i >> (k % 2) & 1 if k < 13 else i == 0) for k in range(14)) + "\n")
        data = struct.pack("<h", 40 * i - 500) * (20 * 20 * 20)
        with zipfile.ZipFile(work + "/rad/tst%d.npz" % i, "w", zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED) as z:
            z.writestr("ct.npy", npy("<i2", "(20, 20, 20)", data))
def scan(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "wb").write(npy("|u1", "(4, 24, 24)", bytes((value + k) % 256 for k in range(4 * 24 * 24))))
brain = ["open_bhb/a", "open_bhb/b", "stroke/a", "brats23/glioma/a", "brats23/meningioma/a", "nyu_mets/a"]
with open(work + "/brain.csv", "w") as f:
    f.write("study,Normal,Stroke,Glioma,Meningioma,Metastasis\n")
    for i, (study, k) in enumerate(zip(brain, (0, 0, 1, 2, 3, 4))):
        f.write("/somewhere/pub_brain_5/%s," % study + ",".join(str(int(k == c)) for c in range(5)) + "\n")
        for s in range(1 + i % 2):
            scan("%s/brain/%s/scan%d.npy" % (work, study, s), 37 * i + s)
with open(work + "/rsna.csv", "w") as f:
    f.write("study,Any,Epidural,Intraparenchymal,Intraventricular,Subarachnoid,Subdural\n")
    for i in range(3):
        f.write("ID_%d,%d,0,%d,0,%d,0\n" % (i, i > 0, i > 1, i > 0))
        for series in range(1 + i % 2):
            scan("%s/rsna/RSNA_ID_%d/%d/img.npy" % (work, i, series), 91 * i + series)
def torch_file(path, value):  # what torch.save writes of a tensor of 20 x 20 x 20 int16
    text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
    whole = lambda n: b"J" + struct.pack("<i", n)
    stored = b"(" + text("storage") + b"ctorch\nShortStorage\n" + text("0") + text("cpu") + whole(8000) + b"tQ"
    pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + stored + whole(0) + whole(20) * 3 + b"\x87" + whole(400) + whole(20) + whole(1) + b"\x87\x89ccollections\nOrderedDict\n)RtR."
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("x/data.pkl", pickle)
        z.writestr("x/data/0", struct.pack("<h", value) * 8000)
for line in list(open(work + "/run/phantom/dataset/multi_abnormality_labels/valid_predicted_labels.csv"))[1:]:
    volume = line.split(",")[0].split(".")[0]
    study = volume.rsplit("_", 1)[0]
    torch_file("%s/prepared/%s/%s/%s.pt" % (work, study.rsplit("_", 1)[0], study, volume), 7 * len(line) % 400 - 600)
torch_file(work + "/rad_pt/tst3.pt", -380)
heads = "ICH,IPH,IVH,SDH,EDH,SAH,BleedLocation-Left,BleedLocation-Right,ChronicBleed,Fracture,CalvarialFracture,OtherFracture,MassEffect,MidlineShift,Anomaly"
with open(work + "/cq500.csv", "w") as f:
    f.write("study," + heads + "\n")
    for i in range(3):
        f.write("CQ500CT%d," % i + ",".join(str(int(i == k % 3)) for k in range(15)) + "\n")
        scan("%s/cq500/CQ500CT%d/series/img.npy" % (work, i), 51 * i)
PY
expect 0 "$evaluate" rad-chestct --checkpoint "$work/run" --data-root "$work/rad" --labels "$work/rad.csv" --out "$work/r1" --resamples 20
says "^Calcification "
says "^† too narrow"
grep -q '^Calcification,1,3,.*,one positive: too narrow$' "$work/r1/metrics.csv" || fail "the CSV does not say that an interval is too narrow"
grep -q '"interval_note": "one positive: too narrow"' "$work/r1/metrics.json" || fail "the JSON does not say that an interval is too narrow"
[ "$(wc -l <"$work/r1/metrics.csv")" = 16 ] || fail "not a line for each of 14 findings, a header and a mean"
expect 0 "$evaluate" rad-chestct --scores "$work/r1/scores.csv" --labels "$work/rad.csv" --out "$work/r2" --resamples 20
cmp "$work/r1/metrics.csv" "$work/r2/metrics.csv"
rm "$work/rad/tst3.npz"
cp "$work/rad_pt/tst3.pt" "$work/rad"
expect 0 "$evaluate" rad-chestct --checkpoint "$work/run" --data-root "$work/rad" --labels "$work/rad.csv" --out "$work/r4" --resamples 20
[ "$(wc -l <"$work/r4/scores.csv")" = 5 ] || fail "the prepared volume was not read"
"$bin/hlip_inspect" "$work/rad.csv" "$work/brain.csv" "$work/rsna.csv" "$work/cq500.csv" "$work/r1/scores.csv" >"$work/log" 2>&1 || fail "hlip_inspect does not know a table that evaluate reads"
head -c 300 "$work/rad/tst3.pt" >"$work/cut" && mv "$work/cut" "$work/rad/tst3.pt"  # one that cannot be read costs nothing but itself
expect 1 "$evaluate" rad-chestct --checkpoint "$work/run" --data-root "$work/rad" --labels "$work/rad.csv" --out "$work/r5" --resamples 20
says "1 of 4 studies could not be read and are not in the results"
says "^  tst3: .*tst3.pt"
says "macro AUC"
[ "$(wc -l <"$work/r5/scores.csv")" = 4 ] || fail "the others were not scored"
grep -q '"failed": \[$' "$work/r5/metrics.json" || fail "the JSON does not say what failed"
expect 0 "$evaluate" rad-chestct --checkpoint "$work/run" --embeddings "$work/r5/embeddings.safetensors" --labels "$work/rad.csv" --out "$work/r6" --resamples 20
cmp "$work/r5/scores.csv" "$work/r6/scores.csv"
rm "$work/rad/tst3.pt"
expect 1 "$evaluate" rad-chestct --checkpoint "$work/run" --data-root "$work/rad" --labels "$work/rad.csv" --out "$work/r3"
says "tst3.npz: is absent, and 1 of 4 in all"
expect 0 "$evaluate" rad-chestct --checkpoint "$work/run" --data-root "$work/rad" --labels "$work/rad.csv" --out "$work/r3" --allow-absent --resamples 20
says "1 of 4 labelled studies have no score"

expect 0 "$evaluate" pub-brain-5 --checkpoint "$work/run" --data-root "$work/brain" --labels "$work/brain.csv" --out "$work/b1" --num-slices 32 --resamples 20
[ "$(cut -d, -f1,2 "$work/b1/metrics.csv" | tail -n +2 | tr '\n' ' ')" = "stroke,3 glioma,3 meningioma,3 metastasis,3 tumor,3 disease,6 " ] || fail "the tasks have other studies: $(cat "$work/b1/metrics.csv")"
expect 0 "$evaluate" pub-brain-5 --checkpoint "$work/run" --embeddings "$work/b1/embeddings.safetensors" --labels "$work/brain.csv" --out "$work/b2" --resamples 20
cmp "$work/b1/metrics.csv" "$work/b2/metrics.csv"
expect 0 "$evaluate" rsna --checkpoint "$work/run" --data-root "$work/rsna" --labels "$work/rsna.csv" --out "$work/h1" --num-slices 32 --resamples 20
says "4 studies"  # the study with two series counts twice
says "left out of the mean, because all studies have the same label: Intraventricular, Subdural"
expect 0 "$evaluate" cq500 --checkpoint "$work/run" --data-root "$work/cq500" --labels "$work/cq500.csv" --out "$work/h2" --num-slices 32 --resamples 20
[ "$(wc -l <"$work/h2/metrics.csv")" = 13 ] || fail "not a line for each of 11 findings, a header and a mean"
expect 0 "$evaluate" cq500 --scores "$work/h2/scores.csv" --labels "$work/cq500.csv" --out "$work/h3" --resamples 20
cmp "$work/h2/metrics.csv" "$work/h3/metrics.csv"

# CT-RATE as the published preparation leaves it
labels=$tree/multi_abnormality_labels/valid_predicted_labels.csv
expect 0 "$evaluate" ct-rate --checkpoint "$work/run" --data-root "$work/prepared" --labels "$labels" --out "$work/p1" --resamples 20
[ "$(wc -l <"$work/p1/scores.csv")" = "$(wc -l <"$labels")" ] || fail "not a row for each prepared volume"
expect 1 "$evaluate" ct-rate --checkpoint "$work/run" --data-root "$work/prepared" --labels "$labels" --already-hu --out "$work/x"
says "is prepared, and in HU by that"
rm "$(find "$work/prepared" -name '*.pt' | sort | head -n 1)"
expect 1 "$evaluate" ct-rate --checkpoint "$work/run" --data-root "$work/prepared" --labels "$labels" --out "$work/x"
says "of the 16 labelled volumes as .pt; hint: --allow-absent"

# a model for brain studies says how scans are prepared, and is none for CT
expect 0 "$bin/train_brain_mri" --phantom 8 --phantom-valid 6 --steps 1 --text-steps 1 --out "$work/mri"
expect 0 "$evaluate" pub-brain-5 --checkpoint "$work/mri" --data-root "$work/brain" --labels "$work/brain.csv" --out "$work/b3" --resamples 20
says "preparation of scans: mri num_slices=12 resize=36 crop=32 "
expect 0 "$evaluate" pub-brain-5 --checkpoint "$work/mri" --data-root "$work/brain" --labels "$work/brain.csv" --out "$work/b3" --num-slices 9 --resamples 20
says "mri num_slices=9 "
expect 1 "$evaluate" ct-rate --checkpoint "$work/mri" --data-root "$tree" --already-hu --out "$work/x"
says "is a model for MRI, this set is of CT"

# what the network is fed, with a file of weights and every default, against the published arithmetic
published() { python3 "$source/tests/support/published_inputs.py" "$1" "$work/published"; }
published make
ct_weights=(--checkpoint "$work/run/step_1/model.safetensors" --model "$work/tiny.json" --vocab "$work/run/step_1/vocab.txt")
mri_weights=(--checkpoint "$work/mri/step_1/model.safetensors" --model brain_phantom --vocab "$work/mri/step_1/vocab.txt")
fed() {  # fed NAME SET ARGUMENT…
  local name=$1 set=$2
  shift 2
  expect 0 "$evaluate" "$set" --out "$work/fed_$name" --save-inputs "$work/published/inputs/$name" --resamples 20 "$@"
}
root=$work/published
fed ct-rate ct-rate --data-root "$root/ct" "${ct_weights[@]}"
fed ct-rate-prepared ct-rate --data-root "$root/ct_prepared" --labels "$root/ct/multi_abnormality_labels/valid_predicted_labels.csv" "${ct_weights[@]}"
fed rad-chestct rad-chestct --data-root "$root/rad" --labels "$root/rad.csv" "${ct_weights[@]}"
fed pub-brain-5 pub-brain-5 --data-root "$root/brain" --labels "$root/brain.csv" "${mri_weights[@]}"
says "preparation of scans: mri num_slices=144 resize=36 crop=32 mean=0.449 std=0.226; scans that preprocess_brain_mri wrote of 32 x 32 are fed as they are"
says "scans: 0 were prepared, 6 padded, resized and cropped"
says "holds 3 volumes, of which the first two are taken"
for set in rsna cq500; do
  fed $set $set --data-root "$root/$set" --labels "$root/$set.csv" "${mri_weights[@]}"
  says "; prepared scans of 32 x 32 are fed as they are"
  says "scans: 2 were prepared, 0 padded, resized and cropped"
done
fed brain-mri brain-mri --data-root "$root/brain-mri" --studies "$root/valid_studies.json" --labels "$root/brain-mri.csv" "${mri_weights[@]}"
published compare >"$work/log" || fail "the network is fed something else than the published code feeds its own"

# own scans, prepared by preprocess_brain_mri, are not cropped twice in any set
expect 0 "$bin/preprocess_brain_mri" --data-root "$root/brain" --out "$work/own" --num-slices 12 --size 32 --split own
for study in open_bhb/b nyu_mets/a; do mkdir -p "$work/own/pub/$study"; done
cp "$work/own/own/open_bhb/b/1/img.safetensors" "$work/own/pub/open_bhb/b/"
cp "$work/own/own/stroke/a/1/img.safetensors" "$work/own/pub/nyu_mets/a/"
grep -E '^study|^open_bhb/b|^nyu_mets' "$root/brain.csv" >"$work/own.csv"
expect 0 "$evaluate" pub-brain-5 --data-root "$work/own/pub" --labels "$work/own.csv" --out "$work/own_out" --resamples 20 "${mri_weights[@]}"
says "scans: 2 were prepared, 0 padded, resized and cropped"

# wrong usage
expect 2 "$evaluate"
expect 2 "$evaluate" pub-brain --labels "$work/brain.csv" --out "$work/x"
says "did you mean pub-brain-5"
expect 2 "$evaluate" rad-chestct --labels "$work/rad.csv" --out "$work/x"
expect 2 "$evaluate" rad-chestct --checkpoint "$work/run" --labels "$work/rad.csv" --out "$work/x"
expect 2 "$evaluate" rad-chestct --scores "$work/r1/scores.csv" --checkpoint "$work/run" --labels "$work/rad.csv" --out "$work/x"
expect 2 "$evaluate" rad-chestct --scores "$work/r1/scores.csv" --labels "$work/rad.csv" --out "$work/x" --templat organ
says "did you mean --template"
expect 2 "$evaluate" rad-chestct --scores "$work/r1/scores.csv" --labels "$work/rad.csv" --out "$work/x" --template organ
expect 1 "$evaluate" rad-chestct --scores "$work/ct/scores.csv" --labels "$work/rad.csv" --out "$work/x"
says "has scores but no row of labels"
