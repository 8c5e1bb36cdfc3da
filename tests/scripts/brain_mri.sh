#!/usr/bin/env bash
# Brain studies from raw scans to a trained model: preprocess_brain_mri makes what train_brain_mri reads; a run stopped by SIGTERM and
# resumed ends in the same bits as one left alone, with other numbers of threads too; bad studies and wrong usage are answered as documented.
. "$(dirname "$0")/../support/script.sh"
bits() { (cd "$1/step_8" && cat model.safetensors optimizer.safetensors | sha256sum); }

# ---- a phantom run: table, resume, limits --------------------------------------------------------------------------
phantom=("$bin/train_brain_mri" --phantom 24 --batch-size 8 --save-frequency-steps 2 --phantom-root "$work/phantom")
train=("${phantom[@]}" --steps 8 --text-steps 4)
expect 0 "${train[@]}" --out "$work/straight" --threads 2
says "synthetic"
says "^Ischaemic stroke"
[[ $(tail -n 1 "$work/log") =~ ^macro\ AUC\ [01]\.[0-9]{3}\ \(95\ %\ CI\ .*,\ 16\ studies\)$ ]] || fail "the last line has another form"
[ -s "$work/straight/zero_shot.csv" ] || fail "no zero_shot.csv"
want=$(bits "$work/straight")
"${train[@]}" --out "$work/stopped" --threads 1 >"$work/log" 2>&1 &
pid=$!
until compgen -G "$work/stopped/text_step_*" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
kill -TERM "$pid" 2>/dev/null || fail "the run ended before it could be stopped"
wait "$pid" || fail "a stopped run exits with $?"
says "resume latest goes on"
expect 0 "$bin/train_brain_mri" --out "$work/stopped" --resume latest --phantom 24
[ "$(bits "$work/stopped")" = "$want" ] || fail "the stopped run gives other bits"

expect 0 "${phantom[@]}" --steps 8 --text-steps 0 --lock-text --pretrained "$work/straight/text_step_4" --out "$work/scan" --highest-level scan
says "limited to the scan level"
[ "$(bits "$work/scan")" != "$want" ] || fail "limiting the levels changes nothing"
grep -A 30 '"blocks_of_level"' "$work/scan/step_8/model.json" | tr -d ' \n' | grep -q '\[0,3\],\[1,2,4,5\],\[\]' || fail "model.json does not say which levels there are"
expect 0 "${phantom[@]}" --steps 2 --out "$work/quirk" --scan-positions published
grep -q '"scan_positions_by_batch": true' "$work/quirk/step_2/model.json" || fail "the quirk is not stored"

# ---- the JSON layout -------------------------------------------------------------------------------------------------
tree=(--data-root "$work/phantom" --train-json "$work/phantom/train_phantom.json" --model brain_phantom --num-scans 3 --steps 2 --batch-size 4 --warmup 0)
expect 0 "$bin/train_brain_mri" "${tree[@]}" --valid-json "$work/phantom/valid_phantom.json" --valid-labels "$work/phantom/valid_labels.csv" --out "$work/layout"
says "^macro AUC"
expect 0 "$bin/evaluate" brain-mri --checkpoint "$work/layout" --data-root "$work/phantom" --studies "$work/phantom/valid_phantom.json" --labels "$work/phantom/valid_labels.csv" --out "$work/evaluated"
for file in "$work/layout/zero_shot.csv" "$work/evaluated/metrics.csv"; do grep '^Ischaemic stroke' "$file" | cut -d, -f1-7; done | uniq | wc -l | grep -q '^1$' || fail "evaluate gives another table than the run's last evaluation"
expect 2 "$bin/evaluate" brain-mri --checkpoint "$work/layout" --data-root "$work/phantom" --labels "$work/phantom/valid_labels.csv" --out "$work/x"
rm "$work/phantom/train/train_000003/DWI/img.safetensors"
expect 1 "$bin/train_brain_mri" "${tree[@]}" --out "$work/bad"
says "train_000003/DWI: holds no scan"
expect 0 "$bin/train_brain_mri" "${tree[@]}" --out "$work/skipped" --skip-bad
says "23 training studies"
grep -q train_000003 "$work/skipped/skipped_train.txt" || fail "the list of skipped studies lacks one"
expect 0 "$bin/train_brain_mri" "${tree[@]}" --out "$work/dry" --skip-bad --dry-run --memory-report
says "dry run done"
[ ! -e "$work/dry/step_2" ] || fail "a dry run left a checkpoint"

# ---- raw scans: two studies of real geometry, made from a NIfTI of the CT phantom ------------------------------------
expect 0 "$bin/train_ct_rate" --phantom 8 --phantom-valid 2 --steps 1 --text-steps 1 --out "$work/ct"
scans=$(find "$work/ct/phantom/dataset/train" -name '*.nii.gz' | sort | head -n 3)
i=0
for study in a b; do
  mkdir -p "$work/raw/$study"
  for file in $scans; do i=$((i + 1)) && cp "$file" "$work/raw/$study/scan$i.nii.gz"; done
  cp "$work/raw/$study/scan$i.nii.gz" "$work/raw/$study/tumour_seg.nii.gz"
done
printf 'not a volume' >"$work/raw/b/broken.nii"
expect 1 "$bin/preprocess_brain_mri" --data-root "$work/raw" --out "$work/prepared" --num-slices 12 --size 32
says "broken.nii"
rm "$work/raw/b/broken.nii"
expect 0 "$bin/preprocess_brain_mri" --data-root "$work/raw" --out "$work/prepared" --num-slices 12 --size 32
says "^0 written, 6 already there, 0 failed"
[ -z "$(find "$work/prepared" -path '*seg*')" ] || fail "a segmentation was taken for a scan"

