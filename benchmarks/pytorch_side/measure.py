"""One measurement of PyTorch in a process of its own; prints JSON lines with the fields of hlip_bench.

compare_pytorch.py starts it:  python -m pytorch_side.measure train --model NAME --threads 2 --steps 3 [--compile] [--device cuda --precision bf16]
"""
import argparse
import contextlib
import json
import statistics
import sys
import time


def peak_rss_bytes():
    """The most memory resident so far: VmHWM, because ru_maxrss begins with the peak of the process that started this one."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def report(op, a, seconds, provider=None, **more):
    provider = provider or ("torch.compile" if getattr(a, "compile", False) else "torch")
    line = {"op": op, "threads": a.threads, "provider": provider, "steps": a.steps,
            "seconds_per_step": statistics.median(seconds), "best": min(seconds), "peak_rss_bytes": peak_rss_bytes(), **more}
    if hasattr(report, "imported"):
        line["peak_rss_bytes_after_import"] = report.imported
    if getattr(a, "precision", "fp32") != "fp32":
        line["precision"] = a.precision
    if getattr(a, "device", "cpu") == "cuda":
        import torch

        line |= {"device": torch.cuda.get_device_name(), "peak_device_bytes": torch.cuda.max_memory_allocated(), "peak_device_reserved_bytes": torch.cuda.max_memory_reserved()}
    print(json.dumps(line), flush=True)


def wait(a):
    """Until a GPU has done what was started on it."""
    if getattr(a, "device", "cpu") == "cuda":
        import torch

        torch.cuda.synchronize()


def set_precision(torch, precision):
    """What --precision of hlip means: tf32 of all products of floats; bf16 by autocast, as amp_bf16 of open_clip."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"  # of convolutions, on by default


def autocast(torch, a):
    return torch.autocast(a.device, torch.bfloat16) if a.precision == "bf16" else contextlib.nullcontext()


def timed_steps(steps, step, warmup=1):
    """Warm-up steps, then `steps` timed ones."""
    for _ in range(warmup):
        step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def timed_kernel(a, kernel):
    """The same for short calls, in groups of at least a millisecond, on a GPU ten, after a while of running as in hlip_bench."""
    def once():
        kernel()
        wait(a)

    woken = time.perf_counter()
    while time.perf_counter() - woken < 0.2:
        once()
    start = time.perf_counter()
    once()
    calls = int(min(max((1e-2 if getattr(a, "device", "cpu") == "cuda" else 1e-3) / (time.perf_counter() - start), 1), 1e4))

    def group():
        for _ in range(calls):
            kernel()
        wait(a)

    return [s / calls for s in timed_steps(a.steps, group)]


def make_optimizer(torch, module):
    """AdamW over the decay groups of hlip, the fused one where this PyTorch has it on the CPU."""
    decay, rest = [], []
    for name, p in module.named_parameters():
        if p.requires_grad:
            (decay if p.dim() >= 2 and not any(part in name for part in ("bn", "ln", "bias", "logit_scale")) else rest).append(p)
    groups = [{"params": decay, "weight_decay": 0.2}, {"params": rest, "weight_decay": 0.0}]
    try:
        return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-6, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.98), eps=1e-6)


def training_steps(torch, a, module, *inputs, **named):
    """What hlip_bench calls a training step: gradients to zero, forward, sum(features · cotangent), backward, AdamW."""
    module.to(a.device).train()
    optimizer = make_optimizer(torch, module)
    forward = torch.compile(module) if a.compile else module
    width = [p for p in module.parameters()][-1].shape[0]
    cotangent = torch.rand(a.batch, width, device=a.device) - 0.5

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast(torch, a):
            features = forward(*inputs, **named)
        loss = (features.float() * cotangent).sum()
        loss.backward()
        assert torch.isfinite(loss)
        optimizer.step()
        wait(a)

    return timed_steps(a.steps, step, a.warmup)


