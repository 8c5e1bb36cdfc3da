#!/usr/bin/env bash
# Ablations with stand-ins for the programs they start, which write what the real ones do: a table and a page come out, steps that are done are not
# repeated, a program that fails is named, SIGTERM reaches the one that runs and ends with 0.
. "$(dirname "$0")/../support/script.sh"
mkdir "$work/bin"
cp "$bin/ablate_rad_dino" "$work/bin/"
ablate=$work/bin/ablate_rad_dino
export ABLATE_CALLS=$work/calls ABLATE_FAILS= ABLATE_WAITS=

# Every stand-in notes that it was called and makes its file; larger pictures and more labels give better numbers, masks nothing.
cat >"$work/stand_in" <<'SH'
#!/usr/bin/env bash
set -euo pipefail
name=${0##*/} all=" $* " seed=0 fraction=1
while [ $# -gt 0 ]; do
  case $1 in --out) out=$2 ;; --phantom-root) root=$2 ;; --seed) seed=$2 ;; --train-fraction) fraction=$2 ;; esac
  shift
done
echo "$name$all" >>"$ABLATE_CALLS"
if [ "$ABLATE_FAILS" = "$name" ]; then
  printf 'one line\nwhat is wrong with %s\n' "$name" >&2
  exit 3
elif [ "$ABLATE_WAITS" = "$name" ]; then
  trap 'echo "a checkpoint is written"; exit 0' TERM
  echo waiting
  for _ in $(seq 600); do sleep 0.1; done
fi
case $name in
  train_rad_dino)
    mkdir -p "$root" "$out/encoder"
    echo image >"$root/radiographs.csv"
    case $all in *" --dry-run "*) ;; *) : >"$out/encoder/model.safetensors" ;; esac
    ;;
  encode_radiographs) : >"$out" ;;
  probe_radiographs)
    mkdir -p "$out"
    pixels=40
    case $out in *px/*) pixels=${out%px/*} pixels=${pixels##*/} ;; esac
    awk -v pixels="$pixels" -v seed="$seed" -v fraction="$fraction" 'BEGIN {
      draw = 0.001 * seed * seed + 0.1 * fraction
      print "encoder,finding,auprc"
      for (i = split("Lung nodule,Tube,Air rim", small, ","); i; i--) printf "x,%s,%.6f\n", small[i], pixels / 100 + draw * pixels / 64
      for (i = split("Emphysema,Pleural effusion,Cardiomegaly", large, ","); i; i--) printf "x,%s,%.6f\n", large[i], 0.7 + draw / 9
      print "x,macro,0"
    }' >"$out/probe.csv"
    ;;
  segment_radiographs)
    case $all in " train "*) ;; *) exit 2 ;; esac
    mkdir -p "$out"
    printf 'structure,class,pictures,dice_present\nlungs,,9,0.5\nzones,,9,0.5\nribs,,9,0.5\ntube,,9,0.5\n' >"$out/dice_summary.csv"
    ;;
esac
SH
chmod +x "$work/stand_in"
for name in train_rad_dino encode_radiographs probe_radiographs segment_radiographs; do cp "$work/stand_in" "$work/bin/$name"; done

expect 0 "$ablate" resolution --out "$work/r" --dry-run
[ "$(grep -c . "$work/log")" = 28 ] || fail "a dry run does not print 28 commands"
says "bin/train_rad_dino --phantom 12000 .*--global-size 48 --local-size 24 .*--out $work/r/seed_2/48px/run --resume latest"
[ ! -e "$work/r" ] && [ ! -e "$work/calls" ] || fail "a dry run leaves something"
# a slash behind a folder changes nothing: other sets lie beside it
"$ablate" no-mim --out "$work/r" --phantom-root "$work/kept" --dry-run >"$work/plain"
"$ablate" no-mim --out "$work/r/" --phantom-root "$work/kept/" --dry-run >"$work/slashes"
cmp "$work/plain" "$work/slashes" || fail "a slash at the end of a folder changes the commands"
# of a hundredth of fewer pictures a probe has nothing to learn
expect 0 "$ablate" few-labels --out "$work/r" --short --dry-run
says "train_rad_dino --phantom 1200 "
expect 2 "$ablate" few-labels --out "$work/r" --short --phantom 256
says "few-labels wants 1200 pictures or more"

