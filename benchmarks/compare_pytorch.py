#!/usr/bin/env python3
"""hlip beside PyTorch on this machine: the same work by both, in turns, in one run.

  compare_pytorch.py                          everything, at least five rounds
  compare_pytorch.py --only infer,attention   some of it; --list names the rows
  compare_pytorch.py --check                  only shows that both sides compute the same, on the golden fixtures
  compare_pytorch.py --device cuda            the same models on a GPU (build/cuda): benchmarks/gpu.sh prepares and runs it

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
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(HERE)
NEEDED = ("torch", "numpy", "safetensors", "nibabel", "tokenizers")
NEEDED_BY_MODELS = NEEDED[:3]
SINGLE, MULTI = "vit_base_singlescan_h2_token2744", "vit_base_multiscan_h3_token1176"


class Failed(Exception):
    """A measurement that did not come about, with the reason in one line."""


class OutOfMemory(Failed):
    """No failure where batches grow until memory ends."""


class TimeIsUp(Failed):
    """Nor is what --seconds left no time for."""


class Runner:
    def __init__(self, arguments):
        self.a = arguments
        self.end = time.monotonic() + arguments.seconds
        self.log = []  # every JSON line, with its round and who gave it

    def environment(self):
        threads = str(self.a.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS")
        return dict(os.environ, PYTHONPATH=HERE, **{name: threads for name in names})

    def lines(self, who, command):
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeIsUp(f"not run: --seconds {self.a.seconds:g} were over")
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=min(self.a.timeout, left))
        except subprocess.TimeoutExpired:
            if left < self.a.timeout:
                raise TimeIsUp(f"{who}: stopped when --seconds {self.a.seconds:g} were over") from None
            raise Failed(f"{who}: not done after {self.a.timeout} s") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            if said and "out of memory" in said[-1].lower():
                raise OutOfMemory(f"{who}: out of memory")
            raise Failed(f"{who}: {said[-1] if said else f'exit code {done.returncode}, no message'}")
        return done.stdout.strip().splitlines()

    def measure(self, who, command, threads, steps, extra):
        lines = [json.loads(line) for line in self.lines(who, command + ["--threads", str(threads), "--steps", str(steps)] + extra)]
        self.log += [dict(line, who=who) for line in lines]
        return lines

    def hlip(self, op, *extra, provider=None, threads=None, steps=None):
        which = ["--device", "cuda"] if self.a.device != "cpu" else ["--provider", provider] if provider else []
        return self.measure(f"hlip {provider or ''}".strip(), [self.a.hlip_bench, op], threads or self.a.threads, steps or self.a.steps, [*map(str, extra), *which])

    def torch(self, op, *extra, threads=None, steps=None, who=None):
        where = ["--device", "cuda"] if self.a.device == "cuda" else []
        return self.measure(who or ("torch.compile" if "--compile" in extra else "torch"), [sys.executable, "-m", "pytorch_side.measure", op], threads or self.a.threads, steps or self.a.steps,
                            [*map(str, extra), *where])

    def hlips(self, op, options, **more):
        """hlip as variants for `rounds`: with every provider, or on the device."""
        if self.a.device != "cpu":
            return {"hlip": lambda: self.hlip(op, *options, **more)}
        return {f"hlip {provider}": lambda provider=provider: self.hlip(op, *options, provider=provider, **more) for provider in self.a.providers}

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
                except TimeIsUp as failure:
                    if all(isinstance(r, Failed) or r for r in results.values()):
                        return results  # fewer rounds
                    results[name] = results[name] or failure
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

    def add(self, name, values, target, memory="", form="{:.2f}", rate=""):
        """@param target "≥ 1.3" or "≤ 0.6": compared with the median; "" is none"""
        met = None
        if target:
            sign, limit = target.split()[0], float(target.split()[1])
            median = statistics.median(values)
            met = median >= limit if sign == "≥" else median <= limit
        self.rows.append(dict(name=name, text=spread(values, form), values=values, target=target, met=met, memory=memory, rate=rate))

    def missing(self, name, target, why, memory="", rate=""):
        expected = isinstance(why, (OutOfMemory, TimeIsUp))
        self.rows.append(dict(name=name, text=str(why) if expected else f"not measured: {why}", values=[], target=target, met=None, memory=memory, rate=rate))
        if not expected:
            self.failures.append(f"{name}: {why}")

    def ratio(self, name, over, under, target, field="seconds_per_step", memory="", rate=""):
        """over ÷ under, round by round. Each is a list of results with one line, or a Failed."""
        for side in (over, under):
            if isinstance(side, Failed):
                return self.missing(name, target, side, memory, rate)
        self.add(name, [a[0][field] / b[0][field] for a, b in zip(over, under)], target, memory, rate=rate)

    def markdown(self):
        columns = ["measurement", "median (min–max)", "target", "met", "peak memory"] + (["of the peak rate"] if any(r["rate"] for r in self.rows) else [])
        text = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}\n"
        for r in self.rows:
            cells = [r["name"], r["text"], r["target"], "" if r["met"] is None else "yes" if r["met"] else "no", r["memory"], r["rate"]]
            text += f"| {' | '.join(cells[: len(columns)])} |\n"
        return text


def median_of(results, field):
    return math.inf if isinstance(results, Failed) else statistics.median(r[0][field] for r in results)


def best_provider(results):
    """The faster of hlip's providers by its median."""
    return min((name for name in results if name.startswith("hlip")), key=lambda name: median_of(results[name], "seconds_per_step"))


