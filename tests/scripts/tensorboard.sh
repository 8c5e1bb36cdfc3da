#!/usr/bin/env bash
# The event files of a run as the real tensorboard package reads them, also of a run that was killed and went on, and of files that end
# in the middle of a record. Skipped, visibly, where the package is not installed; HLIP_TENSORBOARD_PYTHON names a Python that has it.
. "$(dirname "$0")/../support/script.sh"
python=${HLIP_TENSORBOARD_PYTHON:-python3}
"$python" -c 'import tensorboard' 2>/dev/null || skip "$python has no package tensorboard (pip install tensorboard, or set HLIP_TENSORBOARD_PYTHON)"
train=("$bin/train_ct_rate" --phantom 24 --steps 12 --batch-size 8 --save-frequency-steps 4 --report-to tensorboard --out "$work/run")

"${train[@]}" >"$work/log" 2>&1 &
pid=$!
until [ -d "$work/run/step_4" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
kill -9 "$pid" 2>/dev/null || fail "the run ended before it could be killed"
wait "$pid" 2>/dev/null || true
expect 0 "${train[@]}" --resume latest

cat >"$work/read.py" <<'PYTHON'
import csv, pathlib, shutil, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])

def scalars(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

rows = list(csv.DictReader(open(run / "metrics.csv")))
for stage, folder, group in (("text_step", "text", "text"), ("step", "image", "train")):
    read = scalars(run / "tensorboard" / folder)
    for name in ("loss", "lr", "grad_norm", "logit_scale"):  # metrics.csv has six digits
        want = [(int(r["step"]), float(r[name])) for r in rows if r["stage"] == stage]
        have = read[f"{group}/{name}"]
        assert want and [s for s, _ in have] == [s for s, _ in want], (stage, name, have, want)
        assert all(abs(a - b) <= 1e-5 * abs(b) for (_, a), (_, b) in zip(have, want)), (stage, name)
auc = scalars(run / "tensorboard/image")["val/macro_auc"]
assert [s for s, _ in auc] == [12] and 0 <= auc[0][1] <= 1, auc

# a file cut anywhere reads to its last whole record
newest = max((run / "tensorboard/image").iterdir(), key=lambda p: p.stat().st_mtime)
whole = newest.read_bytes()
counts = []
for size in range(60, len(whole), 97):
    cut = run / "cut"
    shutil.rmtree(cut, ignore_errors=True)
    cut.mkdir()
    (cut / newest.name).write_bytes(whole[:size])
    counts.append(sum(len(v) for v in scalars(cut).values()))
assert counts == sorted(counts) and counts[-1] > 20, counts
print(f"tensorboard: {len(rows)} rows of metrics.csv read back; {len(counts)} cut files read")
PYTHON
expect 0 "$python" "$work/read.py" "$work/run"
cat "$work/log"
