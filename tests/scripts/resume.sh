#!/usr/bin/env bash
# A run that is killed at random moments while two others try to enter its folder, and in which some steps are bad, ends in the same bits as
# one that was left alone; so do runs with other numbers of threads, and a run stopped by SIGTERM exits with 0. What cannot go on leaves the
# run as it is. HLIP_KILLS sets how often (default 6).
. "$(dirname "$0")/../support/script.sh"
kills=${HLIP_KILLS:-6}
bits() { (cd "$1/step_16" && cat model.safetensors optimizer.safetensors | sha256sum); }
# (A small model: what is tested is what lies between its steps.)
printf '{"name": "phantom", "text": {"hidden_size": 24}, "vision": {"img_size": [32, 48, 64], "embed_dim": 24}, "embed_dim": 16}' >"$work/tiny.json"
small=("$bin/train_ct_rate" --model "$work/tiny.json" --phantom 24 --batch-size 8 --phantom-root "$work/phantom" --save-frequency-steps 2)

# Weights in which one word of a single report is not a number: every step that meets it is bad.
expect 0 "${small[@]}" --steps 1 --text-steps 0 --out "$work/first"
cat >"$work/poison.py" <<'PYTHON'
import csv, json, re, struct, sys
folder, reports, out = sys.argv[1:]
texts = [" " + " ".join(re.findall("[a-z]+", " ".join(r.values()).lower())) for r in csv.DictReader(open(reports, newline=""))]
vocabulary = open(folder + "/vocab.txt").read().split("\n")
studies = {w: sum(" " + w in t for t in texts) for w in vocabulary if w.isalpha()}  # a word, or its first piece
word = min((n, w) for w, n in studies.items() if n > 1)[1]
data = bytearray(open(folder + "/model.safetensors", "rb").read())
size = struct.unpack("<Q", data[:8])[0]
table = next(v for k, v in json.loads(data[8:8 + size]).items() if k.endswith("word_embeddings.weight"))
width = table["shape"][1]
at = 8 + size + table["data_offsets"][0] + 4 * width * vocabulary.index(word)
data[at:at + 4 * width] = struct.pack("<f", float("nan")) * width
open(out, "wb").write(data)
print(f"{word!r}, of {studies[word]} reports, is not a number")
PYTHON
python3 "$work/poison.py" "$work/first/step_1" "$work/phantom/dataset/radiology_text_reports/train_reports.csv" "$work/poisoned.safetensors" || fail "no weights to start from"
train=("${small[@]}" --steps 16 --text-batch-size 8 --pretrained "$work/poisoned.safetensors" --text-sampling whole)

began=$(date +%s%N)
expect 0 "${train[@]}" --out "$work/straight" --threads 2
says "steps were skipped because loss or gradient was not finite"
took=$((($(date +%s%N) - began) / 1000000))
want=$(bits "$work/straight")
bad=$(grep -c '^step,.*,1$' "$work/straight/metrics.csv")
[ "$bad" -ge 2 ] || fail "only $bad bad steps were thrown in"

for threads in 1 4; do
  expect 0 "${train[@]}" --out "$work/threads$threads" --threads "$threads"
  [ "$(bits "$work/threads$threads")" = "$want" ] || fail "$threads threads give other bits than 2"
done

