#!/usr/bin/env bash
# Bad input and the programs around training: a damaged volume stops a run before its first step with the complete list,
# --skip-bad leaves it out and says so, wrong usage exits with 2, and the other programs answer as documented.
. "$(dirname "$0")/../support/script.sh"

expect 0 "$bin/train_ct_rate" --phantom 8 --steps 1 --text-steps 1 --out "$work/run"
says "synthetic"
says "reports: all 8 fit into the 128 tokens the model reads"
tree=$work/run/phantom/dataset
for part in "Image stage" "Zero-shot findings" "Map of embeddings" "data:image/png;base64," "Configuration"; do
  grep -q "$part" "$work/run/report.html" || fail "report.html lacks: $part"
done
cp "$work/run/report.html" "$work/page"
expect 0 "$bin/hlip_report" "$work/run"
cmp -s "$work/page" "$work/run/report.html" || fail "hlip_report makes another page than train_ct_rate"
expect 1 "$bin/hlip_report" "$work"
says "is no run"
good=$tree/train/train_1/train_1_a/train_1_a_1.nii.gz

# two studies go bad: one file is cut, one is gone
cut=$tree/train/train_3/train_3_a/train_3_a_1.nii.gz
head -c 20000 "$cut" >"$work/cut" && cp "$work/cut" "$cut"
rm "$tree/train/train_5/train_5_a/train_5_a_1.nii.gz"
printf '{"name": "phantom", "text": {"hidden_size": 24}, "vision": {"img_size": [32, 48, 64], "embed_dim": 24}, "embed_dim": 16}' >"$work/tiny.json"
train=("$bin/train_ct_rate" --data-root "$tree" --model "$work/tiny.json" --steps 2 --batch-size 3 --warmup 0)
expect 1 "${train[@]}" --out "$work/stopped"
says "train_3_a_1.nii.gz"
says "train_5_a_1.nii.gz"
[ ! -e "$work/stopped/step_1" ] || fail "a step was made in spite of bad studies"
expect 0 "${train[@]}" --out "$work/skipped" --skip-bad
says "skipped_train.txt"
grep -q train_3_a_1 "$work/skipped/skipped_train.txt" || fail "the list of skipped studies lacks one"
grep -q train_5_a_1 "$work/skipped/skipped_train.txt" || fail "the list of skipped studies lacks one"

expect 0 "${train[@]}" --out "$work/dry" --skip-bad --dry-run --memory-report
says "image stage, expected peak memory"
[ "$(grep -cE '^(parameters|gradients|optimizer|activations|data|other|all) +[0-9.]+ +[0-9.]+$' "$work/log")" = 7 ] || fail "not one line for each category of memory"
[ ! -e "$work/dry/step_2" ] || fail "a dry run left a checkpoint"

# values that are no HU: training leaves the study out or stops, inference warns
blank=$tree/train/train_7/train_7_a/train_7_a_1.nii.gz
cp "$blank" "$work/train_7.nii.gz"
python3 - "$work/display.nii" "$blank" <<'PY'
import gzip, struct, sys
def nifti(values, code, name):
    h = bytearray(352)
    struct.pack_into("<i", h, 0, 348)
    struct.pack_into("<8h", h, 40, 3, 64, 48, 32, 1, 1, 1, 1)
    struct.pack_into("<2h", h, 70, {"B": 2, "f": 16}[code], {"B": 8, "f": 32}[code])
    struct.pack_into("<8f", h, 76, 1, 5, 5, 9, 1, 1, 1, 1)
    struct.pack_into("<3f", h, 108, 352, 1, 0)
    h[123] = 2
    struct.pack_into("<h", h, 254, 1)
    for r, row in enumerate(((5, 0, 0), (0, 5, 0), (0, 0, 9))):
        struct.pack_into("<4f", h, 280 + 16 * r, *row, 0)
    h[344:348] = b"n+1\0"
    data = bytes(h) + struct.pack("<%d%s" % (len(values), code), *values)
    open(name, "wb").write(gzip.compress(data) if name.endswith(".gz") else data)