def visual(torch, a):
    from . import models

    tower = models.VisualTower(a.model)
    size = models.config(a.model)["vision"]["img_size"]
    return tower, torch.rand(a.batch, a.scans, 1, *size, device=a.device) - 0.5


def train(torch, a):
    tower, volumes = visual(torch, a)
    report("train", a, training_steps(torch, a, tower, volumes), model=a.model, batch=a.batch, scans=a.scans)


def infer(torch, a):
    tower, volumes = visual(torch, a)
    tower.to(a.device).eval()
    forward = torch.compile(tower) if a.compile else tower

    def step():
        forward(volumes)
        wait(a)

    with torch.inference_mode(), autocast(torch, a):
        report("infer", a, timed_steps(a.steps, step, a.warmup), model=a.model, batch=a.batch, scans=a.scans)


def text(torch, a):
    from . import models

    c = models.config(a.model)
    tower = models.TextTower(c["text"], c["embed_dim"], c["pooling"])
    ids = torch.randint(1, c["text"]["vocab"], (a.batch, a.tokens), device=a.device)
    report("text", a, training_steps(torch, a, tower, ids, padded=False), model=a.model, batch=a.batch, tokens=a.tokens)


def self_distillation(torch, a):
    """What hlip_bench calls a step of self-distillation; masks are drawn within it, as there."""
    from . import self_distillation as ours

    run = ours.vit_base_step(a.prototypes, a.drop_path, a.centering, a.public)
    crops = lambda count, size: torch.rand(count, ours.VIT_BASE["in_chans"], size, size) - 0.5
    large, small = crops(2 * a.batch, a.size), crops(a.local_crops * a.batch, a.local_size) if a.local_crops else None
    generator = torch.Generator().manual_seed(1)

    def step():
        masks = ours.draw_masks(2 * a.batch, (a.size // ours.VIT_BASE["patch_size"]) ** 2, generator)
        run.step(large, small, masks, lr=1e-6, last_layer_lr=1e-6, weight_decay=0.04, momentum=0.992, teacher_temperature=0.04)

    report("self-distillation", a, timed_steps(a.steps, step, a.warmup), "DINOv2" if a.public else None, batch=a.batch, size=a.size, local_size=a.local_size,
           local_crops=a.local_crops, prototypes=a.prototypes, drop_path=a.drop_path, centering=a.centering)


def onnx_session(torch, a, model, pictures):
    """The model in ONNX Runtime. @return a function of pictures to arrays"""
    import os
    import tempfile

    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "encoder.onnx")
        torch.onnx.export(model, (pictures,), path, input_names=["pictures"], output_names=["cls", "patches"], dynamo=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = a.threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"pictures": x.numpy()})


def openvino_model(torch, a, model, pictures):
    """The model in OpenVINO, computing in float32 as the others do."""
    import openvino

    converted = openvino.convert_model(model, example_input=pictures, input=list(pictures.shape))
    how = {"INFERENCE_NUM_THREADS": a.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(converted, "CPU", how)
    return lambda x: list(compiled(x.numpy()).values())


def encode(torch, a):
    """Class and patch tokens of pictures, by PyTorch or by a runtime that its model was exported to."""
    from . import self_distillation as ours

    model = ours.Vit(**ours.VIT_BASE).eval()
    pictures = torch.rand(a.batch, ours.VIT_BASE["in_chans"], a.size, a.size) - 0.5
    run = model
    if a.runtime != "torch":
        with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):  # exporters tell what they do
            run = {"onnxruntime": onnx_session, "openvino": openvino_model}[a.runtime](torch, a, model, pictures)
    with torch.inference_mode():
        if a.runtime != "torch":
            for wanted, got in zip(model(pictures), run(pictures)):
                off = (wanted - torch.as_tensor(got)).abs().max() / wanted.abs().max()
                assert off < 1e-3, f"{a.runtime} is off by {off:.2g} of the largest feature"
        report("encode", a, timed_steps(a.steps, lambda: run(pictures), a.warmup), a.runtime, batch=a.batch, size=a.size)


