#!/usr/bin/env python3
"""hlip beside PyTorch on this machine: the same work by both, in turns, in one run.

  compare_pytorch.py                          everything, at least five rounds
  compare_pytorch.py --only infer,attention   some of it; --list names the rows
  compare_pytorch.py --check                  only shows that both sides compute the same, on the golden fixtures

Every measurement is a process of its own: a warm-up step, then --steps timed ones, of which the median counts. The sides take
turns (A B A B ...), a ratio is formed in every round, and the table gives the median of the ratios with the smallest and the
largest. Installs nothing: the Python that runs it needs torch, numpy, safetensors, nibabel and tokenizers. What exactly is
inside a step, and how to read the table: docs/performance.md.
"""
import argparse
import ctypes.util
import importlib.util
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
NEEDED = ("torch", "numpy", "safetensors", "nibabel", "tokenizers")
SINGLE, MULTI = "vit_base_singlescan_h2_token2744", "vit_base_multiscan_h3_token1176"


class Failed(Exception):
    """A measurement that did not come about, with the reason in one line."""


class Runner:
    def __init__(self, arguments):
        self.a = arguments
        self.log = []  # every JSON line, with its round and who gave it

    def environment(self):
        threads = str(self.a.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS")
        return dict(os.environ, PYTHONPATH=HERE, **{name: threads for name in names})

    def lines(self, who, command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=self.a.timeout)
        except subprocess.TimeoutExpired:
            raise Failed(f"{who}: not done after {self.a.timeout} s") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise Failed(f"{who}: {said[-1] if said else f'exit code {done.returncode}, no message'}")
        return done.stdout.strip().splitlines()

    def measure(self, who, command, threads, steps, extra):
        lines = [json.loads(line) for line in self.lines(who, command + ["--threads", str(threads), "--steps", str(steps)] + extra)]
        self.log += [dict(line, who=who) for line in lines]
        return lines

    def hlip(self, op, *extra, provider=None, threads=None, steps=None):
        which = ["--provider", provider] if provider else []
        return self.measure(f"hlip {provider or ''}".strip(), [self.a.hlip_bench, op], threads or self.a.threads, steps or self.a.steps, [*map(str, extra), *which])

    def torch(self, op, *extra, threads=None, steps=None):
        return self.measure("torch.compile" if "--compile" in extra else "torch", [sys.executable, "-m", "pytorch_side.measure", op], threads or self.a.threads, steps or self.a.steps,
                            [*map(str, extra)])

    def blas(self, label, library, shapes, steps):
        lines = [json.loads(line) for line in self.lines(label, [sys.executable, "-m", "pytorch_side.blas_gemm", library, str(self.a.threads), str(steps), shapes])]
        self.log += [dict(line, who=label) for line in lines]
        return lines

    def rounds(self, variants):
        """Runs all variants in turn, so many rounds. @param variants name -> function  @return name -> results; a variant that failed has its message"""
        results = {name: [] for name in variants}
        for turn in range(self.a.rounds):
            for name, run in variants.items():
                if isinstance(results[name], Failed):
                    continue
                print(f"  round {turn + 1}/{self.a.rounds}: {name}", file=sys.stderr, flush=True)
                try:
                    results[name].append(run())
                except Failed as failure:
                    results[name] = failure
                    print(f"  {failure}", file=sys.stderr, flush=True)
        return results


# ---- the table ----


def spread(values, form="{:.2f}"):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}–{form.format(max(values))})"