def memory_field(results):
    """Of a GPU what was in use in its memory, otherwise what the process had resident."""
    return "peak_device_bytes" if all("peak_device_bytes" in r[0][0] for r in results.values() if not isinstance(r, Failed)) else "peak_rss_bytes"


def memory_text(results):
    """Medians, for PyTorch with what importing it takes: a build for GPUs loads hundreds of megabytes of libraries that a CPU build has not."""
    def of(name):
        text = f"{name} {median_of(results[name], memory_field(results)) / 2**30:.2f} GiB"
        if memory_field(results) == "peak_device_bytes":
            text += f" ({median_of(results[name], 'peak_device_reserved_bytes') / 2**30:.2f} reserved)"
        elif "peak_rss_bytes_after_import" in results[name][0][0]:
            text += f" ({median_of(results[name], 'peak_rss_bytes_after_import') / 2**30:.2f} after import)"
        return text

    return ", ".join(of(name) for name in results if not isinstance(results[name], Failed))


def rate_text(results, flop, peak):
    """What of the card's peak each side reached, counting only operations the model needs."""
    of = lambda name: f"{name} {flop / median_of(results[name], 'seconds_per_step') * 1e-12:.3g} TFLOP/s, {flop / median_of(results[name], 'seconds_per_step') / peak:.0%}"
    return "; ".join(of(name) for name in results if not isinstance(results[name], Failed))


# ---- the rows ----


def compare_model(run, table, op, what, options, targets, compiled=False, memory_target=None, eigen_target=None, flop=0, peak=None):
    """Rows of one model step. @param targets of PyTorch eager and, if `compiled`, of torch.compile against the best provider
    @param flop of a step and `peak` of the device: what of it is reached  @return whether no side was stopped"""
    variants = {"torch": lambda: run.torch(op, *options)}
    compiled = compiled and not run.a.no_compile
    if compiled:
        variants["torch.compile"] = lambda: run.torch(op, *options, "--compile")
    results = run.rounds(variants | run.hlips(op, options))
    best = best_provider(results)
    rate = rate_text(results, flop, peak) if peak else ""
    table.ratio(f"{what}: PyTorch eager ÷ {best}", results["torch"], results[best], targets[0], memory=memory_text(results), rate=rate)
    if compiled:
        table.ratio(f"{what}: torch.compile ÷ {best}", results["torch.compile"], results[best], targets[1])
    if eigen_target and "hlip eigen" in results:
        table.ratio(f"{what}: PyTorch eager ÷ hlip eigen", results["torch"], results["hlip eigen"], eigen_target)
    if memory_target is not None and not any(isinstance(results[name], Failed) for name in (best, "torch")):
        table.ratio(f"{what}, peak memory: {best} ÷ PyTorch eager", results[best], results["torch"], memory_target, field=memory_field(results))
    return not any(isinstance(r, (OutOfMemory, TimeIsUp)) for r in results.values())