# the end of a log, and what is done stays done
ABLATE_FAILS=probe_radiographs expect 1 "$ablate" resolution --out "$work/r" --threads 2
says "ablate_rad_dino: probe_radiographs: exit code 3; the end of $work/r/seed_0/32px/probe.log:"
says "what is wrong with probe_radiographs"
mv "$work/calls" "$work/before"
expect 0 "$ablate" resolution --out "$work/r/"
[ "$(cat "$work/before" "$work/calls" | wc -l)" = 29 ] || fail "not every step was run once, and the one that failed again"
grep -q -- "--threads" "$work/calls" && fail "threads that nobody asked for"
says "agrees: small findings gain from larger pictures (AUPRC small findings, 64px less 32px: +0.37"
says "agrees: they gain more than large findings"
says "agrees: large findings change little .*expected between -0.05 and 0.05"
says "All pictures are synthetic"
tail -n 1 "$work/log" | grep -Fxq "resolution: 3 of 3 agree, 3 seeds" || fail "another last line"
python3 - "$work/r" <<'PY' || fail "the tables or the page are not what they should be"
import csv, statistics, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/ablation.csv")))
seeds = list(csv.DictReader(open(sys.argv[1] + "/seeds.csv")))
page = open(sys.argv[1] + "/ablation.html").read()
of = lambda variant: [float(r["value"]) for r in seeds if r["variant"] == variant and r["name"] == "Tube"]
row = next(r for r in rows if r["variant"] == "64px" and r["name"] == "Tube")
differences = [a - b for a, b in zip(of("64px"), of("32px"))]
half = 4.302652730 * statistics.stdev(differences) / 3 ** 0.5
good = len(rows) == 30 and len(seeds) == 90 and row["seeds"] == "3" and abs(float(row["sd"]) - statistics.stdev(of("64px"))) < 1e-9
good = good and abs(float(row["difference_low"]) - (statistics.mean(differences) - half)) < 1e-7
sys.exit(not (good and page.count("<svg") == 10 and "All pictures are synthetic" in page and "arXiv 2401.10815" in page and "3 of 3 agree" in page))
PY
rm "$work/calls"
expect 0 "$ablate" resolution --out "$work/r"
[ ! -e "$work/calls" ] || fail "what is done is done again"
expect 1 "$ablate" resolution --out "$work/r" --steps 7
says "pretrain.done: was made by another command"
[ ! -e "$work/calls" ] || fail "other options were mixed into an ablation"
expect 0 "$ablate" resolution --out "$work/r" --seeds 4
[ "$(wc -l <"$work/calls")" = 9 ] || fail "a fourth seed is not nine steps"

# the others; one of them has nothing to find
for name in initialisation data-size no-mim few-labels; do
  expect 0 "$ablate" $name --out "$work/$name" --short
  tail -n 1 "$work/log" | grep -q "^$name: .*2 seeds$" || fail "no result of $name"
done
says "undecided: .*Dice lungs, pre-trained 1 % less untrained 1 %: +0.000"
grep -q "segment_radiographs train .*--train-fraction 0.01" "$work/calls" || fail "heads on few labels get all"

# SIGTERM goes to the program that runs; one whose ablation is killed is asked to end too
rm "$work/calls"
begin() {  # begin: an ablation that waits for a program in $pid, when that has begun
  ABLATE_WAITS=encode_radiographs "$ablate" no-mim --out "$work/stopped" >"$work/log" 2>&1 &
  pid=$!
  until grep -sq waiting "$work/stopped/seed_0/mim/encode.log" || ! kill -0 "$pid"; do sleep 0.02; done
}
begin
"$ablate" no-mim --out "$work/stopped" >"$work/busy" 2>&1 && fail "two at once"
grep -q "is in use by ablate_rad_dino" "$work/busy" || fail "who is at work is not said"
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
for _ in $(seq 200); do
  grep -q "a checkpoint is written" "$work/stopped/seed_0/mim/encode.log" && break
  sleep 0.05
done
grep -q "a checkpoint is written" "$work/stopped/seed_0/mim/encode.log" || fail "a killed ablation leaves its program behind"
rm "$work/stopped/seed_0/mim/encode.log"
begin
kill -TERM "$pid"
wait "$pid" || fail "a stopped ablation exits with $?"
says "stopped; the same command goes on"
grep -q "a checkpoint is written" "$work/stopped/seed_0/mim/encode.log" || fail "the program that ran was not asked to end"
[ ! -e "$work/stopped/seed_0/mim/encode.done" ] || fail "what was stopped counts as done"
expect 0 "$ablate" no-mim --out "$work/stopped"
grep -c pretrain "$work/log" | grep -qx 5 || fail "the first pre-training was repeated, or another left out"

expect 2 "$ablate" size --out "$work/x"
says "NAME: size not in"
expect 2 "$ablate" no-mim --out "$work/x" --seeds 2
says "three or more"
rm "$work/bin/encode_radiographs"
expect 1 "$ablate" no-mim --out "$work/x"
says "bin/encode_radiographs: is not there or cannot be run"
[ ! -e "$work/x/draw.log" ] || fail "begun without all programs"

# the programs themselves, where all of them are built, take the options that they are started with
if [ -x "$bin/train_rad_dino" ] && [ -x "$bin/segment_radiographs" ]; then
  expect 0 "$bin/ablate_rad_dino" no-mim --short --out "$work/real"
  says "^no-mim: .* of 4 agree, .*, 2 seeds"
fi
echo "ablate: tables, steps that go on, faults named"
