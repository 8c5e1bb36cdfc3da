#!/usr/bin/env python3
"""How far the loss in bfloat16 lies from that in float, over runs on phantoms that differ in their seed.

  precision_loss.py --seeds 40 --out build/precision_loss     continues where it was stopped

Two runs that differ in one bit part after some dozens of steps, so one pair of curves says little. Here each seed is run in both
precisions from the same weights and batches, and the table gives, for windows of steps, the mean loss in float, the mean difference
of bfloat16 in per cent of it, and the standard error of that difference over the seeds. Needs nothing but Python and a processor with
AVX512-BF16.
"""
import argparse
import csv
import math
import os
import statistics
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def losses(a, precision, seed):
    """Loss of every step of one run, which is made unless it is there."""
    out = os.path.join(a.out, f"{precision}.{seed}")
    table = os.path.join(out, "metrics.csv")
    command = [a.program, "--phantom", str(a.phantom), "--phantom-valid", "16", "--phantom-root", os.path.join(a.out, "phantom"), "--steps", str(a.steps), "--text-steps", "0",
               "--batch-size", str(a.batch_size), "--seed", str(seed), "--precision", precision, "--out", out, "--resume", "latest"]
    done = read(table) if os.path.exists(table) else []
    if len(done) < a.steps:
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"precision_loss.py: {' '.join(command)}\n{run.stderr.strip()}")
        done = read(table)
    return done[:a.steps]


def read(table):
    with open(table) as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40, help="pairs of runs, at least two (default 40: half an hour on two cores)")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--window", type=int, default=100, help="steps of a line of the table")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--phantom", type=int, default=1600, help="training studies")
    parser.add_argument("--out", default=os.path.join(SOURCE, "build/precision_loss"))
    parser.add_argument("--program", default=os.path.join(SOURCE, "build/release/bin/train_ct_rate"))
    a = parser.parse_args()
    if a.seeds < 2 or a.window < 1 or a.steps < a.window:
        parser.error("wants two seeds, and a window no longer than the run")
    os.makedirs(a.out, exist_ok=True)
    pairs = []
    for seed in range(1, a.seeds + 1):
        pairs.append((losses(a, "fp32", seed), losses(a, "bf16", seed)))
        print(f"seed {seed} of {a.seeds}", file=sys.stderr)
    print("| steps | mean loss, fp32 | bf16 | standard error | smallest and largest of a pair |\n| --- | --- | --- | --- | --- |")
    windows = [(at, min(at + a.window, a.steps)) for at in range(0, a.steps, a.window)]
    for begin, end in [*windows, (0, a.steps)]:
        float_means = [statistics.mean(f[begin:end]) for f, _ in pairs]
        mean = statistics.mean(float_means)
        apart = [100 * (statistics.mean(b[begin:end]) - f) / mean for f, (_, b) in zip(float_means, pairs)]
        print(f"| {begin + 1} to {end} | {mean:.3f} | {statistics.mean(apart):+.2f} % | {statistics.stdev(apart) / math.sqrt(len(apart)):.2f} % | {min(apart):+.1f} to {max(apart):+.1f} % |")


if __name__ == "__main__":
    main()