nifti([i * 7 % 256 for i in range(64 * 48 * 32)], "B", sys.argv[1])
nifti([float("nan")] * (64 * 48 * 32), "f", sys.argv[2])
PY
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$work/display.nii"
says "(-1024 to -769 HU); the probabilities mean nothing if this is so"
expect 1 "${train[@]}" --out "$work/stopped"
says "train_7_a_1.nii.gz: all voxels are equal"
expect 0 "${train[@]}" --out "$work/blank" --skip-bad --report-examples 0
grep -q "train_7_a_1.nii.gz: all voxels are equal" "$work/blank/skipped_train.txt" || fail "the list of skipped studies lacks the blank one"
cp "$work/train_7.nii.gz" "$blank"

# the check of the whole tree finds the same two, and a volume that is in both splits
cp "$good" "$tree/valid/valid_2/valid_2_a/valid_2_a_1.nii.gz"
expect 1 "$bin/check_data" --data-root "$tree" --out "$work/check"
says "train_3_a_1.nii.gz"
says "train_5_a_1.nii.gz"
says "leak: valid_2_a_1: has the same voxels as train_1_a_1 of split train"
grep -q '"faults": 3' "$work/check/check_data.json" || fail "check_data.json does not count three faults"
grep -q "has the same voxels" "$work/check/check_data.html" || fail "check_data.html lacks the leak"
expect 0 "$bin/check_data" --data-root "$tree" --split valid --out "$work/check"
expect 1 "$bin/check_data" --data-root "$work" --out "$work/check"
expect 2 "$bin/check_data" --data-root "$tree"

# a checkpoint that names one list many times over is refused wherever weights are read
hostile=$source/tests/fuzz/corpus/torch/ordered_dicts.pt
for command in "$bin/hlip_inspect $hostile" "$bin/zero_shot_ct_rate --volume $good --checkpoint $hostile --vocab $source/tests/golden/interop/vocab.txt" \
  "${train[*]} --out $work/hostile --skip-bad --pretrained $hostile"; do
  expect 1 $command
  says "ordered_dicts.pt: x/data.pkl, byte .*: lists are used many times over"
done

# a matrix of 2^50 rows and no columns makes no model of that size
expect 1 "$bin/zero_shot_ct_rate" --volume "$good" --checkpoint "$source/tests/fuzz/corpus/torch/no_width.pt" --vocab "$work/run/step_1/vocab.txt" --model phantom
says "no_width.pt: does not hold all of the model phantom"

# names of files and studies are printed with control characters made visible
evil=$work/$'evil\e]0;x\a\n'
cp "$good" "$evil.nii.gz"
printf '{"study\\u001b[2J": {"scans": ["../x\\u009b"]}}' >"$evil.json"
expect 0 "$bin/hlip_inspect" "$evil.nii.gz"
expect_visible() { says 'evil\\x1b\]0;x\\x07\\x0a'; ! LC_ALL=C grep -q $'[\x01-\x09\x0b-\x1f\x7f]\|\xc2\x9b' "$work/log" || fail "prints control characters"; }
expect_visible
expect 1 "$bin/hlip_inspect" "$evil.json"
expect_visible
says 'study "study\\x1b\[2J": scan "../x\\xc2\\x9b" leads out'
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$evil.nii.gz"
expect_visible
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$evil.nii"
expect_visible
expect 2 "$bin/hlip_inspect" "$good" $'--evil\e]0;x\a'
says '--evil\\x1b\]0;x\\x07'

# wrong usage
expect 2 "$bin/train_ct_rate" --phantom 8 --stesp 3 --out "$work/x"
says "did you mean --steps"
expect 2 "$bin/train_ct_rate" --phantom 8 --zzzzzz 3 --out "$work/x"
! grep -q "did you mean" "$work/log" || fail "a far-fetched suggestion"
expect 2 "$bin/train_ct_rate" --phantom 8 --model vit_bas --out "$work/x"
says "did you mean vit_base_singlescan_h2_token2744?"
expect 2 "$bin/train_ct_rate" --phantom 8 --model resnet --out "$work/x"
says "it may be vit_base_singlescan_h2_token2744, "
expect 0 "$bin/train_ct_rate" --help
says "brain_phantom"
expect 2 "$bin/train_ct_rate" --data-root "$tree" --phantom-seed 3 --out "$work/x"
expect 2 "$bin/train_ct_rate" --out "$work/x"
expect 2 "$bin/hlip_inspect"
expect 2 "$bin/zero_shot_ct_rate" --volume "$good"

