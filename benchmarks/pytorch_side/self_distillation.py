"""RAD-DINO's self-distillation in PyTorch eager, written for this comparison: encoder, head, losses, and a step of training.

Names of parameters are those of DINOv2, so that fixtures fit either side. Where the environment variable DINOV2_REF names a checkout of the
public code, its encoder and head can be put in the place of ours (`public_parts`); the step around them stays.
"""
import math
import os
import sys

import torch
import torch.nn.functional as F
from torch import nn

from .models import Attention, Mlp

VIT_BASE = dict(img_size=518, patch_size=14, in_chans=3, embed_dim=768, depth=12, num_heads=12, init_values=1e-5)
HEAD = dict(hidden=2048, bottleneck=256)


# ---- the encoder ----


class LayerScale(nn.Module):
    def __init__(self, dim, value):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(value)))

    def forward(self, x):
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, dim, heads, init_values, drop_path=0.0):
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.ls1 = LayerScale(dim, init_values)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, init_values)

    def add(self, x, branch):
        """Stochastic depth: the branch is computed for some pictures only, and counts for more."""
        if not self.training or self.drop_path == 0:
            return x + branch(x)
        images = x.shape[0]
        kept = max(int(images * (1 - self.drop_path)), 1)
        which = torch.randperm(images, device=x.device)[:kept]
        y = torch.index_add(x.flatten(1), 0, which, branch(x[which]).flatten(1), alpha=images / kept)
        return y.view_as(x)

    def forward(self, x):
        x = self.add(x, lambda y: self.ls1(self.attn(self.norm1(y))))
        return self.add(x, lambda y: self.ls2(self.mlp(self.norm2(y))))


class Vit(nn.Module):
    def __init__(self, img_size, patch_size, in_chans, embed_dim, depth, num_heads, init_values, interpolate_offset=0.1, interpolate_antialias=False, drop_path=0.0, block_chunks=0):
        super().__init__()
        assert block_chunks == 0
        self.patch_size, self.offset, self.antialias = patch_size, interpolate_offset, interpolate_antialias
        self.cls_token = nn.Parameter(torch.randn(1, 1, embed_dim) * 1e-6)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + (img_size // patch_size) ** 2, embed_dim) * 0.02)
        self.mask_token = nn.Parameter(torch.zeros(1, embed_dim))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, init_values, drop_path) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def positions(self, rows, columns):
        """(1, 1 + rows · columns, C): the table's grid resized, the class token's own in front."""
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        if (rows, columns) == (side, side):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        how = dict(scale_factor=((rows + self.offset) / side, (columns + self.offset) / side)) if self.offset else dict(size=(rows, columns))
        grid = F.interpolate(grid, mode="bicubic", antialias=self.antialias, **how)
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)

    def forward(self, x, masks=None):
        """(N, in_chans, H, W) -> class tokens (N, C), patch tokens (N, h · w, C), both normed. @param masks (N, h · w) of bool: hidden patches"""
        rows, columns = (size // self.patch_size for size in x.shape[2:])
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        if masks is not None:
            x = torch.where(masks[..., None], self.mask_token, x)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.positions(rows, columns)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return x[:, 0], x[:, 1:]


# ---- the head ----


class Prototypes(nn.Module):
    """Linear without bias under weight normalisation."""

    def __init__(self, width, count):
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(count, 1))
        self.weight_v = nn.Parameter(nn.init.trunc_normal_(torch.empty(count, width), std=0.02))

    def forward(self, x):
        return F.linear(x, torch._weight_norm(self.weight_v, self.weight_g, 0))


class Head(nn.Module):
    def __init__(self, dim, prototypes, hidden, bottleneck):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck))
        self.last_layer = Prototypes(bottleneck, prototypes)
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.last_layer(F.normalize(self.mlp(x), dim=-1, eps=1e-12))