# One of three that want the folder, again and again: whoever gets in goes on; the others are told who is in it.
contend() {
  local code
  until [ -e "$work/over" ]; do
    code=0
    "${train[@]}" --out "$work/killed" --threads 2 --resume latest >"$work/contender$1" 2>&1 || code=$?
    if [ "$code" = 0 ]; then touch "$work/over"
    elif [ "$code" = 1 ] && grep -q "killed: is in use by train_ct_rate, process [0-9]* on $(hostname) " "$work/contender$1"; then echo >>"$work/refused"
    elif [ "$code" != 137 ] && ! grep -q "killed: another process is at work here" "$work/contender$1"; then cp "$work/contender$1" "$work/odd"; fi
    sleep 0.1
  done
}
# Kills the process that holds the folder now, and remembers it. Without one there is nothing to kill.
kill_holder() {
  local pid
  pid=$(cut -s -d' ' -f2 "$work/killed/.lock" 2>/dev/null) || return 1
  [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "--out $work/killed " || return 1
  kill -9 "$pid" 2>/dev/null && victim=$pid
}
killed=0 rounds=0 victim=none
while [ "$killed" -lt "$kills" ]; do
  rm -rf "$work/killed" "$work/over"
  for contender in 1 2 3; do contend "$contender" 2>/dev/null & done
  until [ -e "$work/over" ]; do
    sleep "$(awk -v s="$RANDOM" -v t="$took" 'BEGIN { printf "%.3f", (0.03 + 0.4 * s / 32768) * t / 1000 }')"
    if [ "$killed" -lt "$kills" ] && kill_holder; then killed=$((killed + 1)); fi
  done
  wait
  rounds=$((rounds + 1))
  [ ! -e "$work/odd" ] || { cat "$work/odd" >&2; fail "a run in the folder ended neither done, nor killed, nor refused"; }
  [ "$(bits "$work/killed")" = "$want" ] || fail "a run killed $killed times gives other bits"
  # the log of a killed run has every step once
  cmp -s <(cut -d, -f1-6,9 "$work/killed/metrics.csv") <(cut -d, -f1-6,9 "$work/straight/metrics.csv") || fail "metrics.csv differs from the uninterrupted run's"
  if [ -e "$work/killed/.lock" ]; then  # of one that came in behind the run that was done, and was killed: it locks nothing
    left=$(cut -s -d' ' -f2 "$work/killed/.lock")
    [ "$left" = "$victim" ] || fail "a run that is over leaves the lock of process $left"
  fi
done
refused=$(wc -l <"$work/refused" 2>/dev/null) || fail "nobody was told who is in the folder"

# SIGTERM
"${train[@]}" --out "$work/stopped" --report-to tensorboard >"$work/log" 2>&1 &
pid=$!
until compgen -G "$work/stopped/text_step_*" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
kill -TERM "$pid" 2>/dev/null || fail "the run ended before it could be stopped"
wait "$pid" || fail "a stopped run exits with $?"
says "resume latest goes on"
expect 0 "${train[@]}" --out "$work/stopped" --resume latest
[ "$(bits "$work/stopped")" = "$want" ] || fail "the stopped run gives other bits"

# what does not fit the run is refused by the name of the option, before anything is written
files() { (cd "$work/stopped" && find . -type f -exec sha256sum {} + | sort); }
files >"$work/before"
sed 's/"embed_dim": 24/"num_heads": 2, &/' "$work/tiny.json" >"$work/heads.json"
printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n' >"$work/vocab.txt"
cp "$work/stopped/config.toml" "$work/config"
for change in --siglip --lock-text=false --lora-text=true,--lock-text=false --model-ema-decay=0.9 --dual-text --model "--vocab=$work/vocab.txt"; do
  option=${change%%=*}
  if [ "$change" = --model ]; then changed=("${train[@]/tiny.json/heads.json}"); else changed=("${train[@]}" ${change//,/ }); fi
  expect 1 "${changed[@]}" --out "$work/stopped" --resume latest
  says "does not fit this run"
  says "changed since it was made: .*$option"
  files | cmp -s "$work/before" - || fail "a resume that failed at $option has changed the run"
done

# a damaged newest checkpoint is passed over, and nothing is deleted; so is one on a bad sector, where reading fails
printf 'x' | dd of="$work/stopped/step_16/model.safetensors" bs=1 seek=2000 conv=notrunc status=none
mv "$work/stopped/step_14/optimizer.safetensors" "$work/stopped/step_14/moments" && ln -s /proc/self/mem "$work/stopped/step_14/optimizer.safetensors"
expect 0 "${train[@]}" --out "$work/stopped" --resume latest
says "damaged checkpoint passed over: .*step_16/model.safetensors: checksum"
says "damaged checkpoint passed over: .*step_14/optimizer.safetensors: .*Input/output error"
says "resuming from .*step_11"  # the steps in between were bad
[ "$(bits "$work/stopped")" = "$want" ] || fail "the fallback gives other bits"

# closed output: messages go nowhere, least of all into a file of the run
"${train[@]}" --out "$work/closed" >&- 2>&- &
pid=$!
until compgen -G "$work/closed/text_step_*" >/dev/null || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
[ "$(readlink "/proc/$pid/fd/1" "/proc/$pid/fd/2" | sort -u)" = /dev/null ] || fail "a run with stdout and stderr closed writes its messages to $(readlink "/proc/$pid/fd/1")"
wait "$pid" || fail "a run with stdout and stderr closed exits with $?"
cmp -s <(cut -d, -f1-6,9 "$work/closed/metrics.csv") <(cut -d, -f1-6,9 "$work/straight/metrics.csv") || fail "metrics.csv of a run with stdout closed differs"
mkfifo "$work/pipe"
head -c 1 "$work/pipe" >/dev/null &
"${train[@]}" --out "$work/piped" --log-every-n-steps 1 >"$work/pipe" 2>"$work/log" || fail "a run whose reader went away exits with $?"
wait
[ "$(bits "$work/closed")$(bits "$work/piped")" = "$want$want" ] || fail "a run whose output went nowhere gives other bits"

# epochs are counted in studies, whatever a step takes of them
expect 0 "${small[@]}" --text-steps 0 --epochs 2 --out "$work/epochs"
says "trained 6 steps"
more=("$bin/train_ct_rate" --phantom 24 --out "$work/epochs" --resume latest)
expect 0 "${more[@]}" --epochs 4 --batch-size 12
says "6 steps are done, 1 epochs and 24 of 24 studies; 4 are left, of 12 studies instead of 8; the run and its learning rate now end at step 10 instead of 6"
says "trained 10 steps"
expect 0 "${more[@]}" --batch-size 4
says "10 steps are done, 3 epochs and 24 of 24 studies; 0 are left"
says "nothing left to train: 10 of 10 steps are done (hint: more --epochs)"
expect 0 "${more[@]}" --epochs 5
says "trained 16 steps"
echo "resume: $killed kills in $rounds runs, $refused times refused, $bad bad steps, same bits"
