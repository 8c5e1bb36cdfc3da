#!/usr/bin/env bash
# Every option of every program: --version, numbers that are none are refused, and what --print-config writes --config reads.
. "$(dirname "$0")/../support/script.sh"
python3 "$source/tests/support/options.py" "$bin" "$source" "$work"

# what a hostile file gives
if [ -d "$shared/data/hostile" ]; then
  expect 2 "$bin/train_ct_rate" --phantom 16 --out "$work/run" --config "$shared/data/hostile/bad.toml"
  says 'bad.toml: line'
fi
expect 2 "$bin/train_ct_rate" --phantom 16 --out "$work/run" --config /etc/passwd

# A recipe belongs to a model: the published one to the chest models of 2744 tokens, the demo's to phantoms, none to the others.
has() {  # has "NAME = VALUE…" OPTION…
  local line want=$1
  shift
  "$bin/train_ct_rate" --out "$work/run" "$@" --print-config >"$work/log" 2>&1 || fail "no configuration: $*"
  while read -r line; do says "^$line\$"; done <<<"${want//; /$'\n'}"
}
has 'epochs = "20"; batch-size = "64"; lr = "1e-05"; warmup = "377"; wd = "0.2"' --data-root "$work"
has 'steps = "100"; lr = "1e-05"; warmup = "5"' --data-root "$work" --steps 100
has 'lr = "0.01"; warmup = "7"' --data-root "$work" --lr 0.01 --warmup 7
has 'epochs = "32"; lr = "0.0005"; warmup = "10000"' --data-root "$work" --model phantom
has 'model = "phantom"; lr = "0.002"; wd = "0.05"' --phantom 16
has 'keep-checkpoints = "3"' --phantom 16

# What would be accepted and do nothing, or do nothing but warm up, is refused.
expect 2 "$bin/train_ct_rate" --data-root "$work" --out "$work/run" --text-lr 1e-3
says "text-lr means nothing without --text-steps"
expect 2 "$bin/train_ct_rate" --data-root "$work" --out "$work/run" --steps 100 --warmup 100
says "a warm-up of 100 steps leaves nothing of a run of 100"
expect 2 "$bin/train_ct_rate" --phantom 16 --out "$work/run" --beta1 1
says 'beta1: "1" is not in'
expect 0 "$bin/train_ct_rate" --phantom 16 --epochs 2 --warmup 50 --text-steps 1 --save-frequency-steps 1 --phantom-root "$work/phantom" --out "$work/short"
says "warning: the warm-up of 50 steps is as long as the run of 4"
[ "$(find "$work/short" -maxdepth 1 -name 'step_*' | wc -l)" = 3 ] || fail "not the newest three checkpoints are kept"

# A run whose output goes to a file says at once what it does, not when it is over.
env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT "$bin/train_ct_rate" --phantom 16 --steps 1000000 --threads 1 --phantom-root "$work/phantom" --out "$work/long" >"$work/log" 2>&1 &
pid=$!
for _ in $(seq 600); do
  grep -q "expected peak memory" "$work/log" && break
  kill -0 "$pid" 2>/dev/null || fail "the run ended"
  sleep 0.1
done
policy=$(tr '\0' '\n' <"/proc/$pid/environ" | grep '^OMP_WAIT_POLICY=' || true)
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
[ "$policy" = OMP_WAIT_POLICY=passive ] || fail "OpenMP's threads spin while they wait: ${policy:-no policy}"
says "16 training studies"
says "expected peak memory"