class Model(nn.Module):
    def __init__(self, backbone, dino_head, ibot_head=None):
        super().__init__()
        self.backbone, self.dino_head = backbone, dino_head
        if ibot_head is not None:
            self.ibot_head = ibot_head

    def patch_head(self):
        return getattr(self, "ibot_head", self.dino_head)


class PublicVit(nn.Module):
    """The encoder of the public code, called as ours is."""

    def __init__(self, vit):
        super().__init__()
        self.vit = vit

    def forward(self, x, masks=None):
        tokens = self.vit.forward_features(x, masks)
        return tokens["x_norm_clstoken"], tokens["x_norm_patchtokens"]


def public_parts(drop_path, prototypes):
    """ViT-B/14 and its head from the checkout that DINOV2_REF names."""
    os.environ.setdefault("XFORMERS_DISABLED", "1")  # no kernels for a processor
    sys.path.insert(0, os.environ["DINOV2_REF"])
    from dinov2.layers import DINOHead
    from dinov2.models.vision_transformer import vit_base

    size = {name: VIT_BASE[name] for name in ("img_size", "patch_size", "init_values")}
    vit = PublicVit(vit_base(block_chunks=0, drop_path_rate=drop_path, drop_path_uniform=True, **size))
    return vit, DINOHead(in_dim=VIT_BASE["embed_dim"], out_dim=prototypes, nlayers=3, hidden_dim=HEAD["hidden"], bottleneck_dim=HEAD["bottleneck"])


# ---- the terms of the loss ----


def sinkhorn(logits, temperature, rounds=3):
    q = ((logits - logits.max()) / temperature).exp().T
    q = q / q.sum()
    k, rows = q.shape
    for _ in range(rounds):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / rows
    return (q * rows).T


def koleo(x, eps=1e-8):
    x = F.normalize(x, dim=-1, eps=eps)
    with torch.no_grad():
        dots = x @ x.T
        nearest = dots.fill_diagonal_(-1).argmax(1)
    return -((x - x[nearest] + eps).norm(dim=1) + eps).log().mean()


def cross_entropy(targets, logits, temperature):
    """Of every row."""
    return -(targets * F.log_softmax(logits / temperature, dim=-1)).sum(-1)


# ---- a step ----


def learning_factor(name, depth, decay=0.9, patch_embed=0.2):
    """Of the learning rate: smaller for every layer further down."""
    layer = depth + 1
    if name.startswith("backbone."):
        inner = name.removeprefix("backbone.").removeprefix("vit.")
        layer = int(inner.split(".")[1]) + 1 if inner.startswith("blocks.") else depth + 1 if inner.startswith("norm.") else 0
        if inner.startswith("patch_embed."):
            return decay ** (depth + 1) * patch_embed
    return decay ** (depth + 1 - layer)


