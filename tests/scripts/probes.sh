#!/usr/bin/env bash
# Probes and metadata on plain feature files: findings that the features say are read, noise is not; the same files at every number of threads; bad input is named.
. "$(dirname "$0")/../support/script.sh"
probe=$bin/probe_radiographs predict=$bin/predict_metadata

# 240 pictures of 120 subjects: features that say opacity, effusion, sex and age, and others that say nothing
python3 - "$work" <<'PY'
import json, random, struct, sys
work = sys.argv[1]
def write(path, names, rows, **more):
    data = b"".join(struct.pack("<%df" % len(r), *r) for r in rows)
    head = {"__metadata__": {"files": json.dumps(names), **more}, "cls": {"dtype": "F32", "shape": [len(rows), len(rows[0])], "data_offsets": [0, len(data)]}}
    head = json.dumps(head).encode()
    head += b" " * (-len(head) % 8)
    open(path, "wb").write(struct.pack("<Q", len(head)) + head + data)
draw = random.Random(3)
table, says, noise = [], [], []
for i in range(240):
    opacity, effusion, age = int(draw.random() < 0.4), int(draw.random() < 0.5), round(draw.uniform(18, 90), 1)
    sex = "FM"[i // 2 % 2]
    table.append(["images/p%03d.png" % i, "s%d" % (i // 2), ("train", "train", "test", "valid")[i // 2 % 4], opacity, effusion if i % 9 else "", sex, age])
    plain = [draw.gauss(0, 1) for _ in range(12)]
    noise.append(plain)
    says.append([4 * opacity + plain[0], 4 * effusion + plain[1], 4 * (sex == "F") + plain[2], age / 4 + plain[3], *plain[4:]])
names = ["/somewhere/p%03d.png" % i for i in range(240)]
write(work + "/says.safetensors", names, says, encoder="says")
write(work + "/noise.safetensors", names, noise, encoder="noise")
write(work + "/nan.safetensors", names, [[float("nan")] + r[1:] for r in says])
write(work + "/fewer.safetensors", names[:-2], says[:-2])
head = "image,subject,split,opacity,effusion,sex,age\n"
with open(work + "/table.csv", "w") as f:
    f.write(head + "".join(",".join(map(str, r)) + "\n" for r in table))
with open(work + "/no_split.csv", "w") as f:
    f.write("image,subject,opacity\n" + "".join("%s,%s,%s\n" % (r[0], r[1], r[3]) for r in table))
with open(work + "/one_class.csv", "w") as f:
    f.write("image,opacity\n" + "".join("%s,1\n" % r[0] for r in table))
PY

expect 0 "$probe" --features "$work/says.safetensors" "$work/noise.safetensors" --labels "$work/table.csv" --out "$work/out" --lr 0.01,0.1 --seeds 3 --resamples 200 --threads 1
says "2 findings, 120 pictures to train, 60 to test"
tail -n 1 "$work/log" | grep -Exq 'macro AUPRC 0\.9[0-9]{2} \(95 % CI 0\.[0-9]{3}-[01]\.[0-9]{3}\), 60 pictures' || fail "another last line, or a probe that has not learned"
[ "$(wc -l <"$work/out/probe.csv")" = 7 ] || fail "not a line for two findings and the mean of two encoders"
[ "$(wc -l <"$work/out/scores.csv")" = 361 ] || fail "not a line for 60 pictures, 3 seeds and 2 encoders"
awk -F, '$1 == "noise" && $2 == "macro" { found = 1; if ($5 > 0.75) exit 1 } END { exit !found }' "$work/out/probe.csv" || fail "noise says what pictures show"
python3 - "$work/out" <<'PY' || fail "the JSON or the page is not what it should be"
import json, sys
j = json.load(open(sys.argv[1] + "/probe.json"))
page = open(sys.argv[1] + "/probe.html").read()
good = [e["encoder"] for e in j["encoders"]] == ["says", "noise"] and len(j["encoders"][0]["findings"]) == 2 and j["encoders"][0]["lr"] in (0.01, 0.1)
sys.exit(not (good and page.count("<svg") == 2 and "says" in page and "effusion" in page))
PY
expect 0 "$probe" --features "$work/says.safetensors" "$work/noise.safetensors" --labels "$work/table.csv" --out "$work/out4" --lr 0.01,0.1 --seeds 3 --resamples 200 --threads 4
for file in probe.csv probe.json scores.csv probe.html; do cmp "$work/out/$file" "$work/out4/$file"; done

# without splits subjects are parted by a share; without pictures to choose by, several rates are refused
expect 0 "$probe" --features "$work/says.safetensors" --labels "$work/no_split.csv" --out "$work/drawn" --test-fraction 0.25 --seeds 1 --resamples 20
says "25 % of the subjects are tested on"
says "95 % CI .*, 60 pictures"
expect 1 "$probe" --features "$work/says.safetensors" --labels "$work/no_split.csv" --out "$work/drawn" --lr 0.1,0.2
says "no_split.csv: has no pictures of the split valid to choose"

# a share of what is trained on, and nothing less to test on
expect 0 "$probe" --features "$work/says.safetensors" --labels "$work/table.csv" --out "$work/few" --train-fraction 0.25 --lr 0.1 --seeds 1 --resamples 20
says "2 findings, 30 pictures to train, 60 to test"
says "25 % of the subjects"
expect 2 "$probe" --features "$work/says.safetensors" --labels "$work/table.csv" --out "$work/few" --train-fraction 1.5

# what is wrong is named, and earlier results stay
refused() {  # refused WORDS ARGUMENT…
  local words=$1
  shift
  expect 1 "$probe" --out "$work/out" "$@"
  says "$words"
  [ "$(wc -l <"$work/log")" = 1 ] || fail "more than one message"
  cmp "$work/out/probe.csv" "$work/out4/probe.csv"
}
refused 'one_class.csv: column opacity: 240 labels are 1 and 0 are 0' --features "$work/says.safetensors" --labels "$work/one_class.csv"
refused 'line 240, column image: "images/p238.png" has no features in .*fewer.safetensors, nor have 1 other' --features "$work/fewer.safetensors" --labels "$work/table.csv"
refused 'nan.safetensors: cls: a feature of "/somewhere/p000.png" is nan' --features "$work/nan.safetensors" --labels "$work/table.csv"
refused 'line 1: column tube is absent' --features "$work/says.safetensors" --labels "$work/table.csv" --columns opacity,tube
refused 'line 2, column age: is ' --features "$work/says.safetensors" --labels "$work/table.csv" --columns age
refused 'absent.safetensors' --features "$work/absent.safetensors" --labels "$work/table.csv"
refused 'table.csv' --features "$work/table.csv" --labels "$work/table.csv"
refused 'is given twice' --features "$work/says.safetensors" "$work/says.safetensors" "$work/says.safetensors" --labels "$work/table.csv"

expect 0 "$predict" --features "$work/says.safetensors" "$work/noise.safetensors" --table "$work/table.csv" --column sex,age --out "$work/meta" --threads 1
says "^age: 240 pictures, 4 ranges of numbers, cut here: <"
says "always the most frequent class"
awk -F'"' '/^says,sex/ { split($3, v, ","); if (v[4] < 0.9 || v[6] != 0.5) exit 1; n++ } /^says,age/ { split($3, v, ","); if (v[4] < 0.7) exit 1; n++ } /^noise,sex/ { split($3, v, ","); if (v[4] > 0.7) exit 1; n++ } END { exit n != 3 }' "$work/meta/metadata.csv" || fail "metadata are not what the features say"
expect 0 "$predict" --features "$work/says.safetensors" "$work/noise.safetensors" --table "$work/table.csv" --column sex,age --out "$work/meta4" --threads 4
cmp "$work/meta/metadata.csv" "$work/meta4/metadata.csv"
expect 0 "$predict" --features "$work/says.safetensors" --table "$work/table.csv" --column age --bins age=30,60
says "3 ranges of numbers, cut here: <30, 30-60, >=60"
expect 1 "$predict" --features "$work/says.safetensors" --table "$work/one_class.csv" --column opacity
says 'one_class.csv: column opacity: all 240 labels are of one class, "1"'
expect 1 "$predict" --features "$work/says.safetensors" --table "$work/table.csv" --column height
says "column height is absent"
expect 1 "$predict" --features "$work/fewer.safetensors" --table "$work/table.csv" --column sex
says "has no features in"
expect 1 "$predict" --features "$work/says.safetensors" --table "$work/table.csv" --column sex --bins sex=3
says "column sex: is not all numbers"