def row_train(run, table):
    options = ("--model", SINGLE, "--batch", 1, "--scans", 1)
    compare_model(run, table, "train", "training step, singlescan h2, batch 1", options, ("≥ 1.3", "≥ 1.1"), compiled=True, memory_target="≤ 0.6", eigen_target="≥ 1.0")


def row_train_multiscan(run, table):
    compare_model(run, table, "train", "training step, multiscan h3, 4 scans", ("--model", MULTI, "--batch", 1, "--scans", 4), ("≥ 1.3",))


def row_infer(run, table):
    compare_model(run, table, "infer", "inference, singlescan h2", ("--model", SINGLE, "--batch", 1, "--scans", 1), ("≥ 1.4",), memory_target="≤ 0.5")


def row_text(run, table):
    compare_model(run, table, "text", "text tower, BERT-base, 64 × 256 tokens, training", ("--model", SINGLE, "--batch", 64, "--tokens", 256), ("≥ 1.2",))


def row_self_distillation(run, table):
    """A step of RAD-DINO's pre-training; beside the public code too, where DINOV2_REF names a checkout of it."""
    what = "self-distillation step, ViT-B/14, 2 crops of 224 and 8 of 98, batch 4, 65,536 prototypes"
    options = ("--batch", 4, "--size", 224, "--local-size", 98, "--local-crops", 8, "--prototypes", 65536, "--drop-path", 0.3, "--centering", "centering")
    variants = {"torch": lambda: run.torch("self-distillation", *options)}
    if os.environ.get("DINOV2_REF"):
        variants["DINOv2"] = lambda: run.torch("self-distillation", *options, "--public", who="DINOv2")
    results = run.rounds(variants | run.hlips("self-distillation", options))
    best, memory = best_provider(results), memory_text(results)
    for name, words in (("torch", "PyTorch eager"), ("DINOv2", "public code")):
        if name not in results:
            continue
        table.ratio(f"{what}: {words} ÷ {best}", results[name], results[best], "≥ 1.5", memory=memory)
        if not any(isinstance(results[side], Failed) for side in (best, name)):
            table.ratio(f"{what}, peak memory: {best} ÷ {words}", results[best], results[name], "≤ 0.6", field=memory_field(results))


def row_encode(run, table):
    """Inference at 518 pixels, beside PyTorch and the runtimes that are installed."""
    what, options = "features of a picture of 518 pixels, ViT-B/14", ("--batch", 1, "--size", 518)
    runtimes = ["torch"] + [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name) is not None]
    variants = {name: lambda name=name: run.torch("encode", *options, "--runtime", name, who=name) for name in runtimes}
    results = run.rounds(variants | run.hlips("encode", options))
    best, memory = best_provider(results), memory_text(results)
    for name in runtimes:
        table.ratio(f"{what}: {'PyTorch eager' if name == 'torch' else name} ÷ {best}", results[name], results[best], "", memory=memory if name == "torch" else "")
    others = [results[name] for name in runtimes if not isinstance(results[name], Failed)]
    if others and not isinstance(results[best], Failed):
        fastest = [min(turn, key=lambda lines: lines[0]["seconds_per_step"]) for turn in zip(*others)]
        table.ratio(f"{what}: the fastest of these ÷ {best}", fastest, results[best], "≥ 1.2")


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