class Table:
    def __init__(self):
        self.rows, self.failures = [], []

    def add(self, name, values, target, memory="", form="{:.2f}"):
        """@param target "≥ 1.3" or "≤ 0.6": compared with the median"""
        sign, limit = target.split()[0], float(target.split()[1])
        median = statistics.median(values)
        met = median >= limit if sign == "≥" else median <= limit
        self.rows.append(dict(name=name, text=spread(values, form), values=values, target=target, met=met, memory=memory))

    def missing(self, name, target, why):
        self.rows.append(dict(name=name, text=f"not measured: {why}", values=[], target=target, met=None, memory=""))
        self.failures.append(f"{name}: {why}")

    def ratio(self, name, over, under, target, field="seconds_per_step", memory=""):
        """over ÷ under, round by round. Each is a list of results with one line, or a Failed."""
        for side in (over, under):
            if isinstance(side, Failed):
                return self.missing(name, target, str(side))
        self.add(name, [a[0][field] / b[0][field] for a, b in zip(over, under)], target, memory)

    def markdown(self):
        text = "| measurement | median (min–max) | target | met | peak memory |\n| --- | --- | --- | --- | --- |\n"
        for r in self.rows:
            text += f"| {r['name']} | {r['text']} | {r['target']} | {'' if r['met'] is None else 'yes' if r['met'] else 'no'} | {r['memory']} |\n"
        return text


def median_of(results, field):
    return math.inf if isinstance(results, Failed) else statistics.median(r[0][field] for r in results)


def best_provider(results):
    """The faster of hlip's providers by its median."""
    return min((name for name in results if name.startswith("hlip")), key=lambda name: median_of(results[name], "seconds_per_step"))


def memory_text(results):
    """Medians, for PyTorch with what importing it takes: a build for GPUs loads hundreds of megabytes of libraries that a CPU build has not."""
    def of(name):
        text = f"{name} {median_of(results[name], 'peak_rss_bytes') / 2**30:.2f} GiB"
        if "peak_rss_bytes_after_import" in results[name][0][0]:
            text += f" ({median_of(results[name], 'peak_rss_bytes_after_import') / 2**30:.2f} after import)"
        return text

    return ", ".join(of(name) for name in results if not isinstance(results[name], Failed))


# ---- the rows ----


def compare_model(run, table, op, what, options, targets, compiled=False, memory_target=None, eigen_target=None):
    """Rows of one model step. @param targets of PyTorch eager and, if `compiled`, of torch.compile against the best provider"""
    variants = {"torch": lambda: run.torch(op, *options)}
    compiled = compiled and not run.a.no_compile
    if compiled:
        variants["torch.compile"] = lambda: run.torch(op, *options, "--compile")
    for provider in run.a.providers:
        variants[f"hlip {provider}"] = lambda provider=provider: run.hlip(op, *options, provider=provider)
    results = run.rounds(variants)
    best = best_provider(results)
    table.ratio(f"{what}: PyTorch eager ÷ {best}", results["torch"], results[best], targets[0], memory=memory_text(results))
    if compiled:
        table.ratio(f"{what}: torch.compile ÷ {best}", results["torch.compile"], results[best], targets[1])
    if eigen_target and "hlip eigen" in results:
        table.ratio(f"{what}: PyTorch eager ÷ hlip eigen", results["torch"], results["hlip eigen"], eigen_target)
    if memory_target:
        table.ratio(f"{what}, peak memory: {best} ÷ PyTorch eager", results[best], results["torch"], memory_target, field="peak_rss_bytes")


def row_train(run, table):
    options = ("--model", SINGLE, "--batch", 1, "--scans", 1)
    compare_model(run, table, "train", "training step, singlescan h2, batch 1", options, ("≥ 1.3", "≥ 1.1"), compiled=True, memory_target="≤ 0.6", eigen_target="≥ 1.0")


def row_train_multiscan(run, table):
    compare_model(run, table, "train", "training step, multiscan h3, 4 scans", ("--model", MULTI, "--batch", 1, "--scans", 4), ("≥ 1.3",))


def row_infer(run, table):
    compare_model(run, table, "infer", "inference, singlescan h2", ("--model", SINGLE, "--batch", 1, "--scans", 1), ("≥ 1.4",), memory_target="≤ 0.5")


def row_text(run, table):
    compare_model(run, table, "text", "text tower, BERT-base, 64 × 256 tokens, training", ("--model", SINGLE, "--batch", 64, "--tokens", 256), ("≥ 1.2",))


