# Runs that are killed, and what they are compared with; sourced after script.sh. The script has the array `train`, a command without --out,
# and the function `bits RUN`, which says what a run has come to.

# The log of a run, without how long things took.
rows() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) timing[i] = $i == "samples_per_second" || $i == "data_wait" }
           { line = ""; for (i = 1; i <= NF; ++i) if (!timing[i]) line = line "," $i; print line }' "$1/metrics.csv"
}
# The run that is left alone: $work/straight. Sets `want`, its bits, and `took`, its milliseconds.
run_straight() {
  local began
  began=$(date +%s%N)
  expect 0 "${train[@]}" --out "$work/straight" --threads 2
  took=$((($(date +%s%N) - began) / 1000000))
  want=$(bits "$work/straight")
}
same() {  # same RUN WHAT: RUN ends where the run that was left alone does
  [ "$(bits "$work/$1")" = "$want" ] || fail "$2 gives other bits"
  cmp -s <(rows "$work/$1") <(rows "$work/straight") || fail "metrics.csv of $2 differs from the uninterrupted run's"
  [ ! -e "$work/$1/.lock" ] || fail "$2 leaves a lock"
}
# kill_runs KILLS: kills runs at random moments and goes on, until so many are dead; each ends as the straight one. Says how many runs it took.
kill_runs() {
  local kills=$1 pid code
  killed=0 rounds=0
  while [ "$killed" -lt "$kills" ]; do
    rm -rf "$work/killed"
    rounds=$((rounds + 1))
    while :; do
      "${train[@]}" --out "$work/killed" --threads 2 --resume latest >"$work/log" 2>&1 &
      pid=$!
      if [ "$killed" -lt "$kills" ]; then
        sleep "$(awk -v s="$RANDOM" -v t="$took" 'BEGIN { printf "%.3f", (0.05 + 0.85 * s / 32768) * t / 1000 }')"
        kill -9 "$pid" 2>/dev/null || true
      fi
      code=0
      wait "$pid" 2>/dev/null || code=$?
      [ "$code" = 137 ] || break
      killed=$((killed + 1))
    done
    [ "$code" = 0 ] || fail "a run that goes on after a kill exits with $code"
    same killed "a run killed $killed times"
  done
}