def row_conv(run, table):
    """Convolutions of a U-Net and of a 3-D ResNet-50, forward and backward: the geometric mean over their shapes."""
    repeats, seconds = max(run.a.steps, 5), lambda lines: [line["seconds_per_step"] for line in lines]
    for net, words in (("u_net", "a U-Net, 4 × 224²"), ("resnet50_3d", "a 3-D ResNet-50, 2 × 96³")):
        shapes = [{key: line[key] for key in ("batch", "in", "out", "size", "kernel", "stride", "first", "transposed")} for line in run.hlip("conv", "--net", net, steps=1)]
        variants = {"torch": lambda: seconds(run.torch("conv", "--shapes", json.dumps(shapes), steps=repeats))}
        variants |= {name: lambda f=f: seconds(f()) for name, f in run.hlips("conv", ("--net", net), steps=repeats).items()}
        results = run.rounds(variants)
        for name, mine in results.items():
            row = f"convolutions of {words}, forward and backward: PyTorch (oneDNN) ÷ {name}"
            if name == "torch" or isinstance(mine, Failed) or isinstance(results["torch"], Failed):
                if name != "torch":
                    table.missing(row, "≥ 0.9", str(mine if isinstance(mine, Failed) else results["torch"]))
                continue
            each = [[torch / ours for torch, ours in zip(*turn)] for turn in zip(results["torch"], mine)]
            medians = [statistics.median(column) for column in zip(*each)]
            worst = shapes[medians.index(min(medians))]
            table.add(row + f" (geometric mean of {len(shapes)} shapes; worst {worst['in']} to {worst['out']} channels, kernel {worst['kernel']}, at {'×'.join(map(str, worst['size']))} {min(medians):.2f})",
                      [math.exp(statistics.fmean(map(math.log, turn))) for turn in each], "≥ 0.9")


def row_u_net(run, table):
    what, options = "training step of a U-Net, 5 levels from 32 channels, 4 × 224²", ("--batch", 4, "--size", 224, "--width", 32, "--classes", 4)
    results = run.rounds({"torch": lambda: run.torch("u-net", *options)} | run.hlips("u-net", options))
    best = best_provider(results)
    table.ratio(f"{what}: PyTorch ÷ {best}", results["torch"], results[best], "≥ 1.0", memory=memory_text(results))
    if not any(isinstance(results[side], Failed) for side in (best, "torch")):
        table.ratio(f"{what}, peak memory: {best} ÷ PyTorch", results[best], results["torch"], "≤ 0.7", field=memory_field(results))


def row_decode(run, table):
    """Tokens of a language model of random numbers, beside transformers; in fp32 both have to give the same answer."""
    if importlib.util.find_spec("transformers") is None:
        print("  left out: decode, because transformers is not installed", file=sys.stderr)
        return
    for precision in ("fp32", "bf16"):
        what = f"greedy answer of 32 tokens to 32, Llama of 1.1 billion parameters in {precision}"
        with tempfile.TemporaryDirectory() as folder:
            options = ("--folder", folder, "--prompt", 32, "--tokens", 32)
            run.lines("transformers", [sys.executable, "-m", "pytorch_side.measure", "llama-folder", "--folder", folder, "--precision", precision,
                                       "--threads", str(run.a.threads), "--steps", "1"])
            results = run.rounds({"torch": lambda: run.torch("decode", *options, who="transformers")} | run.hlips("decode", options))
        best = best_provider(results)
        table.ratio(f"{what}: transformers ÷ {best}", results["torch"], results[best], "≥ 1.2", memory=memory_text(results))
        if precision == "fp32" and not any(isinstance(results[side], Failed) for side in (best, "torch")):
            theirs, ours = results["torch"][0][0]["answer"], results[best][0][0]["answer"]
            if theirs != ours:
                table.failures.append(f"{what}: the answers part at token {next(i for i, pair in enumerate(zip(theirs, ours)) if pair[0] != pair[1])}")


def row_attention(run, table):
    for sequences, tokens in ((1, 2744), (14, 197)):
        sizes = ("--sequences", sequences, "--tokens", tokens, "--heads", 12, "--head-dim", 64)
        steps = max(run.a.steps, 5)

        ours = {name: lambda f=f: [line for line in f() if line["op"] == "attention"] for name, f in run.hlips("attention", sizes, steps=steps).items()}
        results = run.rounds({"torch": lambda: run.torch("attention", *sizes, steps=steps), **ours})
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


# ---- the rows of a device: every model and precision, batches that grow until memory ends ----


def device_rows(op, words):
    """A row for every model, precision and batch of the command line."""
    def rows(run, table):
        from pytorch_side import models

        for model in run.a.models:
            scans = 4 if "multiscan" in model else 1
            for precision in run.a.precisions:
                # Issue: the single-scan model, trained and asked in tf32 and bf16, at least as fast as eager in 0.7 of its memory.
                aimed = model == SINGLE and precision != "fp32" and run.a.device == "cuda"
                for batch in run.a.batches:
                    options = ("--model", model, "--batch", batch, "--scans", scans, "--precision", precision, "--warmup", run.a.warmup)
                    flop = models.visual_flop(model, batch, scans) * (3 if op == "train" else 1)
                    what = f"{words}, {model}, {scans} scan{'s' if scans > 1 else ''}, {precision}, batch {batch}"
                    if not compare_model(run, table, op, what, options, ("≥ 1.0" if aimed else "", ""), compiled=True, memory_target="≤ 0.7" if aimed else "", flop=flop, peak=run.a.peaks[precision]):
                        break

    return rows


