#!/usr/bin/env bash
# From a fresh clone to a table of zero-shot results: installs what is missing, builds the programs, trains on generated
# scans and prints how well findings are named in volumes that were never seen.
#
#   scripts/demo.sh                     chest CT; about a quarter of an hour on two cores
#   scripts/demo.sh brain               brain MRI, four sequences a study, and beside it the same model whose attention
#                                       ends at the scan and at the slice; as long
#   scripts/demo.sh brain --seeds 5     the same from five starts (seeds 0 to 4), and what attention across scans gains over them
#   scripts/demo.sh cxr                 chest radiographs: an encoder learns without labels; probes of it, of the same encoder
#                                       untrained, of one trained with labels, and of one that learned as the first did, but
#                                       from pictures whose patches are shuffled; masks of structures by heads on such encoders;
#                                       reports, beside those of other pictures
#   scripts/demo.sh --shuffle-reports   the control: reports of other studies, so nothing can be learned (also with brain)
#   scripts/demo.sh --short             a minute, only to see that everything works (also with brain and cxr)
# Other options are handed to train_ct_rate, train_brain_mri or train_rad_dino.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=ct
case ${1:-} in brain | cxr) kind=$1 && shift ;; esac
out=runs/demo
if [ $kind != ct ]; then out=runs/demo_$kind; fi
short=""
seeds=1
extra=()
while [ $# -gt 0 ]; do
  case $1 in
    --short) short=yes out=${out}_short ;;
    --shuffle-reports) extra+=("$1") out=${out}_shuffled ;;
    --seeds)
      seeds=${2:-}
      shift
      if [ $kind != brain ] || ! [[ $seeds =~ ^[1-9][0-9]?$ ]]; then
        echo "demo: --seeds wants a number of starts from 1 to 99, and goes with brain" >&2
        exit 2
      fi
      ;;
    *) extra+=("$1") ;;
  esac
  shift
done

# ---- what is trained ----------------------------------------------------------------------------------------------
# The recipes are in the programs (--print-config shows them); the generated studies are shared by a demo and its control.
if [ $kind = ct ]; then
  programs=(train_ct_rate zero_shot_ct_rate)
  arguments=(--phantom 6000 --phantom-root runs/phantoms)
  if [ -n "$short" ]; then arguments=(--phantom 200 --steps 20 --phantom-root runs/phantoms_short); fi
elif [ $kind = cxr ]; then
  programs=(train_rad_dino train_radiograph_labels encode_radiographs probe_radiographs look_at_radiographs segment_radiographs write_reports)
  drawn=runs/radiograph_phantoms
  arguments=(--phantom 12000)
  labels=(--epochs 12)
  masks=(--phantom 4000)
  steps_of() { case $1 in linear) echo 660 ;; upernet) echo 440 ;; unet) echo 350 ;; esac; }
  reports=(--epochs 8)
  if [ -n "$short" ]; then
    drawn+=_short arguments=(--phantom 200 --steps 20) labels=(--steps 20 --warmup 2) masks=(--phantom 80) reports=(--steps 20)
    steps_of() { echo 8; }
  fi
  arguments+=(--phantom-size 64 --phantom-root $drawn)
else
  programs=(train_brain_mri)
  arguments=(--phantom 3000 --phantom-root runs/brain_phantoms)
  if [ -n "$short" ]; then arguments=(--phantom 200 --steps 20 --phantom-root runs/brain_phantoms_short); fi
fi
# --------------------------------------------------------------------------------------------------------------------

scripts/setup.sh
scripts/configure.sh release
echo "demo: building"
if ! cmake --build build/release --parallel "${HLIP_JOBS:-$(nproc 2>/dev/null || echo 2)}" --target "${programs[@]}" >build/release/build.log 2>&1; then
  tail -n 40 build/release/build.log >&2
  exit 1
fi