def installed_blas(run):
    """CBLAS libraries to compare with, path or name by label: those the loader finds, and the one hlip_bench_cblas is linked with."""
    found = {}
    linked = run.a.hlip_bench + "_cblas"
    if os.path.exists(linked):
        for match in re.finditer(r"(lib(?:blis|openblas|mkl_rt)\S*) => (\S+)", "\n".join(run.lines("ldd", ["ldd", linked]))):
            found[match[1]] = match[2]
    for name in ("blis", "openblas", "mkl_rt"):
        library = ctypes.util.find_library(name)
        if library and library not in found:
            found[library] = library
    return found


def row_gemm(run, table):
    repeats = max(run.a.steps, 5)
    shape_of = lambda line: (line["m"], line["n"], line["k"], int(line["trans_a"]), int(line["trans_b"]))
    ours = lambda provider: {shape_of(line): line["seconds_per_step"] for line in run.hlip("gemm", "--model", SINGLE, provider=provider, steps=repeats)}
    shapes = list(ours(run.a.providers[0]))  # also the warm-up
    text = ";".join(",".join(map(str, s)) for s in shapes)
    by_shape = lambda lines: dict(zip(shapes, (line["seconds_per_step"] for line in lines)))
    variants = {"torch.mm": lambda: by_shape(run.torch("gemm", "--shapes", text, steps=repeats))}
    for label, library in installed_blas(run).items():
        variants[label] = lambda label=label, library=library: by_shape(run.blas(label, library, text, repeats))
    for provider in run.a.providers:
        variants[f"hlip {provider}"] = lambda provider=provider: ours(provider)
    results = run.rounds(variants)
    others = {name: r for name, r in results.items() if not name.startswith("hlip") and not isinstance(r, Failed)}
    for name, result in results.items():
        if isinstance(result, Failed) and not name.startswith("hlip"):
            table.failures.append(f"GEMM: {result}")
    for provider, target in (("cblas", "≥ 0.97"), ("eigen", "≥ 0.75")):
        row, mine = f"GEMM on ViT-B shapes: hlip {provider} ÷ best of {', '.join(others)}", results.get(f"hlip {provider}")
        if provider not in run.a.providers or isinstance(mine, Failed) or not others:
            table.missing(row, target, str(mine) if mine else f"provider {provider} is not built" if provider not in run.a.providers else "no BLAS to compare with")
            continue
        each = {s: [min(o[i][s] for o in others.values()) / mine[i][s] for i in range(run.a.rounds)] for s in shapes}
        mean = lambda i: math.exp(statistics.fmean(math.log(each[s][i]) for s in shapes))
        medians = {s: statistics.median(v) for s, v in each.items()}
        worst = min(medians, key=medians.get)
        table.add(row + f" (geometric mean of {len(shapes)} shapes; worst {worst[0]}×{worst[1]}×{worst[2]} {'t' if worst[3] else 'n'}{'t' if worst[4] else 'n'} {medians[worst]:.2f})",
                  [mean(i) for i in range(run.a.rounds)], target)


def row_attention(run, table):
    for sequences, tokens in ((1, 2744), (14, 197)):
        sizes = ("--sequences", sequences, "--tokens", tokens, "--heads", 12, "--head-dim", 64)
        steps = max(run.a.steps, 5)

        def ours(provider):
            return [line for line in run.hlip("attention", *sizes, provider=provider, steps=steps) if line["op"] == "attention"]

        results = run.rounds({"torch": lambda: run.torch("attention", *sizes, steps=steps), **{f"hlip {p}": lambda p=p: ours(p) for p in run.a.providers}})
        best = best_provider(results)
        table.ratio(f"attention forward + backward, {sequences} × T = {tokens}: PyTorch ÷ {best}", results["torch"], results[best], "≥ 1.2")