def row_device_text(run, table):
    from pytorch_side import models

    model, batch, tokens = (SINGLE, 64, 256) if run.a.device == "cuda" else (run.a.models[0], 2, 16)
    for precision in run.a.precisions:
        compare_model(run, table, "text", f"text tower of {model}, {batch} × {tokens} tokens, training, {precision}", ("--model", model, "--batch", batch, "--tokens", tokens, "--precision", precision, "--warmup", run.a.warmup),
                      ("", ""), compiled=True, flop=3 * models.text_flop(model, batch, tokens), peak=run.a.peaks[precision])


def row_device_attention(run, table):
    """Forward and backward alone, at the levels of the single-scan and of the multi-scan model; seven products are counted, as hlip_bench does."""
    sizes = [(8, 2745, 12, 64), (112, 197, 12, 64), (8, 4705, 12, 64)] if run.a.device == "cuda" else [(2, 65, 3, 32)]
    for precision in run.a.precisions:
        for sequences, tokens, heads, width in sizes:
            options = ("--sequences", sequences, "--tokens", tokens, "--heads", heads, "--head-dim", width, "--precision", precision)
            ours = {name: lambda f=f: [line for line in f() if line["op"] == "attention"] for name, f in run.hlips("attention", options).items()}
            results = run.rounds({"torch": lambda: run.torch("attention", *options), **ours})
            rate = rate_text(results, 14 * sequences * heads * width * tokens**2, run.a.peaks[precision])
            table.ratio(f"attention forward + backward, {sequences} × T = {tokens}, {precision}: PyTorch ÷ hlip", results["torch"], results["hlip"], "", rate=rate)


def device_table():
    return {"infer": device_rows("infer", "inference"), "train": device_rows("train", "training step"), "attention": row_device_attention, "text": row_device_text}