# one file, folder or link that cannot be looked at does not end it; a source that changed, or a prepared scan that is damaged, is made again
prepare=("$bin/preprocess_brain_mri" --data-root "$work/raw" --out "$work/prepared" --num-slices 12 --size 32)
ln -s loop "$work/raw/loop"
ln -s "$work/absent.nii.gz" "$work/raw/a/absent.nii.gz"
mkdir "$work/raw/c"
echo locked >"$work/raw/c/slice"
chmod 000 "$work/raw/c"
expect 1 "${prepare[@]}"
says "raw/loop: cannot be looked at: Too many levels of symbolic links"
says "a/absent.nii.gz: is a link that leads nowhere"
[ "$(id -u)" = 0 ] || says "raw/c: cannot be listed"
says "^0 written, 6 already there"
chmod 700 "$work/raw/c"
rm -r "$work/raw/c" "$work/raw/loop" "$work/raw/a/absent.nii.gz"
cp "$work/raw/a/scan1.nii.gz" "$work/scan1"
cp "$work/scan1" "$work/raw/a/scan1.nii.gz"  # the same length at another time
expect 0 "${prepare[@]}"
says "^1 written, 5 already there"
expect 1 "$bin/train_brain_mri" --data-root "$work/prepared" --train-json "$work/prepared/train_studies.json" --model brain_phantom --num-scans 4 --steps 1 --out "$work/x"
says "has no report"
expect 0 "$bin/hlip_inspect" "$work/prepared/train_studies.json"
says "warning: 2 of 2 studies have no report, which training needs"
printf '{"s/1": {"scans": ["a/scan1.nii.gz", "a/scan2.nii.gz"], "report": ["One finding.", "Another."]}, "s/2": {"scans": ["b/scan4.nii.gz"], "report": ["Nothing."]}}' >"$work/studies.json"
prepare=("$bin/preprocess_brain_mri" --data-root "$work/raw" --studies "$work/studies.json" --out "$work/listed" --num-slices 12 --size 32)
expect 0 "${prepare[@]}" --threads 2
train=("$bin/train_brain_mri" --data-root "$work/listed" --train-json "$work/listed/train_studies.json" --model brain_phantom --num-scans 4 --steps 1 --out)
damaged=$work/listed/train/s/2/scan4/img.safetensors
printf '\x55' | dd of="$damaged" bs=1 seek=$(($(stat -c %s "$damaged") - 1000)) conv=notrunc status=none
expect 1 "${train[@]}" "$work/x"
says "s/2/scan4/img.safetensors: is damaged: its CRC-32 is"
expect 0 "${prepare[@]}"
says "^0 written, 3 already there"
expect 0 "${prepare[@]}" --verify
says "^1 written, 2 already there"
expect 0 "${train[@]}" "$work/trained"
says "2 training studies (3 scans"

# ---- the folder of a DICOM series is a scan --------------------------------------------------------------------------
dicom=$shared/data/dicom
if [ -d "$dicom" ]; then
  mkdir -p "$work/dicom/patient"
  mkdir "$work/dicom/patient/T1"
  cp "$dicom"/mr_t1_series/*18[4-9]* "$work/dicom/patient/T1"  # of an unevenly spaced series those slices that are even
  cp "$work/raw/a/scan1.nii.gz" "$work/dicom/patient/FLAIR.nii.gz"
  if "$bin/preprocess_brain_mri" --data-root "$work/dicom" --out "$work/series" --num-slices 12 --size 32 >"$work/log" 2>&1; then
    says "^2 written"
    says "train_studies.json: 1 studies"
    grep -A 3 '"T1"' "$work/series/train_studies.json" | grep -q '"num_slices": 274' || fail "the widest spacing of the series, 0.7 mm, is between its 274 columns"
    expect 0 "$bin/preprocess_brain_mri" --data-root "$work/dicom" --out "$work/series" --num-slices 12 --size 32
    says "^0 written, 2 already there"
    cp -r "$dicom/mr_t1_series" "$work/dicom/patient/uneven"
    cp -r "$dicom/ct_series_j2k" "$work/dicom/patient/CT"
    expect 1 "$bin/preprocess_brain_mri" --data-root "$work/dicom" --out "$work/series" --num-slices 12 --size 32
    says "uneven"
    says "Modality: is CT, expected MR"
  else
    says "built without DICOM support"
  fi
fi

# ---- wrong usage -----------------------------------------------------------------------------------------------------
expect 2 "$bin/train_brain_mri" --out "$work/x"
expect 2 "$bin/train_brain_mri" --data-root "$work/listed" --out "$work/x"
expect 2 "$bin/train_brain_mri" --phantom 24 --valid-labels x.csv --out "$work/x"
expect 2 "$bin/train_brain_mri" --phantom 24 --highest-level voxel --out "$work/x"
expect 2 "$bin/preprocess_brain_mri" --data-root "$work/raw" --out "$work/x" --split a_b
expect 1 "$bin/train_brain_mri" --phantom 24 --num-scans 5 --out "$work/x"
says "knows 4 scan positions"
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/trained" --volume "$work/raw/a/scan1.nii.gz"
says "is a model for MRI"
echo "brain_mri: all as documented"
