#!/usr/bin/env bash
# The encoder's later variants through the programs: two text targets, registers, pooled patches, a last block at the scan level, no table of
# scans. They train, go on from a checkpoint in the same bits, are stored in model.json, and are used as they were trained.
. "$(dirname "$0")/../support/script.sh"
bits() { (cd "$1/step_4" && cat model.safetensors optimizer.safetensors | sha256sum); }
stored() { grep -q "$2" "$1"/step_*/model.json || fail "model.json of $(basename "$1") does not say $2"; }

train=("$bin/train_ct_rate" --phantom 12 --phantom-valid 6 --batch-size 4 --workers 0 --phantom-root "$work/phantom" --text-steps 2)
expect 0 "${train[@]}" --dual-text --steps 4 --save-frequency-steps 2 --val-frequency 1 --out "$work/dual"
says "^retrieval on 6 pairs"
says "^macro AUC"
for entry in '"dual_text": true' '"pooling": "token_and_mean"' '"reg_tokens": 1'; do stored "$work/dual" "$entry"; done
expect 0 "$bin/hlip_inspect" "$work/dual/step_4/model.safetensors"
says '"visual.head.proj.weight" F32 (96, 192)'
says '"visual.trunk.reg_token" F32 (1, 1, 96)'
want=$(bits "$work/dual")
rm -r "$work/dual/step_4"
expect 0 "$bin/train_ct_rate" --resume latest --out "$work/dual" --phantom 12
[ "$(bits "$work/dual")" = "$want" ] || fail "the resumed run gives other bits"
printf '{"name": "phantom", "vision": {"reg_tokens": 1, "pooling": "token_and_mean"}}' >"$work/pooled.json"
expect 0 "${train[@]}" --steps 4 --model "$work/pooled.json" --out "$work/pooled"
[ "$(bits "$work/pooled")" != "$want" ] || fail "a second text target changes nothing"
expect 0 "${train[@]:0:5}" --batch-size 2 --workers 0 --phantom-root "$work/phantom" --dual-text --siglip --accum-freq 2 --steps 2 --out "$work/siglip"

# With LoRA either the matrices train or, as in the published loop, the LayerNorms: what trains has moments.
trained() { "$bin/hlip_inspect" "$1/step_2/optimizer.safetensors" | grep -o 'exp_avg_sq\.text\.transformer\.[^"]*' | grep -cv "$2" || true; }
for trains in matrices layer-norms; do expect 0 "${train[@]}" --steps 2 --lora-text --lora-text-trains $trains --out "$work/$trains"; done
[ "$(trained "$work/matrices" 'lora_')" = 0 ] && [ "$(trained "$work/matrices" 'none')" = 4 ] || fail "beside LoRA's matrices something trains, or not they"
[ "$(trained "$work/layer-norms" 'LayerNorm')" = 0 ] && [ "$(trained "$work/layer-norms" 'none')" = 6 ] || fail "beside LayerNorms something trains, or not they"

volume=$(find "$work/phantom" -path '*valid*' -name '*.nii.gz' | sort | head -n 1)
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/dual" --volume "$volume" --interpret "$work/looked"
[ "$(grep -cE ' [01]\.[0-9]{4}$' "$work/log")" = 16 ] || fail "not 16 findings"
[ -s "$work/looked/relevance_study.nii.gz" ] || fail "no relevance map"
expect 0 "$bin/evaluate" ct-rate --checkpoint "$work/dual" --data-root "$work/phantom/dataset" --already-hu --out "$work/evaluated" --resamples 20
says "^macro AUC"

printf '{"name": "phantom", "vision": {"blocks_of_level": [[0, 2], [1, 3], []]}}' >"$work/scan.json"
expect 0 "${train[@]}" --steps 2 --model "$work/scan.json" --out "$work/scan"
expect 0 "$bin/zero_shot_ct_rate" --checkpoint "$work/scan" --volume "$volume" --interpret "$work/scan_looked"
[ -s "$work/scan_looked/relevance_scan.nii.gz" ] && [ ! -e "$work/scan_looked/relevance_study.nii.gz" ] || fail "other levels than slice and scan"

printf '{"name": "brain_phantom", "dual_text": true, "vision": {"max_num_scans": 0, "reg_tokens": 1, "pooling": "token_and_mean"}}' >"$work/brain.json"
expect 0 "$bin/train_brain_mri" --phantom 8 --phantom-valid 6 --steps 2 --text-steps 1 --model "$work/brain.json" --out "$work/brain"
says "^macro AUC"
stored "$work/brain" '"max_num_scans": 0'

# Self-distillation of volumes, CT and MRI: stopped and resumed in the same bits, and a start for training with reports.
volumes=("$bin/train_rad_dino" --volumes "$work/phantom/dataset" --model phantom --batch-size 4 --local-crops 2 --steps 4 --warmup 1 --workers 0)
expect 0 "${volumes[@]}" --save-frequency-steps 2 --out "$work/volumes"
says "^12 studies (12 scans); encoder phantom"
want=$(bits "$work/volumes")
rm -r "$work/volumes/step_4"
expect 0 "$bin/train_rad_dino" --resume latest --threads 1 --out "$work/volumes"
[ "$(bits "$work/volumes")" = "$want" ] || fail "self-distillation of volumes gives other bits on one thread, resumed"
expect 0 "${train[@]}" --steps 2 --pretrained "$work/volumes/encoder/model.safetensors" --out "$work/begun"
says "^  loaded   "
expect 0 "${volumes[@]}" --pretrained "$work/volumes/encoder/model.safetensors" --dry-run --out "$work/on"
# what the run is too short for is said, whoever chose it
expect 0 "$bin/train_rad_dino" --volumes "$work/phantom/dataset" --model phantom --batch-size 4 --local-crops 2 --epochs 1 --workers 0 --dry-run --out "$work/on"
says "^warning: the warm-up of 100 steps is as long as the run of 3: the learning rate never gets past "
says "^warning: the teacher's temperature rises over 500 steps, the run has 3"
says "^warning: prototypes begin to move after 10 steps, the run has 3"
# the recipe of drawn pictures counts the batches that a step takes
expect 0 "$bin/train_rad_dino" --phantom 640 --print-config --out "$work/on"
says '^warmup = "7"$'
expect 0 "$bin/train_rad_dino" --phantom 640 --accum-freq 2 --accum-batch 2 --print-config --out "$work/on"
says '^warmup = "1"$'
says '^warmup-teacher-temp-steps = "8"$'
brain=("$bin/train_rad_dino" --volumes "$work/brain/phantom/train_phantom.json" --model brain_phantom --batch-size 4 --steps 2 --warmup 1 --num-scans 3)
expect 0 "${brain[@]}" --local-voxels 4 16 16 --out "$work/brain_volumes"
says "^8 studies (.* scans); encoder brain_phantom"
expect 2 "${brain[@]}" --ct-preset spacing=1,1,1 --out "$work/x"
says "means nothing without a tree of CT"

printf '{"name": "phantom", "dual_text": true}' >"$work/bad.json"
expect 1 "${train[@]}" --steps 2 --model "$work/bad.json" --out "$work/x"
says "two text targets need an encoder with 2 outputs, this one has 1"
echo "variants: trained, resumed and used"