ROWS = {"train": row_train, "train_multiscan": row_train_multiscan, "infer": row_infer, "text": row_text, "self_distillation": row_self_distillation, "encode": row_encode, "conv": row_conv, "u_net": row_u_net, "decode": row_decode, "gemm": row_gemm, "attention": row_attention, "preprocess": row_preprocess,
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
    commit = "unknown"
    if shutil.which("git"):
        git = lambda *command: subprocess.run(["git", "-C", SOURCE, *command], capture_output=True, text=True)
        commit = git("rev-parse", "--short", "HEAD").stdout.strip() or commit
        if git("status", "--porcelain", "--untracked-files=no").stdout.strip():
            commit += " with changes"
    tuned = {name: value for name, value in sorted(os.environ.items()) if name.startswith(("OPENBLAS_", "BLIS_", "MKL_")) and not name.endswith("_NUM_THREADS")}  # such as a kernel chosen by hand
    return {"cpu": cpu_model(), **tuned, "processors": len(os.sched_getaffinity(0)), "threads": run.a.threads, "rounds": run.a.rounds, "steps": run.a.steps, "hlip": hlip, "commit": commit,
            **(device_circumstances(run, versions) if run.a.device != "cpu" else {"providers": ", ".join(run.a.providers)}), **versions}


def device_circumstances(run, versions):
    """Names the device, which both sides must see, and finds its peak rates: of the data sheet, or else of the largest product. Sets run.a.peaks."""
    from pytorch_side.cards import data_sheet

    small = ("--m", 8, "--n", 8, "--k", 8)
    name = run.hlip("gemm", *small, steps=1)[0]["device"]
    if run.a.device == "host":
        facts, sheet, size = {"NOT A GPU": f"hlip's Cuda backend on {name}, PyTorch on the processor: this shows that the comparison runs, and says nothing about a GPU"}, {}, 512
    else:
        if name != versions.get("device"):
            raise Failed(f"hlip computes on {name}, PyTorch on {versions.get('device', 'no GPU')}")
        query = subprocess.run(["nvidia-smi", "--query-gpu=driver_version,memory.total,power.limit,compute_cap", "--format=csv,noheader", "--id=0"], capture_output=True, text=True)
        facts, sheet, size = {"card": name, "driver, memory, power limit, compute capability": query.stdout.strip() or "nvidia-smi does not say"}, data_sheet(name), 8192
    run.a.peaks = {}
    for precision in list(run.a.precisions):
        measured = run.torch("peak", "--size", size, "--precision", precision, steps=5)[0]["flops"]
        run.a.peaks[precision] = sheet.get(precision, measured)
        facts[f"peak rate, {precision}"] = f"{run.a.peaks[precision] * 1e-12:.4g} TFLOP/s, " + (f"data sheet; torch.mm of {size}³ reaches {measured * 1e-12:.4g}" if precision in sheet else f"measured: what torch.mm of {size}³ reaches")
    return facts


def parse_arguments():
    shared = os.environ.get("HLIP_SHARED", os.path.join(SOURCE, "..", "shared"))
    there = lambda path: path if os.path.exists(path) else None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="rows, separated by commas")
    parser.add_argument("--list", action="store_true", help="names the rows")
    parser.add_argument("--check", action="store_true", help="compares the PyTorch side with the golden fixtures and ends")
    parser.add_argument("--rounds", type=int, help="turns of each side (default 5, on a device 3)")
    parser.add_argument("--steps", type=int, help="timed steps of a process (default 3, on a GPU 10; kernels on a processor at least 5)")
    parser.add_argument("--device", choices=("cpu", "cuda", "host"), default="cpu", help="cuda: a GPU, with the hlip_bench of build/cuda. host: the rows of a GPU without one, hlip's Cuda backend and PyTorch both on the processor: a rehearsal")
    device = parser.add_argument_group("with --device cuda or host")
    device.add_argument("--models", help=f"configurations, separated by commas, or all (default {SINGLE},{MULTI}; host: phantom)")
    device.add_argument("--precisions", help="some of fp32,tf32,bf16 (default: all; host: fp32)")
    device.add_argument("--batches", help="rising batch sizes; a row ends where memory does (default 1,4,16,64,256; host: 1,2)")
    device.add_argument("--warmup", type=int, help="steps before the timed ones (default 3)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begins nothing after so many, and says what is missing")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of either side (default: all processors)")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds a process may take (default 3600)")
    parser.add_argument("--hlip-bench", help="default: the one of build/release, build/cuda or build/thrust-omp (host)")
    parser.add_argument("--volume", default=there(os.path.join(shared, "data/chest_ct/dataset/valid/valid_1/valid_1_a/valid_1_a_1.nii.gz")), help="a chest CT, .nii.gz with HU + 1024")
    parser.add_argument("--reports", default=there(os.path.join(shared, "data/reports/ct_rate_annotated_train.csv")), help="reports: a .csv, or text with one a line")
    parser.add_argument("--column", default="report_text", help="column of a .csv with the reports (default report_text)")
    parser.add_argument("--vocab", default=os.path.join(SOURCE, "tests/golden/interop/vocab.txt"), help="WordPiece vocabulary")
    parser.add_argument("--no-compile", action="store_true", help="leaves torch.compile and its row out: compiling takes a minute of every process")
    parser.add_argument("--json", metavar="FILE", help="writes every measurement and the table there")
    parser.add_argument("--markdown", metavar="FILE", help="writes what is printed there, after every row")
    a = parser.parse_args()
    known = ROWS
    if a.device == "cpu":
        for name in ("models", "precisions", "batches", "warmup"):
            if getattr(a, name) is not None:
                parser.error(f"--{name} means nothing without --device cuda or host")
    else:
        known = device_table()
        choose_device_work(parser, a, a.device == "host")
    a.rounds = a.rounds if a.rounds is not None else 5 if a.device == "cpu" else 3
    a.steps = a.steps if a.steps is not None else 10 if a.device == "cuda" else 3
    a.hlip_bench = a.hlip_bench or os.path.join(SOURCE, "build", {"cpu": "release", "cuda": "cuda", "host": "thrust-omp"}[a.device], "bin/hlip_bench")
    a.known = known
    a.rows = a.only.split(",") if a.only else list(known)
    for row in a.rows:
        if row not in known:
            parser.error(f"--only {row}: no such row, expected some of {', '.join(known)}")
    if min(a.rounds, a.steps, a.threads, a.timeout) < 1:
        parser.error("--rounds, --steps, --threads and --timeout are at least 1")
    return a