rm -rf "$out"  # a demo starts afresh; your own runs belong elsewhere
if [ $kind = ct ]; then exec build/release/bin/train_ct_rate "${arguments[@]}" --out "$out" "${extra[@]}"; fi

# The encoder that never saw a label, and what its probe is to be compared with.
if [ $kind = cxr ]; then
  bin=build/release/bin
  $bin/train_rad_dino "${arguments[@]}" --out "$out" "${extra[@]}"
  echo "demo: the control learns from pictures whose patches are shuffled"
  $bin/train_rad_dino "${arguments[@]}" --shuffle-patches --out "$out/control" "${extra[@]}"
  table=$drawn/radiographs.csv model=radiograph_phantom_tiny
  echo "demo: the same encoder, trained with labels"
  $bin/train_radiograph_labels --images "$table" --model $model --out "$out/labels" "${labels[@]}"
  features() {  # features NAME MODEL
    $bin/encode_radiographs "$table" --no-patches --batch-size 64 --name "$1" --model "$2" --out "$out/features_$1.safetensors"
  }
  features pre-trained "$out"
  features untrained untrained:$model
  features labels "$out/labels/encoder"
  features control "$out/control"
  probe=()
  for name in pre-trained untrained labels control; do probe+=(--features "$out/features_$name.safetensors"); done
  $bin/probe_radiographs "${probe[@]}" --labels "$table" --standardise --lr 0.001,0.01 --out "$out/probe" | tee "$out/probe.txt" | sed '$d'

  echo "demo: the same encoder learns without masked patches; then masks: heads on frozen encoders, and a U-Net"
  $bin/train_rad_dino "${arguments[@]}" --ibot-weight 0 --out "$out/no_mim" "${extra[@]}"
  segment() {  # segment ENCODER HEAD MODEL
    mkdir -p "$out/masks"
    $bin/segment_radiographs train "${masks[@]}" --steps "$(steps_of "$2")" --phantom-root ${drawn}_masks --encoder "$3" --head "$2" --save-frequency 0 \
      --out "$out/masks/$1,$2" >"$out/masks/$1,$2.log"
  }
  for head in linear upernet; do
    segment pre-trained $head "$out/encoder"
    segment untrained $head untrained:$model
    segment no-MIM $head "$out/no_mim/encoder"
  done
  segment none unet none
  echo "demo: reports"
  $bin/write_reports train --encoder "$out/encoder" --images "$table" --report-column impression --batch-size 32 "${reports[@]}" --lr 2e-3 \
    --decoder-width 96 --decoder-layers 2 --save-frequency 0 --out "$out/writer" >"$out/writer.log"
  $bin/write_reports apply --model "$out/writer" "$table" --report-column impression --batch-size 64 --shuffle-images --out "$out/reports" |
    tee "$out/reports.txt" | grep -v '^For research'
  echo
  echo "Dice by encoder and head, mean over $(awk -F, '$1 == "lungs" && $2 == "" { print $3 }' "$out/masks/none,unet/dice_summary.csv") pictures (95 % CI); of the tube where there is one"
  for run in "$out"/masks/*/; do
    awk -F, -v name="$(basename "$run")" '
      FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
      $2 == "" && $1 == "tube" { line = line ($at["dice_present"] == "" ? "  tube -" : sprintf("  tube %.3f (%.3f-%.3f)", $at["dice_present"], $at["present_low"], $at["present_high"])); next }
      $2 == "" && $1 != "macro" { line = line sprintf("  %s %.3f (%.3f-%.3f)", $1, $at["dice"], $at["dice_low"], $at["dice_high"]) }
      END { split(name, of, ","); printf "%-12s %-8s%s\n", of[1], of[2], line }' "$run/dice_summary.csv"
  done | tee "$out/masks.txt"
  $bin/look_at_radiographs $drawn/images/synthetic_00000{0,2}.png --model "$out" --out "$out/look"
  echo "demo: pages: $out/probe/probe.html, $out/look/look.html; masks and reports: $out/masks.txt, $out/reports.txt; all pictures are synthetic"
  untrained=$(awk -F, '$1 == "untrained" && $2 == "macro" {printf "%.3f", $5}' "$out/probe/probe.csv")
  sed -n "\$ s/, \([0-9]* pictures\)/, untrained $untrained, \1/p" "$out/probe.txt"
  exit
fi

# The three models of a seed have the same weights to begin with, the same text tower, data, order and number of steps.
start=()
train() { build/release/bin/train_brain_mri "${arguments[@]}" "${start[@]}" "$@" "${extra[@]}"; }
for ((seed = 0; seed < seeds; seed++)); do
  run=$out
  [ "$seeds" = 1 ] || run=$out/seed_$seed start=(--seed "$seed")
  mkdir -p "$run"
  echo "demo: slice, scan and study attention"
  train --out "$run/study" | tee "$run/study.log"
  text=$(find "$run/study" -maxdepth 1 -name 'text_step_*' | sort -V | tail -n 1)
  for level in scan slice; do
    echo "demo: the same model, no attention beyond the $level"
    train --out "$run/$level" --highest-level $level --text-steps 0 --lock-text --pretrained "$text"
  done

  echo
  echo "AUC on synthetic studies, by the highest level at which blocks attend (macro: 95 % CI over the studies, seed $seed)"
  awk -F, '
    FNR == 1 { model++; for (i = 1; i <= NF; i++) column[$i] = i; next }
    { if (model == 1) name[++rows] = $1
      auc[model, FNR] = sprintf($1 == "mean" ? "%.3f (%.3f-%.3f)" : "%.3f", $column["auc"], $column["auc_low"], $column["auc_high"]) }
    END {
      printf "%-22s %-20s %-20s %-20s\n", "finding", "study", "scan", "slice"
      for (r = 1; r <= rows; r++) printf "%-22s %-20s %-20s %-20s\n", name[r] == "mean" ? "macro" : name[r], auc[1, r + 1], auc[2, r + 1], auc[3, r + 1]
    }' "$run"/{study,scan,slice}/zero_shot.csv | tee "$run/levels.txt"
done

if [ "$seeds" = 1 ]; then
  echo "One start of each model: the intervals do not hold how much another one changes (--seeds 5 shows that; docs/phantom.md)."
else
  # Models of one seed are a pair: of the differences the mean, its 95 % interval (Student's t) and their spread.
  echo
  echo "what study attention gains in AUC, over $seeds starts: mean (95 % interval), standard deviation"
  for level in scan slice; do
    tables=()
    for ((seed = 0; seed < seeds; seed++)); do tables+=("$out/seed_$seed"/{study,$level}/zero_shot.csv); done
    awk -F, -v level=$level '
      BEGIN { split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093", t, " ") }
      FNR == 1 { file++; for (i = 1; i <= NF; i++) if ($i == "auc") auc = i; next }
      file % 2 { study[$1] = $auc; next }
      { d = study[$1] - $auc; if (!($1 in n)) name[++rows] = $1; n[$1]++; sum[$1] += d; squares[$1] += d * d }
      END {
        printf "%-22s study against %s\n", "", level
        for (r = 1; r <= rows; r++) {
          f = name[r]; mean = sum[f] / n[f]; rest = squares[f] - n[f] * mean * mean
          if (n[f] < 2) continue
          spread = rest > 0 ? sqrt(rest / (n[f] - 1)) : 0
          half = (n[f] - 1 in t ? t[n[f] - 1] : 2.1) * spread / sqrt(n[f])
          printf "%-22s %+.3f (%+.3f to %+.3f), %.3f\n", f == "mean" ? "macro" : f, mean, mean - half, mean + half, spread
        }
      }' "${tables[@]}"
  done | tee "$out/gain.txt"
fi
tail -n 1 "$run/study.log"
