#!/usr/bin/env python3
"""Time and peak memory of the visual tower against the number of scans in a study, beside what the arithmetic says.

  scale.py --results scale.jsonl --markdown table.md --svg ../docs/scale.svg
  scale.py --results scale.jsonl --ops infer --scans 1,2,4 --levels study      a part; points in the file are not measured again

Every point is a process of its own, `hlip_bench infer` or `hlip_bench train --grad-checkpointing`, in ViT-B size with 1176 tokens a
scan. Theory of time: multiply-adds per token and block are 12 C^2 + 2 T C, T being the tokens of a slice, a scan or the study. Theory of memory: what
the parameters take, and a share per scan. Each has one constant, fitted to the measured points. docs/scale.md explains the result.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = "vit_base_multiscan_h3_token1176"
WIDTH, TOKENS_OF_SLICE, TOKENS_OF_SCAN = 768, 196, 1176
# ViT-B on patches of 8 x 16 x 16 voxels: per block 12 C^2 and 13 C (biases, norms), patch filter, last norm and class token, head
PARAMETERS = 12 * (12 * WIDTH**2 + 13 * WIDTH) + (8 * 16 * 16 + 1) * WIDTH + 3 * WIDTH + 512 * WIDTH
BLOCKS = {"study": (0, 0, 12), "scan+study": (0, 8, 4), "slice+scan+study": (4, 4, 4)}  # at slice, scan and study level
TITLES = {"study": "full attention", "scan+study": "scan+study", "slice+scan+study": "slice+scan+study"}
OPS = {"infer": "Inference", "train": "Training, checkpointed"}
COPIES = {"infer": 1, "train": 4}  # of the parameters: in training also gradients and two moments
GIB = 2.0**30


def multiply_adds(levels, scans):
    lengths = (TOKENS_OF_SLICE, TOKENS_OF_SCAN, TOKENS_OF_SCAN * scans)
    return scans * TOKENS_OF_SCAN * sum(blocks * (12 * WIDTH**2 + 2 * t * WIDTH) for blocks, t in zip(BLOCKS[levels], lengths))


class Results:
    """Lines of hlip_bench by operation, levels and scans, in a file that a later run goes on with."""

    def __init__(self, path):
        self.path, self.lines = path, {}
        if path and os.path.exists(path):
            with open(path) as file:
                for line in map(json.loads, file):
                    self.lines[line["op"], line["levels"], line["scans"]] = line

    def add(self, line):
        self.lines[line["op"], line["levels"], line["scans"]] = line
        if self.path:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")

    def points(self, op, levels, field):
        """[(scans, value)], rising; points without that value are left out."""
        return sorted((s, line[field]) for (o, l, s), line in self.lines.items() if o == op and l == levels and line[field] is not None)

    def seconds_of(self, op):
        """The fitted theory of time: function of (levels, scans), or None before anything is timed."""
        ratios = [t / multiply_adds(levels, s) for levels in BLOCKS for s, t in self.points(op, levels, "seconds_per_step")]
        if not ratios:
            return None
        constant = math.exp(statistics.fmean(map(math.log, ratios)))
        return lambda levels, scans: constant * multiply_adds(levels, scans)

    def bytes_of(self, op):
        """The fitted theory of peak memory, the same for all levels: no level keeps a T x T matrix."""
        fixed = 4 * PARAMETERS * COPIES[op]
        points = [point for levels in BLOCKS for point in self.points(op, levels, "peak_rss_bytes")]
        if not points:
            return None
        constant = max(0.0, sum(s * (b - fixed) for s, b in points) / sum(s * s for s, _ in points))  # least squares
        return lambda levels, scans: fixed + constant * scans


def measure(a, results):
    """@return messages of what failed"""
    failures = []
    for op in a.ops:
        for levels in a.levels:
            for scans in a.scans:
                if (op, levels, scans) in results.lines:
                    continue
                what = f"{op}, {TITLES[levels]}, {scans} scans"
                expected = results.seconds_of(op)
                seconds = expected(levels, scans) * (a.steps + a.warmup) if expected else 0
                if seconds > a.skip_above:
                    print(f"{what}: not run, about {seconds:.0f} s", file=sys.stderr)
                    continue
                command = [a.hlip_bench, op, "--model", MODEL, "--levels", levels, "--scans", str(scans), "--threads", str(a.threads), "--steps", str(a.steps), "--warmup", str(a.warmup)]
                if op == "train":
                    command.append("--grad-checkpointing")
                done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS=str(a.threads)))
                if done.returncode != 0:
                    said = done.stderr.strip().splitlines()
                    failures.append(f"{what}: {said[-1] if said else f'exit code {done.returncode}, no message'}")
                    continue
                line = json.loads(done.stdout)
                print(f"{what}: {line['seconds_per_step']:.2f} s, {line['peak_rss_bytes'] / GIB:.2f} GiB", file=sys.stderr, flush=True)
                if a.memory_only:
                    line["seconds_per_step"] = line["best"] = None
                results.add(line)
    return failures


# ---- the table ----


def seconds_text(seconds):
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.3g}"


def markdown(a, results):
    """One table per operation, with the patterns of which at least one point is measured."""
    text = ""
    for op in a.ops:
        seconds, memory = results.seconds_of(op), results.bytes_of(op)
        shown = [l for l in a.levels if results.points(op, l, "peak_rss_bytes")]
        missing = [TITLES[l] for l in a.levels if l not in shown]
        if shown:
            text += f"**{OPS[op]}**: seconds (theory), peak GiB (theory)\n\n| scans | tokens |" + "".join(f" {TITLES[l]}, s | GiB |" for l in shown) + "\n| ---: | ---: |" + " ---: | ---: |" * len(shown) + "\n"
            for scans in a.scans:
                text += f"| {scans} | {scans * TOKENS_OF_SCAN} |"
                for levels in shown:
                    line = results.lines.get((op, levels, scans))
                    measured = "not run" if line is None else "not timed" if line["seconds_per_step"] is None else seconds_text(line["seconds_per_step"])
                    text += f" {measured}" + (f" ({seconds_text(seconds(levels, scans))})" if seconds else "")
                    text += f" | {'not run' if line is None else format(line['peak_rss_bytes'] / GIB, '.2f')}" + (f" ({memory(levels, scans) / GIB:.2f})" if memory else "") + " |"
                text += "\n"
            rate = f"{1e-9 * multiply_adds('study', 1) / seconds('study', 1):.0f} G multiply-adds per second" if seconds else "nothing, for no point is timed"
            share = f"; {(memory('study', 1) - memory('study', 0)) / 2**20:.0f} MiB per scan beside {memory('study', 0) / GIB:.2f} GiB for the parameters" if memory else ""
            text += f"\nFitted: {rate}{share}.\n\n"
        if missing:
            text += f"{OPS[op]}, not run at all: {', '.join(missing)}.\n\n"
    return text.rstrip("\n") + "\n"


# ---- the chart ----

COLOURS = {"study": "#b3261e", "scan+study": "#1f5fa8", "slice+scan+study": "#2e7d32"}
PANEL_WIDTH, PANEL_HEIGHT, LEFT, TOP, GAP_X, GAP_Y = 360, 270, 64, 92, 84, 98


def text_at(x, y, text, size=13, anchor="middle", weight="normal", fill="#222", turn=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}"{turn}>{text}</text>'


def marker(levels, x, y):
    colour = COLOURS[levels]
    style = f'fill="#fff" stroke="{colour}" stroke-width="2"'
    if levels == "study":
        return f'<path d="M{x:.1f} {y - 6.5:.1f}l6 10.5h-12z" {style}/>'
    if levels == "scan+study":
        return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {style}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {style}/>'


class Panel:
    """One chart with logarithmic axes; curves go through all positive x."""

    def __init__(self, left, top, title, unit, xs, values):
        self.left, self.top, self.title, self.unit, self.xs = left, top, title, unit, xs
        self.x_range = (xs[0] / 1.15, xs[-1] * 1.15)
        self.y_range = (min(values) / 1.4, max(values) * 1.4)

    def place(self, x, y):
        share = lambda v, r: math.log(v / r[0]) / math.log(r[1] / r[0])
        return self.left + PANEL_WIDTH * share(x, self.x_range), self.top + PANEL_HEIGHT * (1 - share(y, self.y_range))

    def path(self, points, style):
        return f'<path d="M{" L".join("{:.1f} {:.1f}".format(*self.place(x, y)) for x, y in points)}" fill="none" {style}/>'

    def frame(self):
        left, top, right, bottom = self.left, self.top, self.left + PANEL_WIDTH, self.top + PANEL_HEIGHT
        parts = [f'<rect x="{left}" y="{top}" width="{PANEL_WIDTH}" height="{PANEL_HEIGHT}" fill="#fff" stroke="#888"/>', text_at(left, top - 12, self.title, 14, "start", "bold")]
        for x in self.xs:
            at = self.place(x, self.y_range[0])[0]
            parts += [f'<path d="M{at:.1f} {top}V{bottom}" stroke="#e6e6e6"/>', text_at(at, bottom + 18, x)]
        parts.append(text_at((left + right) / 2, bottom + 38, "scans of a study"))
        low, high = (math.log10(v) for v in self.y_range)
        for decade in range(math.floor(low), math.ceil(high)):
            for digit in (1, 2, 5):
                y = digit * 10.0**decade
                if low <= math.log10(y) <= high:
                    at = self.place(self.x_range[0], y)[1]
                    parts += [f'<path d="M{left} {at:.1f}H{right}" stroke="{"#cfcfcf" if digit == 1 else "#ececec"}"/>', text_at(left - 7, at + 4.5, f"{y:g}", anchor="end")]
        middle = (top + bottom) / 2
        parts.append(text_at(left - 46, middle, self.unit, turn=f' transform="rotate(-90 {left - 46} {middle:.1f})"'))
        return parts


def svg(a, results):
    rows = [op for op in a.ops if any(o == op for o, _, _ in results.lines)]
    width = LEFT + 2 * PANEL_WIDTH + GAP_X + 24
    height = TOP + len(rows) * (PANEL_HEIGHT + GAP_Y) - 36
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">',
             "<title>Time and peak memory against the number of scans, measured and in theory</title>", f'<rect width="{width}" height="{height}" fill="#fbfbf8"/>']
    x = LEFT
    for levels in a.levels:
        parts += [f'<path d="M{x} 30h34" stroke="{COLOURS[levels]}" stroke-width="2"/>', marker(levels, x + 17, 30), text_at(x + 42, 34.5, TITLES[levels], anchor="start")]
        x += 72 + 7.4 * len(TITLES[levels])
    parts += [f'<path d="M{x:.0f} 30h34" stroke="#555" stroke-width="1.5" stroke-dasharray="6 4"/>', text_at(x + 42, 34.5, "theory, one constant fitted per chart", anchor="start")]
    fine = [a.scans[0] * (a.scans[-1] / a.scans[0]) ** (i / 60) for i in range(61)]
    for row, op in enumerate(rows):
        top = TOP + row * (PANEL_HEIGHT + GAP_Y)
        for column, (field, unit, scale, theory) in enumerate((("seconds_per_step", "seconds", 1, results.seconds_of(op)), ("peak_rss_bytes", "GiB", GIB, results.bytes_of(op)))):
            measured = {l: [(s, v / scale) for s, v in results.points(op, l, field) if s in a.scans] for l in a.levels}
            curves = {l: [(s, theory(l, s) / scale) for s in fine] for l in a.levels} if theory else {}
            if field == "peak_rss_bytes" and curves:
                curves = {None: curves[a.levels[0]]}  # the same for all levels
            values = [v for points in (*measured.values(), *curves.values()) for _, v in points]
            if not values:
                continue
            panel = Panel(LEFT + column * (PANEL_WIDTH + GAP_X), top, OPS[op] + (": time" if column == 0 else ": peak memory"), unit, a.scans, values)
            parts += panel.frame()
            parts += [panel.path(points, f'stroke="{COLOURS.get(l, "#555")}" stroke-width="1.5" stroke-dasharray="6 4"') for l, points in curves.items()]
            parts += [panel.path(points, f'stroke="{COLOURS[l]}" stroke-width="2"') for l, points in measured.items() if len(points) > 1]
            parts += [marker(l, *panel.place(*point)) for l, points in measured.items() for point in points]
    return "\n".join(parts) + "\n</svg>\n"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", default=",".join(OPS), help="default: %(default)s")
    parser.add_argument("--levels", default=",".join(BLOCKS), help="default: %(default)s; study is full attention in every block")
    parser.add_argument("--scans", default="1,2,4,8,16,40", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--steps", type=int, default=1, help="timed steps of a process (default 1)")
    parser.add_argument("--warmup", type=int, default=0, help="steps before them (default 0: a step of this size hardly gains by it)")
    parser.add_argument("--skip-above", type=float, default=math.inf, metavar="SECONDS", help="leaves points out that would take longer, by the theory fitted to the points before")
    parser.add_argument("--memory-only", action="store_true", help="other programs are running: keep the memory of what is measured now, not the time")
    parser.add_argument("--no-run", action="store_true", help="measures nothing: table and chart from --results")
    parser.add_argument("--results", metavar="FILE", help="measured points, one JSON line each; a run adds those that are not in it")
    parser.add_argument("--markdown", metavar="FILE", help="writes the table there (default: stdout)")
    parser.add_argument("--svg", metavar="FILE", help="writes the chart there")
    parser.add_argument("--hlip-bench", default=os.path.join(HERE, "../build/release/bin/hlip_bench"), help="default: the one of build/release")
    a = parser.parse_args()
    for name, known in (("ops", OPS), ("levels", BLOCKS)):
        setattr(a, name, getattr(a, name).split(","))
        for word in getattr(a, name):
            if word not in known:
                parser.error(f"--{name} {word}: expected some of {', '.join(known)}")
    try:
        a.scans = sorted({int(word) for word in a.scans.split(",")})
    except ValueError:
        parser.error(f"--scans {a.scans}: expected numbers, separated by commas")
    if min(a.scans[0], a.threads, a.steps) < 1 or a.warmup < 0:
        parser.error("--scans, --threads and --steps are at least 1, --warmup at least 0")
    if len(a.scans) < 2 and a.svg:
        parser.error("--svg needs two numbers of scans")
    if a.no_run and not a.results:
        parser.error("--no-run needs --results")
    return a


def main():
    a = parse_arguments()
    results = Results(a.results)
    failures = [] if a.no_run else measure(a, results)
    if a.markdown:
        with open(a.markdown, "w") as file:
            file.write(markdown(a, results))
    else:
        print(markdown(a, results), end="")
    if a.svg:
        with open(a.svg, "w") as file:
            file.write(svg(a, results))
    for failure in failures:
        print(f"scale.py: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