def llama_folder(torch, a):
    """Writes the language model that `decode` asks, of random numbers, as Hugging Face keeps it: the sizes of TinyLlama (1.1 billion parameters)."""
    import transformers

    torch.manual_seed(1)
    config = transformers.LlamaConfig(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4,
                                      max_position_embeddings=2048, rms_norm_eps=1e-5, initializer_range=0.1)
    transformers.LlamaForCausalLM(config).to(torch.bfloat16 if a.precision == "bf16" else torch.float32).save_pretrained(a.folder)


def decode(torch, a):
    """The greedy answer of hlip_bench decode, by transformers."""
    import transformers

    model = transformers.LlamaForCausalLM.from_pretrained(a.folder, dtype="auto").eval()
    prompt = torch.tensor([[3 + i * 7919 % (model.config.vocab_size - 3) for i in range(a.prompt)]])
    model.generation_config.eos_token_id = None  # noise knows no end
    options = dict(max_new_tokens=a.tokens, do_sample=False, use_cache=True, pad_token_id=0)
    answer = []

    def step():
        answer[:] = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, a.prompt:].tolist()

    with torch.inference_mode():
        seconds = timed_steps(a.steps, step, a.warmup)
    report("decode", a, seconds, "transformers", prompt=a.prompt, tokens=a.tokens, answer=answer)