def row_preprocess(run, table):
    name, target = "preprocessing one CT volume, one thread each: nibabel + PyTorch ÷ hlip", "≥ 4"
    if not run.a.volume:
        return table.missing(name, target, "give --volume FILE.nii.gz")
    options = ("--file", run.a.volume, "--slope", 1, "--intercept", -1024)
    results = run.rounds({"torch": lambda: run.torch("preprocess", *options, threads=1), "hlip": lambda: run.hlip("preprocess", *options, threads=1)})
    if not any(isinstance(r, Failed) for r in results.values()):
        torch, ours = results["torch"][0][0], results["hlip"][0][0]
        if torch["to"] != ours["to"] or abs(torch["middle_hu"] - ours["middle_hu"]) > 0.05:
            return table.missing(name, target, f"the sides differ: {torch['to']} {torch['middle_hu']} HU against {ours['to']} {ours['middle_hu']} HU")
    table.ratio(name, results["torch"], results["hlip"], target, memory=memory_text(results))


def row_tokenize(run, table):
    name, target = "tokenising reports, one thread each: Python tokenizers ÷ hlip", "≥ 1"
    if not run.a.reports:
        return table.missing(name, target, "give --reports FILE (.csv with --column NAME, or one report a line)")
    options = ["--file", run.a.reports, "--vocab", run.a.vocab] + (["--column", run.a.column] if run.a.reports.endswith(".csv") else [])
    steps = max(run.a.steps, 5)
    results = run.rounds({"tokenizers": lambda: run.torch("tokenize", *options, threads=1, steps=steps), "hlip": lambda: run.hlip("tokenize", *options, threads=1, steps=steps)})
    if not any(isinstance(r, Failed) for r in results.values()):
        python, ours = results["tokenizers"][0][0], results["hlip"][0][0]
        if python["hash"] != ours["hash"]:
            return table.missing(name, target, f"the sides give other ids: {python['ids']} and {ours['ids']} of them")
    table.ratio(name, results["tokenizers"], results["hlip"], target)


def row_start(run, table):
    name, target = "process start to first probability on a cached volume, without the forward passes, in seconds", "≤ 0.3"
    if not run.a.volume:
        return table.missing(name, target, "give --volume FILE.nii.gz")
    with tempfile.TemporaryDirectory() as folder:
        cached = os.path.join(folder, "volume.safetensors")
        run.lines("hlip preprocess", [run.a.hlip_bench, "preprocess", "--file", run.a.volume, "--out", cached, "--steps", "1"])
        run.lines("hlip checkpoint", [run.a.hlip_bench, "checkpoint", "--model", SINGLE, "--vocab", run.a.vocab, "--out", folder])
        command = [run.a.hlip_bench, "start", "--checkpoint", folder, "--file", cached, "--threads", str(run.a.threads)]
        results = run.rounds({"hlip": lambda: [json.loads(line) for line in run.lines("hlip start", command)]})["hlip"]
    if isinstance(results, Failed):
        return table.missing(name, target, str(results))
    table.add(name, [r[0]["seconds_per_step"] for r in results], target, memory=memory_text({"hlip": results}))


ROWS = {"train": row_train, "train_multiscan": row_train_multiscan, "infer": row_infer, "text": row_text, "gemm": row_gemm, "attention": row_attention, "preprocess": row_preprocess,
        "tokenize": row_tokenize, "start": row_start}


# ---- what the numbers depend on ----


def cpu_model():
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def circumstances(run):
    versions = json.loads(run.lines("torch", [sys.executable, "-m", "pytorch_side.measure", "versions"])[-1])
    with open(os.path.join(SOURCE, "include/hlip/version.hpp")) as header:
        hlip = re.search(r'HLIP_VERSION "([^"]+)"', header.read())[1]
    git = lambda *command: subprocess.run(["git", "-C", SOURCE, *command], capture_output=True, text=True)
    commit = git("rev-parse", "--short", "HEAD").stdout.strip() or "unknown"
    if git("status", "--porcelain", "--untracked-files=no").stdout.strip():
        commit += " with changes"
    return {"cpu": cpu_model(), "processors": len(os.sched_getaffinity(0)), "threads": run.a.threads, "rounds": run.a.rounds, "steps": run.a.steps, "hlip": hlip, "commit": commit,
            "providers": ", ".join(run.a.providers), **versions}