def require(needed):
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"compare_pytorch.py: {sys.executable} has no {', '.join(missing)}; install {' '.join(needed)} for it, for example in a virtual environment", file=sys.stderr)
        sys.exit(1)


def choose_device_work(parser, a, host):
    require(NEEDED_BY_MODELS)
    from pytorch_side.models import CONFIGS

    a.models = ["phantom"] if a.models is None and host else [SINGLE, MULTI] if a.models is None else list(CONFIGS) if a.models == "all" else a.models.split(",")
    a.precisions = (a.precisions or ("fp32" if host else "fp32,tf32,bf16")).split(",")
    a.warmup = 3 if a.warmup is None else a.warmup
    for name, words, known in (("models", a.models, CONFIGS), ("precisions", a.precisions, ("fp32", "tf32", "bf16"))):
        for word in words:
            if word not in known:
                parser.error(f"--{name} {word}: expected some of {', '.join(known)}")
    try:
        a.batches = [int(word) for word in (a.batches or ("1,2" if host else "1,4,16,64,256")).split(",")]
    except ValueError:
        a.batches = []
    if not a.batches or a.batches[0] < 1 or a.batches != sorted(set(a.batches)):
        parser.error("--batches: expected rising numbers, separated by commas")
    if a.warmup < 1:
        parser.error("--warmup is at least 1")


def main():
    a = parse_arguments()
    if a.list:
        print("\n".join(a.known))
        return 0
    require(NEEDED if a.device == "cpu" else NEEDED_BY_MODELS)
    run = Runner(a)
    table = Table()
    try:
        for precision in list(a.precisions) if a.device != "cpu" else ["fp32"]:
            try:
                check = [sys.executable, "-m", "pytorch_side.measure", "check", os.path.join(SOURCE, "tests/golden/hlip"), "--precision", precision]
                checked = run.lines("golden fixtures", check + (["--device", "cuda"] if a.device == "cuda" else []))
            except Failed as failure:
                if a.device == "cpu" or a.check:
                    raise
                a.precisions.remove(precision)
                table.failures.append(f"{precision}, which is left out: {failure}")
                continue
            if a.device == "cpu":
                checked += run.lines("golden trajectories", check[:4] + [os.path.join(SOURCE, "tests/golden/rad_dino"), "--trajectories"])
            print("\n".join(checked), file=sys.stderr)
            print(f"{len(checked)} golden fixtures: the PyTorch side computes what hlip computes{'' if a.device == 'cpu' else ' in ' + precision}", file=sys.stderr)
        if a.check:
            return 0
        if not os.path.exists(a.hlip_bench):
            raise Failed(f"{a.hlip_bench} does not exist: build hlip_bench, or say where it is with --hlip-bench")
        a.providers = ["eigen"] + (["cblas"] if os.path.exists(a.hlip_bench + "_cblas") else [])
        facts = circumstances(run)
    except Failed as failure:
        print(f"compare_pytorch.py: {failure}", file=sys.stderr)
        return 1
    report = lambda: "\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n\n" + table.markdown()
    for row in a.rows:
        print(row, file=sys.stderr, flush=True)
        try:
            a.known[row](run, table)
        except Failed as failure:
            table.failures.append(f"{row}: {failure}")
        if a.json:  # after every row: a run that is stopped has not been for nothing
            with open(a.json, "w") as file:
                json.dump({"circumstances": facts, "rows": table.rows, "measurements": run.log}, file, indent=1, ensure_ascii=False)
        if a.markdown:
            with open(a.markdown, "w") as file:
                file.write(report())
    print(report(), end="")
    for failure in table.failures:
        print(f"compare_pytorch.py: {failure}", file=sys.stderr)
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())
