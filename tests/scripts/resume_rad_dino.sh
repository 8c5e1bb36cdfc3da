#!/usr/bin/env bash
# A pre-training of radiographs that is killed at random moments ends in the same bits as one that was left alone: student, teacher, centres,
# moments, and the encoder it leaves; so do runs with other numbers of threads, and a run stopped by SIGTERM exits with 0. What does not fit
# the run leaves it as it is. HLIP_KILLS sets how often (default 3).
. "$(dirname "$0")/../support/script.sh"
. "$(dirname "$0")/../support/killed_runs.sh"
kills=${HLIP_KILLS:-3}
train=("$bin/train_rad_dino" --phantom 24 --phantom-size 48 --phantom-root "$work/phantom" --global-size 32 --local-size 16 --local-crops 2
       --separate-heads --head-prototypes 64 --head-hidden 32 --head-bottleneck 16 --batch-size 4 --steps 12 --save-frequency-steps 2)
bits() { (cd "$1" && cat step_12/{model,teacher,centres,optimizer}.safetensors encoder/* | sha256sum); }
expect 0 "${train[@]}" --out "$work/drawn" --threads 2 --dry-run  # the phantoms, for all
run_straight
[ "$(cut -d, -f2 "$work/straight/metrics.csv" | tail -n +2 | paste -sd' ')" = "1 2 3 4 5 6 7 8 9 10 11 12" ] || fail "metrics.csv has not every step once"

expect 0 "${train[@]}" --out "$work/threads1" --threads 1
same threads1 "one thread instead of two"
expect 0 "${train[@]}" --out "$work/threads4" --threads 4 --workers 3
same threads4 "four threads instead of two, with three that load"

kill_runs "$kills"

# SIGTERM, once there is something to go on from; a run that was over before begins again
for attempt in 1 2 3 4 5 6 7 8; do
  rm -rf "$work/stopped"
  "${train[@]}" --out "$work/stopped" --threads 2 >"$work/log" 2>&1 &
  pid=$!
  until compgen -G "$work/stopped/step_*/COMPLETE" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" || fail "a stopped run exits with $?"
  if grep -q "stopped at step" "$work/log"; then break; fi
done
says "stopped at step [0-9]*; --resume latest goes on"
[ ! -e "$work/stopped/encoder" ] || fail "a stopped run leaves an encoder"
expect 0 "${train[@]}" --out "$work/stopped" --resume latest
says "resuming from "
same stopped "the stopped run"

# what does not fit the run is refused by the name of the option, before anything is written; all other options are the run's own
files() { (cd "$work/stopped" && find . -type f -exec sha256sum {} + | sort); }
files >"$work/before"
for change in --head-prototypes=32 --head-hidden=16 --head-layers=2 --separate-heads=false; do
  expect 1 "$bin/train_rad_dino" --out "$work/stopped" --resume latest "$change"
  says "does not fit this run"
  says "changed since it was made: .*${change%%=*}"
  files | cmp -s "$work/before" - || fail "a resume that failed at $change has changed the run"
done

# a newest checkpoint whose teacher is damaged is passed over; what a killed process left of the encoder goes
printf 'x' | dd of="$work/stopped/step_12/teacher.safetensors" bs=1 seek=20000 conv=notrunc status=none
mv "$work/stopped/encoder/model.safetensors" "$work/stopped/encoder/model.safetensors.tmp-1-0"
expect 0 "${train[@]}" --out "$work/stopped" --resume latest
says "damaged checkpoint passed over: .*step_12/teacher.safetensors: checksum"
says "resuming from .*step_10"
same stopped "the run that went back behind a damaged checkpoint"
echo "resume_rad_dino: $killed kills in $rounds runs, a run of $took ms; same bits"