def attention(torch, a):
    """From the (rows, 3C) matrix of q, k and v to the (rows, C) result, and back to the gradient of that matrix."""
    width = a.heads * a.head_dim
    qkv = (torch.rand(a.sequences, a.tokens, 3 * width, device=a.device) - 0.5).requires_grad_()
    d_out = torch.rand(a.sequences, a.tokens, width, device=a.device) - 0.5

    def both():
        q, k, v = qkv.view(a.sequences, a.tokens, 3, a.heads, a.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        with autocast(torch, a):
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(d_out.shape)
        qkv.grad = None
        out.float().backward(d_out)

    report("attention", a, timed_kernel(a, both), sequences=a.sequences, tokens=a.tokens, heads=a.heads, head_dim=a.head_dim)


def gemm(torch, a):
    """Of floats; in bf16 autocast rounds them first, as hlip does."""
    for shape in a.shapes:
        m, n, k, trans_a, trans_b = shape
        draw = lambda rows, cols: torch.rand(rows, cols, device=a.device)
        x = draw(k, m).T if trans_a else draw(m, k)
        y = draw(n, k).T if trans_b else draw(k, n)
        out = torch.empty(m, n, device=a.device)
        with autocast(torch, a):
            report("gemm", a, timed_kernel(a, (lambda: torch.mm(x, y)) if a.precision == "bf16" else (lambda: torch.mm(x, y, out=out))), shape=shape)


def conv(torch, a):
    """Forward and backward of convolutions, to everything that needs a gradient; a.shapes are what hlip_bench says of each."""
    functional = torch.nn.functional
    for shape in a.shapes:
        flat, kernel = shape["size"][0] == 1, shape["kernel"]
        sides = shape["size"][1:] if flat else shape["size"]
        x = torch.rand(shape["batch"], shape["in"], *sides, requires_grad=not shape["first"])
        ends = (shape["in"], shape["out"]) if shape["transposed"] else (shape["out"], shape["in"])
        w = torch.rand(*ends, *[kernel] * len(sides), requires_grad=True)
        function = getattr(functional, ("conv_transpose" if shape["transposed"] else "conv") + ("2d" if flat else "3d"))
        padding = 0 if shape["transposed"] else kernel // 2
        forward = lambda: function(x, w, None, shape["stride"], padding)
        dy = torch.rand_like(forward())

        def both():
            x.grad = w.grad = None
            forward().backward(dy)

        report("conv", a, timed_kernel(a, both), **shape)


def u_net(torch, a):
    """One training step of the U-Net of hlip_bench: soft Dice and cross-entropy, AdamW."""
    nn = torch.nn

    def level(channels, out):
        return nn.Sequential(*(layer for i in (channels, out) for layer in (nn.Conv2d(i, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))))

    class UNet(nn.Module):
        def __init__(self, width, levels=5):
            super().__init__()
            channels = [width << i for i in range(levels)]
            self.enc = nn.ModuleList(level(i, o) for i, o in zip([1, *channels], channels))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in channels[:-1])
            self.dec = nn.ModuleList(level(2 * c, c) for c in channels[:-1])
            self.cls = nn.Conv2d(width, a.classes, 1)

        def forward(self, x):
            skips = []
            for i, enc in enumerate(self.enc):
                x = enc(x if i == 0 else nn.functional.max_pool2d(x, 2))
                skips.append(x)
            for up, dec, skip in zip(reversed(self.up), reversed(self.dec), reversed(skips[:-1])):
                x = dec(torch.cat((skip, up(x)), 1))
            return self.cls(x)

    torch.manual_seed(1)
    net = UNet(a.width).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    pictures = torch.rand(a.batch, 1, a.size, a.size)
    labels = (torch.arange(a.size) * a.classes // a.size).view(1, -1, 1).expand(a.batch, a.size, a.size).contiguous()
    truth = nn.functional.one_hot(labels, a.classes).permute(0, 3, 1, 2).float()

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = net(pictures)
        p = logits.softmax(1)
        sums = lambda x: x.sum((2, 3))
        dice = 1 - ((2 * sums(p * truth) + 1e-5) / (sums(p) + sums(truth) + 1e-5)).mean()
        loss = dice + nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        loss.item()

    report("u-net", a, timed_steps(a.steps, step, a.warmup), batch=a.batch, size=a.size, width=a.width)


def peak(torch, a):
    """A large square product, operands in the type that is multiplied: what a card that no table has is measured by."""
    x, y = (torch.randn(a.size, a.size, device=a.device, dtype=torch.bfloat16 if a.precision == "bf16" else torch.float32) for _ in range(2))
    out = torch.empty_like(x)
    seconds = timed_kernel(a, lambda: torch.mm(x, y, out=out))
    report("peak", a, seconds, size=a.size, flops=2 * a.size**3 / statistics.median(seconds))


def preprocess(torch, a):
    """From the file to HU at 3 × 1 × 1 mm (D, H, W), in memory."""
    import nibabel
    import numpy

    def step():
        image = nibabel.load(a.file)
        voxels = numpy.ascontiguousarray(numpy.asanyarray(image.dataobj).T)
        hu = torch.from_numpy(voxels).float() * a.slope + a.intercept
        size = [int(n * s / t) for n, s, t in zip(hu.shape, [float(z) for z in image.header.get_zooms()[2::-1]], (3, 1, 1))]
        step.result = torch.nn.functional.interpolate(hu[None, None], size=size, mode="trilinear")[0, 0]

    seconds = timed_steps(a.steps, step)
    out = step.result
    report("preprocess", a, seconds, to=list(out.shape), middle_hu=out.flatten()[out.numel() // 2].item())


def tokenize(a):
    import csv
    import os

    os.environ["TOKENIZERS_PARALLELISM"] = "true" if a.threads > 1 else "false"
    os.environ["RAYON_NUM_THREADS"] = str(a.threads)
    from tokenizers.implementations import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(a.vocab, lowercase=True)
    tokenizer.enable_truncation(512)
    with open(a.file, newline="", encoding="utf-8") as file:
        if a.column:
            reports = [row[a.column] for row in csv.DictReader(file)]
        else:
            reports = file.read().splitlines()
    result = []

    def step():
        result[:] = tokenizer.encode_batch(reports)

    seconds = timed_steps(a.steps, step)
    digest = 0xCBF29CE484222325  # as hash_of_ids of hlip_bench
    for encoding in result:
        for i in encoding.ids:
            for byte in i.to_bytes(8, "little"):
                digest = ((digest ^ byte) * 0x100000001B3) & (2**64 - 1)
    report("tokenize", a, seconds, "tokenizers", reports=len(reports), ids=sum(len(e.ids) for e in result), hash=f"{digest:016x}")


def versions(torch):
    import platform
    from importlib import metadata

    def version(package):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return "not there"

    config = torch.__config__.show()
    lines = [line.strip(" -\n") for line in config.splitlines()]
    print(json.dumps({
        "torch": torch.__version__,
        "blas": next((line for line in lines if "Math Kernel" in line or "BLAS_INFO" in line), "unknown")[:100],
        "onednn": next((line for line in lines if "DNN" in line.upper() and "v" in line), "unknown")[:100],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(), "nibabel": version("nibabel"), "tokenizers": version("tokenizers"),
        **{name: version(name) for name in ("onnxruntime", "openvino") if version(name) != "not there"},
        **({"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})}))


def shape_list(text):
    """"2744,768,768,0,1;..." to [[m, n, k, trans_a, trans_b], …]"""
    return [[int(x) for x in shape.split(",")] for shape in text.split(";")]


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="op", required=True)

    def where(p):
        p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
        p.add_argument("--precision", choices=("fp32", "tf32", "bf16"), default="fp32")
        return p

    def command(name, **options):
        p = where(commands.add_parser(name))
        p.add_argument("--warmup", type=int, default=1)
        p.add_argument("--threads", type=int, required=True)
        p.add_argument("--steps", type=int, required=True)
        for option, kind in options.items():
            if kind is bool:
                p.add_argument(f"--{option}", action="store_true")
            else:
                p.add_argument(f"--{option.replace('_', '-')}", type=kind, required=True)
        return p

    command("train", model=str, batch=int, scans=int, compile=bool)
    command("infer", model=str, batch=int, scans=int, compile=bool)
    command("text", model=str, batch=int, tokens=int, compile=bool)
    command("self-distillation", batch=int, size=int, local_size=int, local_crops=int, prototypes=int, drop_path=float, centering=str, public=bool)
    command("encode", batch=int, size=int, runtime=str)
    command("llama-folder", folder=str)
    command("decode", folder=str, prompt=int, tokens=int)
    command("conv", shapes=json.loads)
    command("u-net", batch=int, size=int, width=int, classes=int)
    command("attention", sequences=int, tokens=int, heads=int, head_dim=int)
    command("gemm", shapes=shape_list)
    command("preprocess", file=str, slope=float, intercept=float)
    command("tokenize", file=str, vocab=str).add_argument("--column")
    command("peak", size=int)
    check = where(commands.add_parser("check"))
    check.add_argument("folder")
    check.add_argument("--trajectories", action="store_true")
    commands.add_parser("versions")
    a = parser.parse_args()

    if a.op == "tokenize":
        return tokenize(a)
    import torch

    if a.op == "versions":
        return versions(torch)
    set_precision(torch, a.precision)
    if a.op == "check":
        from .check import CHECKS, TRAJECTORIES, check_all

        return print("\n".join(check_all(a.folder, a.device, a.precision, TRAJECTORIES if a.trajectories else CHECKS)))
    report.imported = peak_rss_bytes()
    torch.manual_seed(1)
    torch.set_num_threads(a.threads)
    return {"train": train, "infer": infer, "text": text, "self-distillation": self_distillation, "encode": encode, "conv": conv, "u-net": u_net, "llama-folder": llama_folder, "decode": decode, "attention": attention, "gemm": gemm, "peak": peak, "preprocess": preprocess}[a.op](torch, a)


if __name__ == "__main__":
    try:
        main()
    except Exception as e:  # the last line of stderr is what compare_pytorch.py shows
        import traceback

        traceback.print_exc()
        lines = str(e).strip().splitlines()
        sys.exit(f"{'torch.compile: ' if '--compile' in sys.argv else ''}{type(e).__name__}: {lines[0] if lines else 'no message'}")
