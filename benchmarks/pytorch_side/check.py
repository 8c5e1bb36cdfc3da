"""Shows that models.py computes what hlip computes: outputs and gradients on the golden fixtures hlip is tested with."""
import json
import os

import torch
from safetensors import safe_open

from . import models, self_distillation

FORWARD, GRADIENT, TRAJECTORY = 1e-5, 2e-5, 1e-4  # of (1 + the largest magnitude)
# How many times that with operands that keep 10 or 7 bits behind the point. (Seen on a processor: 0.03 of it in fp32, 0.3 in bf16.)
COARSER = {"fp32": 1, "tf32": 200, "bf16": 1500}


class Fixture:
    def __init__(self, path, device="cpu", precision="fp32"):
        with safe_open(path, "pt") as file:
            self.metadata = file.metadata()
            self.config = json.loads(self.metadata.get("config", "{}"))
            # fixtures of RAD-DINO say their kind by their name
            self.kind = self.metadata.get("kind") or os.path.basename(path).removesuffix(".safetensors")
            self.tensors = {name: file.get_tensor(name).to(device) for name in file.keys()}
        self.device, self.bf16, self.coarser = device, precision == "bf16", COARSER[precision]
        self.path, self.compared, self.worst = path, set(), 0.0

    def autocast(self):
        """As around the forward pass of a measurement: the loss, and all of backward, is outside."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    def part(self, group):
        return {name[len(group) + 1 :]: t for name, t in self.tensors.items() if name.startswith(group + ".")}

    def compare(self, name, got, tolerance):
        want = self.tensors[name]
        if got is None or got.shape != want.shape:
            raise AssertionError(f"{self.path}: {name} is {None if got is None else tuple(got.shape)}, expected {tuple(want.shape)}")
        error = ((got.detach().float() - want).abs().max() / (1 + want.abs().max()) / (tolerance * self.coarser)).item()
        if not error <= 1:
            raise AssertionError(f"{self.path}: {name} is off by {error:.3g} times its tolerance")
        self.compared.add(name)
        self.worst = max(self.worst, error)

    def gradients(self, module, inputs):
        for name, p in module.named_parameters():
            if p.requires_grad:
                self.compare(f"grad.{name}", p.grad, GRADIENT)
        for name, x in inputs.items():
            self.compare(f"grad.input.{name}", x.grad, GRADIENT)

    def finish(self, left_out=()):
        missing = [n for n in self.tensors if n.startswith(("output.", "grad.")) and n not in self.compared and not n.startswith(tuple(left_out))]
        if missing:
            raise AssertionError(f"{self.path}: nothing computes {', '.join(missing)}")
        return f"{os.path.basename(self.path)}: {len(self.compared)} tensors, largest error {self.worst:.2f} of its tolerance"


def check_visual(f):
    c = {k: v for k, v in f.config.items() if k in ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "reg_tokens", "max_num_scans", "slice", "scan", "study")}
    model = models.HlipVit(**c).to(f.device)
    model.load_state_dict(f.part("param"))
    model.train(f.config.get("train", False))
    x = f.tensors["input.volume"].requires_grad_("grad.input.volume" in f.tensors)

    def observe(stage, value):
        if f"output.{stage}" in f.tensors:
            f.compare(f"output.{stage}", value, FORWARD)

    with f.autocast():
        features = model(x, f.tensors.get("input.scan_perm"), f.tensors.get("input.keep_indices"), observe)
    f.compare("output.features", features, FORWARD)
    loss = (features.float() * f.tensors["input.cotangent"]).sum()
    if "output.loss" in f.tensors:
        f.compare("output.loss", loss, FORWARD)
    loss.backward()
    f.gradients(model, {"volume": x} if x.requires_grad else {})
    return f.finish()


def check_block(f):
    c = f.config
    block = models.Block(c["dim"], c["heads"], c["mlp_ratio"]).to(f.device)
    block.load_state_dict(f.part("param"))
    x = f.tensors["input.x"].requires_grad_()
    with f.autocast():
        y = block(x)
        f.compare("output.norm1", block.norm1(x), FORWARD)
        f.compare("output.attn", block.attn(block.norm1(x)), FORWARD)
        f.compare("output.y", y, FORWARD)
        middle = x + block.attn(block.norm1(x))
        f.compare("output.mlp", block.mlp(block.norm2(middle)), FORWARD)
    (y.float() * f.tensors["input.cotangent"]).sum().backward()
    f.gradients(block, {"x": x})
    return f.finish(["output.attn_prob"])  # scaled_dot_product_attention never has them


def check_text(f):
    tower = models.TextTower(f.config["text"], f.config["out_dim"]).to(f.device)
    tower.load_state_dict(f.part("param"))
    with f.autocast():
        features = tower(f.tensors["input.tokens"], observe=lambda stage, value: f.compare(f"output.{stage}", value, FORWARD))
    f.compare("output.features", features, FORWARD)
    f.compare("output.normalised", torch.nn.functional.normalize(features, dim=-1), FORWARD)
    (features.float() * f.tensors["input.cotangent"]).sum().backward()
    f.gradients(tower, {})
    return f.finish()


def check_losses(f):
    for name, loss_of, biased in (("clip", models.clip_loss, False), ("clip_bias", models.clip_loss, True), ("siglip", models.siglip_loss, True)):
        inputs = {"image": f.tensors["input.image0"], "text": f.tensors["input.text0"], "logit_scale": f.tensors["input.logit_scale"]}
        if biased:
            inputs["logit_bias"] = f.tensors["input.logit_bias"]
        inputs = {k: v.clone().requires_grad_() for k, v in inputs.items()}
        loss = loss_of(*inputs.values())
        f.compare(f"output.{name}.loss", loss, FORWARD)
        loss.backward()
        for k, v in inputs.items():
            if f"grad.{name}.{k}" in f.tensors:
                f.compare(f"grad.{name}.{k}", v.grad, GRADIENT)
    return f.finish(["output.clip_gather", "grad.clip_gather", "output.siglip_ranks", "grad.siglip_ranks"])  # several processes


def check_trajectory(f):
    """Some steps of self-distillation: every loss and gradient norm, and the weights in the end."""
    said = lambda name: json.loads(f.metadata[name])
    c, vit = said("config"), said("vit")
    head = lambda: self_distillation.Head(vit["embed_dim"], c["K"], c["hidden"], c["bottleneck"])

    def model():
        return self_distillation.Model(self_distillation.Vit(**vit), head(), head() if c["separate"] else None).to(f.device)

    student = model()
    student.load_state_dict(f.part("param"))
    run = self_distillation.SelfDistillation(student, model(), vit["depth"], f.metadata["centering"], said("koleo_weight"), float(f.metadata["clip_grad"].split()[0]))
    losses, norms = [], []
    for i, hyper in enumerate(f.tensors["output.hyper"].tolist()):
        part = f.part(f"input.step{i}")
        terms, sizes = run.step(part["global"], part.get("local"), part["masks"].bool(), *hyper)
        losses.append(terms)
        norms.append(sizes)
    f.compare("output.losses", torch.tensor(losses), TRAJECTORY)
    f.compare("output.grad_norms", torch.tensor(norms), TRAJECTORY)
    for which in ("dino", "ibot"):  # zero where nothing is centred
        if (name := f"output.{which}_center") in f.tensors:
            f.compare(name, torch.zeros_like(f.tensors[name]) + run.centres.get(which, 0.0), TRAJECTORY)
    for which, module in (("student", run.student), ("teacher", run.teacher)):
        for name, p in module.named_parameters():
            value, wanted = p.detach().clone(), f.tensors[f"output.{which}.{name}"]
            if name.endswith("attn.qkv.bias"):  # that of the keys has no gradient but rounding
                third = len(value) // 3
                value[third : 2 * third] = wanted[third : 2 * third]
            f.compare(f"output.{which}.{name}", value, TRAJECTORY)
    return f.finish(["output.hyper", "grad.step0_clipped"])


CHECKS = {"visual_encoder": check_visual, "transformer_block": check_block, "text_tower": check_text, "losses": check_losses}
TRAJECTORIES = {"trajectory_centering": check_trajectory, "trajectory_sinkhorn": check_trajectory}


def check_all(folder, device="cpu", precision="fp32", checks=CHECKS):
    """Compares every fixture of the kinds of `checks`. @return one line each; @raise AssertionError at the first difference"""
    lines, seen = [], set()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            fixture = Fixture(os.path.join(folder, name), device, precision)
            if fixture.kind in checks:
                lines.append(checks[fixture.kind](fixture))
                seen.add(fixture.kind)
    if seen != set(checks):
        raise AssertionError(f"{folder}: no fixture of kind {', '.join(sorted(set(checks) - seen))}")
    return lines