class SelfDistillation:
    """Student, teacher, optimiser, and what a step does with them."""

    def __init__(self, student, teacher, depth, centering="centering", koleo_weight=0.1, clip=3.0, temperature=0.1):
        self.student, self.teacher = student.train(), teacher.eval().requires_grad_(False)
        teacher.load_state_dict(student.state_dict())
        self.centering, self.koleo_weight, self.clip, self.temperature = centering, koleo_weight, clip, temperature
        self.centres = {}
        groups = {}
        for name, p in student.named_parameters():
            decays = not (name.endswith("bias") or "norm" in name or "gamma" in name)
            key = (learning_factor(name, depth), decays, "last_layer" in name)
            groups.setdefault(key, []).append(p)
        self.optimizer = torch.optim.AdamW([dict(params=ps, factor=f, decays=d, last=last) for (f, d, last), ps in groups.items()], betas=(0.9, 0.999), eps=1e-8, fused=True)
        self.averaged = list(zip(teacher.parameters(), student.parameters()))

    def targets(self, logits, which, temperature):
        if self.centering == "sinkhorn_knopp":
            return sinkhorn(logits, temperature)
        centre, self.next[which] = self.centres.get(which, 0.0), logits.mean(0, keepdim=True)
        return F.softmax((logits - centre) / temperature, dim=-1)

    def losses(self, large, small, masks, teacher_temperature):
        """@param large (2B, …) and @param small (L · B, …) crops, crop by crop  @param masks (2B, patches) of bool
        @return dino_local, dino_global, koleo, ibot"""
        b = large.shape[0] // 2
        picture, patch = masks.nonzero(as_tuple=True)
        self.next = {}
        with torch.no_grad():
            cls, patches = self.teacher.backbone(large)
            wanted = self.targets(self.teacher.dino_head(cls), "dino", teacher_temperature)
            if len(picture):
                wanted_patches = self.targets(self.teacher.patch_head()(patches[picture, patch]), "ibot", teacher_temperature)
            first, second = wanted.chunk(2)
        cls, patches = self.student.backbone(large, masks)
        crops = 0 if small is None else small.shape[0] // b
        local = self.student.backbone(small)[0] if crops else cls[:0]
        features, masked = torch.cat([cls, local]), patches[picture, patch]
        if hasattr(self.student, "ibot_head"):
            logits, patch_logits = self.student.dino_head(features), self.student.ibot_head(masked)
        else:
            logits, patch_logits = self.student.dino_head(torch.cat([features, masked])).split([len(features), len(masked)])
        scale = 1 / (b * (2 + 2 * crops))
        dino_global = cross_entropy(torch.cat([second, first]), logits[: 2 * b], self.temperature).sum() * scale
        dino_local = cross_entropy((first + second).repeat(crops, 1), logits[2 * b :], self.temperature).sum() * scale
        ibot = logits.new_zeros(())
        if len(picture):
            weights = 1 / masks.sum(1).clamp(min=1)[picture]
            ibot = (cross_entropy(wanted_patches, patch_logits, self.temperature) * weights).sum() / (2 * b)
        spread = self.koleo_weight * (koleo(cls[:b]) + koleo(cls[b:]))
        return dino_local, dino_global, spread, ibot

    def step(self, large, small, masks, lr, last_layer_lr, weight_decay, momentum, teacher_temperature):
        """@return the losses, their sum, and the norms of the gradients of encoder and heads"""
        for group in self.optimizer.param_groups:
            group["lr"] = (last_layer_lr if group["last"] else lr) * group["factor"]
            group["weight_decay"] = weight_decay if group["decays"] else 0.0
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.losses(large, small, masks, teacher_temperature)
        loss = sum(terms)
        loss.backward()
        norms = [nn.utils.clip_grad_norm_(part.parameters(), self.clip) for part in self.student.children()]
        assert torch.isfinite(loss)
        self.optimizer.step()
        with torch.no_grad():
            teachers, students = zip(*self.averaged)
            torch._foreach_mul_(teachers, momentum)
            torch._foreach_add_(teachers, students, alpha=1 - momentum)
            for which, mean in self.next.items():
                self.centres[which] = 0.9 * self.centres.get(which, 0.0) + 0.1 * mean
        return [t.item() for t in (*terms, loss)], [n.item() for n in norms]


def draw_masks(images, patches, generator):
    """As many patches of half of the pictures as DINOv2 hides: between a tenth and a half of them, each share by another picture."""
    masks = torch.zeros(images, patches, dtype=torch.bool)
    for i, picture in enumerate(torch.randperm(images, generator=generator)[: images // 2].tolist()):
        share = 0.1 + 0.4 * (i + torch.rand((), generator=generator).item()) / (images // 2)
        masks[picture, torch.randperm(patches, generator=generator)[: int(patches * share)]] = True
    return masks


def vit_base_step(prototypes, drop_path, centering, public=False):
    """ViT-B/14 with random weights."""
    def model(rate):
        if public:
            return Model(*public_parts(rate, prototypes))
        return Model(Vit(**VIT_BASE, drop_path=rate), Head(VIT_BASE["embed_dim"], prototypes, **HEAD))

    return SelfDistillation(model(drop_path), model(0.0), VIT_BASE["depth"], centering)