# the other programs
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good"
[ "$(grep -cE ' 0\.[0-9]{4}$' "$work/log")" = 16 ] || fail "not one line for each of 16 findings"
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$cut"
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good" --spacing 8.5,5,5
says "voxels of 8.5 × 5 × 5 mm"
expect 2 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good" --spacing 9,5,nan
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good" --precision tf32
says "only some GPUs do"

# where the model looked: maps on the scan's voxels and a montage
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good" --interpret "$work/looked" --finding "Pleural effusion"
says "relevance for Pleural effusion at the slice level"
says "relevance for Pleural effusion at the study level"
[ "$(head -c 4 "$work/looked/montage.png" | tail -c 3)" = PNG ] || fail "the montage is no PNG"
shape() { "$bin/hlip_inspect" -q "$1" | grep -oE '\([0-9, ]+\) of [0-9.]+ x [0-9.]+ x [0-9.]+ mm \(D, H, W\)'; }
[ "$(shape "$work/looked/relevance_study.nii.gz")" = "$(shape "$good")" ] || fail "the map does not have the voxels of the scan"
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good" --interpret "$work/looked" --finding "Pleural efusion"
says "expected one of"
expect 2 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$good" --finding "Pleural effusion"
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/stopped" --volume "$good"
expect 0 "$bin/hlip_inspect" "$good" "$work/run/step_1/model.safetensors"
expect 1 "$bin/hlip_inspect" "$good" "$cut"
says "train_3_a_1.nii.gz"
expect 1 "$bin/preprocess_ct_rate" --data-root "$tree" --split train --out "$work/cache" --spacing 9,5,5
says "train_3_a_1.nii.gz"
expect 0 "$bin/preprocess_ct_rate" --data-root "$tree" --split valid --out "$work/cache" --spacing 9,5,5
expect 0 "$bin/preprocess_ct_rate" --data-root "$tree" --split valid --out "$work/cache" --spacing 9,5,5
says "^0 written, 16 already there, 0 failed"

# a cached volume in place of a file
cached=$(find "$work/cache" -name '*.safetensors' | sort | head -n 1)
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$cached" --timing
[ "$(grep -cE ' 0\.[0-9]{4}$' "$work/log")" = 16 ] || fail "not one line for each of 16 findings of a cached volume"
says "cached from"
says "timing: start .* without the forward passes"
expect 2 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$cached" --already-hu
expect 2 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$cached" --spacing 9,5,5

# damage of a cached volume is found, and made good; a copied tree is known by its contents, a changed source is not
damage() { printf '\x55' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - 1000)) conv=notrunc status=none; }
cached=$(find "$work/cache" -path '*/valid/*' -name '*.safetensors' | sort | head -n 1)
damage "$cached"
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$cached"
says "is damaged: its CRC-32 is"
again=("$bin/preprocess_ct_rate" --data-root "$tree" --split valid --out "$work/cache" --spacing 9,5,5)
expect 0 "${again[@]}" --verify
says "^1 written, 15 already there, 0 failed"
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$cached"
touch "$tree"/valid/valid_*/valid_*_a/*.nii.gz
expect 0 "${again[@]}"
says "^0 written, 16 already there, 0 failed"
changed=$tree/valid/valid_1/valid_1_a/valid_1_a_1.nii.gz
cp "$changed" "$work/unchanged.nii.gz"
damage "$changed"
expect 1 "${again[@]}"
says "^0 written, 15 already there, 1 failed"
cp "$work/unchanged.nii.gz" "$changed"
expect 1 "$bin/zero_shot_ct_rate" --checkpoint "$work/run" --volume "$work/run/step_1/model.safetensors"
says "is not a cached CT volume"
echo "bad_studies: all as documented"
