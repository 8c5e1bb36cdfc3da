#!/usr/bin/env bash
# A run killed at random moments and resumed each time ends in the same bits as one that was left alone; so do runs with
# other numbers of threads, and a run stopped by SIGTERM exits with 0. KILLS sets how often (default 5).
. "$(dirname "$0")/../support/script.sh"
kills=${KILLS:-5}
train=("$bin/train_ct_rate" --phantom 24 --steps 16 --batch-size 8 --save-frequency-steps 2 --phantom-root "$work/phantom")
bits() { (cd "$1/step_16" && cat model.safetensors optimizer.safetensors | sha256sum); }

began=$(date +%s%N)
"${train[@]}" --out "$work/straight" --threads 2 >"$work/log" || fail "the uninterrupted run failed"
took=$((($(date +%s%N) - began) / 1000000))
want=$(bits "$work/straight")

for threads in 1 4; do
  "${train[@]}" --out "$work/threads$threads" --threads "$threads" >"$work/log" || fail "the run with $threads threads failed"
  [ "$(bits "$work/threads$threads")" = "$want" ] || fail "$threads threads give other bits than 2"
done

killed=0
for attempt in $(seq $((kills * 6))); do
  "${train[@]}" --out "$work/killed" --threads 2 --resume latest >"$work/log" 2>&1 &
  pid=$!
  sleep "$(awk -v s="$RANDOM" -v t="$took" 'BEGIN { printf "%.3f", (0.03 + 0.4 * s / 32768) * t / 1000 }')"
  if kill -9 "$pid" 2>/dev/null; then killed=$((killed + 1)); fi
  wait "$pid" 2>/dev/null || true
  [ "$killed" -lt "$kills" ] || break
  if [ -e "$work/killed/step_16/COMPLETE" ]; then  # this run got to its end: once more from the beginning
    [ "$(bits "$work/killed")" = "$want" ] || fail "a run killed $killed times gives other bits"
    rm -rf "$work/killed"
  fi
done
"$bin/train_ct_rate" --out "$work/killed" --resume latest --phantom 24 >"$work/log" 2>&1 || fail "the resumed run failed"
[ "$(bits "$work/killed")" = "$want" ] || fail "the run killed $killed times gives other bits"
[ "$killed" = "$kills" ] || fail "only $killed of $kills runs were killed: the moments were badly chosen"
# the log of a killed run has every step once
[ "$(tail -n +2 "$work/killed/metrics.csv" | cut -d, -f1,2 | sort | uniq -d | wc -l)" = 0 ] || fail "metrics.csv repeats steps"
cmp -s <(cut -d, -f1-6 "$work/killed/metrics.csv") <(cut -d, -f1-6 "$work/straight/metrics.csv") || fail "metrics.csv differs from the uninterrupted run's"

"${train[@]}" --out "$work/stopped" >"$work/log" 2>&1 &
pid=$!
until compgen -G "$work/stopped/text_step_*" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
kill -TERM "$pid" 2>/dev/null || fail "the run ended before it could be stopped"
wait "$pid" || fail "a stopped run exits with $?"
grep -q "resume latest goes on" "$work/log" || fail "a stopped run does not say how to go on"
"${train[@]}" --out "$work/stopped" --resume latest >"$work/log" || fail "the run did not go on after SIGTERM"
[ "$(bits "$work/stopped")" = "$want" ] || fail "the stopped run gives other bits"

# a damaged newest checkpoint is passed over, and nothing is deleted
printf 'x' | dd of="$work/stopped/step_16/model.safetensors" bs=1 seek=2000 conv=notrunc status=none
"${train[@]}" --out "$work/stopped" --resume latest >"$work/log" || fail "no fallback from a damaged checkpoint"
grep -q "damaged checkpoint passed over" "$work/log" || fail "the damaged checkpoint was not reported"
[ "$(bits "$work/stopped")" = "$want" ] || fail "the fallback gives other bits"
echo "resume: $killed kills, same bits"