def parse_arguments():
    shared = os.environ.get("HLIP_SHARED", os.path.join(SOURCE, "..", "shared"))
    there = lambda path: path if os.path.exists(path) else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="rows, separated by commas")
    parser.add_argument("--list", action="store_true", help="names the rows")
    parser.add_argument("--check", action="store_true", help="compares the PyTorch side with the golden fixtures and ends")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a process (default 3; kernels at least 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of either side (default: all processors)")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds a process may take (default 3600)")
    parser.add_argument("--hlip-bench", default=os.path.join(SOURCE, "build/release/bin/hlip_bench"), help="default: the one of build/release")
    parser.add_argument("--volume", default=there(os.path.join(shared, "data/chest_ct/dataset/valid/valid_1/valid_1_a/valid_1_a_1.nii.gz")), help="a chest CT, .nii.gz with HU + 1024")
    parser.add_argument("--reports", default=there(os.path.join(shared, "data/reports/ct_rate_annotated_train.csv")), help="reports: a .csv, or text with one a line")
    parser.add_argument("--column", default="report_text", help="column of a .csv with the reports (default report_text)")
    parser.add_argument("--vocab", default=os.path.join(SOURCE, "tests/golden/interop/vocab.txt"), help="WordPiece vocabulary")
    parser.add_argument("--no-compile", action="store_true", help="leaves torch.compile and its row out: compiling takes a minute of every process")
    parser.add_argument("--json", metavar="FILE", help="writes every measurement and the table there")
    a = parser.parse_args()
    a.rows = a.only.split(",") if a.only else list(ROWS)
    for row in a.rows:
        if row not in ROWS:
            parser.error(f"--only {row}: no such row, expected some of {', '.join(ROWS)}")
    if min(a.rounds, a.steps, a.threads, a.timeout) < 1:
        parser.error("--rounds, --steps, --threads and --timeout are at least 1")
    return a


def main():
    a = parse_arguments()
    if a.list:
        print("\n".join(ROWS))
        return 0
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"compare_pytorch.py: {sys.executable} has no {', '.join(missing)}; install {' '.join(NEEDED)} for it, for example in a virtual environment", file=sys.stderr)
        return 1
    run = Runner(a)
    try:
        checked = run.lines("golden fixtures", [sys.executable, "-m", "pytorch_side.measure", "check", os.path.join(SOURCE, "tests/golden/hlip")])
        print("\n".join(checked), file=sys.stderr)
        print(f"{len(checked)} golden fixtures: the PyTorch side computes what hlip computes", file=sys.stderr)
        if a.check:
            return 0
        if not os.path.exists(a.hlip_bench):
            raise Failed(f"{a.hlip_bench} does not exist: build hlip_bench, or say where it is with --hlip-bench")
        a.providers = ["eigen"] + (["cblas"] if os.path.exists(a.hlip_bench + "_cblas") else [])
        facts = circumstances(run)
    except Failed as failure:
        print(f"compare_pytorch.py: {failure}", file=sys.stderr)
        return 1
    table = Table()
    for row in a.rows:
        print(row, file=sys.stderr, flush=True)
        try:
            ROWS[row](run, table)
        except Failed as failure:
            table.failures.append(f"{row}: {failure}")
        if a.json:  # after every row: a run that is stopped has not been for nothing
            with open(a.json, "w") as file:
                json.dump({"circumstances": facts, "rows": table.rows, "measurements": run.log}, file, indent=1, ensure_ascii=False)
    print("\n".join(f"- {name}: {value}" for name, value in facts.items()))
    print()
    print(table.markdown(), end="")
    for failure in table.failures:
        print(f"compare_pytorch.py: {failure}", file=sys.stderr)
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())
