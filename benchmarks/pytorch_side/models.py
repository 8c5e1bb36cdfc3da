"""The models of hlip in PyTorch, written for this comparison: the visual encoder, the BERT text tower, both losses.

Names of parameters are those of the published checkpoints, so that weights and fixtures fit either side.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

EVERY_THIRD = [2, 5, 8, 11]
OTHERS = [0, 1, 3, 4, 6, 7, 9, 10]
BERT_BASE = dict(vocab=30522, hidden=768, layers=12, heads=12, inter=3072, max_pos=512)


def _vit_base(**different):
    return dict(dict(embed_dim=768, depth=12, num_heads=12, drop_path=0.2, max_num_scans=40, img_size=[48, 224, 224]), **different)


# The configurations of include/hlip/models/configs.hpp: vision, text, width of the features, how a text becomes one vector.
CONFIGS = {
    "vit_base_singlescan_h2_token2744": dict(
        vision=_vit_base(img_size=[112, 336, 336], patch_size=[8, 24, 24], max_num_scans=1, slice=OTHERS, study=EVERY_THIRD)),
    "vit_base_multiscan_h2_token588": dict(vision=_vit_base(patch_size=[16, 16, 16], scan=OTHERS, study=EVERY_THIRD)),
    "vit_base_multiscan_h2_token1176": dict(vision=_vit_base(patch_size=[8, 16, 16], scan=OTHERS, study=EVERY_THIRD)),
    "vit_base_multiscan_h3_token1176": dict(
        vision=_vit_base(patch_size=[8, 16, 16], slice=[0, 3, 6, 9], scan=[1, 4, 7, 10], study=EVERY_THIRD)),
    "phantom": dict(
        vision=dict(img_size=[32, 48, 64], patch_size=[8, 12, 16], embed_dim=96, depth=4, num_heads=3, slice=[0, 2], study=[1, 3]),
        text=dict(vocab=512, hidden=96, layers=1, heads=3, inter=384, max_pos=128), embed_dim=96, pooling="mean"),
}


def config(name):
    return dict(dict(text=BERT_BASE, embed_dim=512, pooling="cls"), **CONFIGS[name])


def visual_flop(name, batch, scans):
    """Operations of the visual tower forward, a multiply-add as two: matrix products and attention over patch tokens. Backward is twice that."""
    v = config(name)["vision"]
    width, (d, h, w) = v["embed_dim"], [s // p for s, p in zip(v["img_size"], v["patch_size"])]
    length = {"slice": h * w, "scan": d * h * w, "study": d * h * w * scans}
    of_token = sum(12 * width**2 + 2 * n * width for level, n in length.items() for _ in v.get(level, ()))
    return 2 * batch * scans * d * h * w * (of_token + math.prod(v["patch_size"]) * width)


def text_flop(name, batch, tokens):
    """The same for the text tower."""
    t = config(name)["text"]
    return 2 * batch * tokens * t["layers"] * (4 * t["hidden"] ** 2 + 2 * t["hidden"] * t["inter"] + 2 * tokens * t["hidden"])


# ---- the visual encoder ----


def sincos_1d(positions, width):
    """(positions, width): sines, then cosines, of position · 10000^(−k / (width/2))."""
    half = width // 2
    omega = 10000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = torch.arange(positions, dtype=torch.float32)[:, None] * omega
    return torch.cat([angle.sin(), angle.cos()], 1)


def sincos_3d(d, h, w, width):
    """(1, d, h, w, width): a third each for the column, the row and the slice."""
    third = width // 3
    parts = [
        sincos_1d(w, third)[None, None, :].expand(d, h, w, third),
        sincos_1d(h, third)[None, :, None].expand(d, h, w, third),
        sincos_1d(d, third)[:, None, None].expand(d, h, w, third),
    ]
    return torch.cat(parts, -1)[None]


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        rows, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(rows, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(rows, tokens, dim))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, dim, heads, mlp_ratio, drop_path=0.0):
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def dropped(self, branch):
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * (branch.new_empty(branch.shape[0], 1, 1).bernoulli_(keep) / keep)

    def forward(self, x):
        x = x + self.dropped(self.attn(self.norm1(x)))
        return x + self.dropped(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, in_chans, dim, patch):
        super().__init__()
        self.proj = nn.Conv3d(in_chans, dim, tuple(patch), stride=tuple(patch))

    def forward(self, x):
        return self.proj(x).permute(0, 2, 3, 4, 1)


class HlipVit(nn.Module):
    """Blocks that attend within a slice, a scan or a study; `slice`, `scan` and `study` list which."""

    def __init__(self, img_size, patch_size, embed_dim, depth, num_heads, slice=(), scan=(), study=(), in_chans=1, mlp_ratio=4.0,
                 reg_tokens=0, max_num_scans=1, drop_path=0.0):
        super().__init__()
        self.levels = [next(name for name, blocks in (("slice", slice), ("scan", scan), ("study", study)) if i in blocks) for i in range(depth)]
        self.prefix = 1 + reg_tokens
        grid = [s // p for s, p in zip(img_size, patch_size)]
        self.cls_token = nn.Parameter(torch.randn(1, 1, embed_dim) * 1e-6)
        if reg_tokens:
            self.reg_token = nn.Parameter(torch.randn(1, reg_tokens, embed_dim) * 1e-6)
        self.spatial_posemb = nn.Parameter(sincos_3d(*grid, embed_dim), requires_grad=False)
        self.max_num_scans = max_num_scans
        if max_num_scans > 1:
            self.sequential_posemb = nn.Parameter(sincos_1d(max_num_scans, embed_dim)[None], requires_grad=False)
        self.patch_embed = PatchEmbed(in_chans, embed_dim, patch_size)
        rates = [drop_path * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, mlp_ratio, rate) for rate in rates)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        for block in self.blocks:
            for linear in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
                nn.init.normal_(linear.weight, std=0.02)
                nn.init.zeros_(linear.bias)

    def positions(self, scans, grid, scan_perm):
        """(1, N or 1, d, h, w, C)."""
        table = self.spatial_posemb
        if list(table.shape[1:4]) != list(grid):
            table = F.interpolate(table.permute(0, 4, 1, 2, 3), size=tuple(grid), mode="trilinear").permute(0, 2, 3, 4, 1)
        table = table[:, None]
        if self.max_num_scans <= 1:
            return table
        rows = self.sequential_posemb
        if scans > self.max_num_scans:
            rows = F.interpolate(rows.transpose(1, 2), size=scans, mode="linear").transpose(1, 2)
        elif scan_perm is not None:
            rows = rows[:, scan_perm]
        elif self.training:
            rows = rows[:, torch.randperm(self.max_num_scans, device=rows.device)[:scans]]
        else:
            rows = rows[:, :scans]
        return table + rows[:, :, None, None, None]

    def regroup(self, x, rows):
        """Patch tokens to `rows` sequences; prefix tokens are averaged going up, copied going down."""
        now, prefix = x.shape[0], x[:, : self.prefix]
        if rows == now:
            return x
        if rows < now:
            prefix = prefix.reshape(rows, now // rows, self.prefix, -1).mean(1)
        else:
            prefix = prefix.repeat_interleave(rows // now, 0)
        return torch.cat([prefix, x[:, self.prefix :].reshape(rows, -1, x.shape[-1])], 1)

    def forward(self, x, scan_perm=None, keep_indices=None, observe=None):
        """(B, N, 1, D, H, W) -> (B, C): the class token of each study."""
        studies, scans = x.shape[:2]
        patches = self.patch_embed(x.flatten(0, 1))
        grid = patches.shape[1:4]
        patches = patches.reshape(studies, scans, *patches.shape[1:])
        if observe:
            observe("patch_embed", patches)
        rows = {"slice": studies * scans * grid[0], "scan": studies * scans, "study": studies}
        x = (patches + self.positions(scans, grid, scan_perm)).reshape(rows[self.levels[0]], -1, patches.shape[-1])
        if keep_indices is not None:
            x = x.gather(1, keep_indices[..., None].expand(-1, -1, x.shape[-1]))
        tokens = [self.cls_token] + ([self.reg_token] if self.prefix > 1 else [])
        x = torch.cat([t.expand(x.shape[0], -1, -1) for t in tokens] + [x], 1)
        if observe:
            observe("tokens_in", x)
        for i, block in enumerate(self.blocks):
            x = block(self.regroup(x, rows[self.levels[i]]))
            if observe:
                observe(f"block{i}", x)
        x = self.norm(self.regroup(x, studies))
        if observe:
            observe("tokens_out", x)
        return x[:, 0]


class VisualTower(nn.Module):
    def __init__(self, name):
        super().__init__()
        c = config(name)
        self.trunk = HlipVit(**c["vision"])
        self.head = nn.Linear(c["vision"]["embed_dim"], c["embed_dim"], bias=False)

    def forward(self, x):
        return self.head(self.trunk(x))


# ---- the text tower ----


def _named(**children):
    module = nn.Module()
    for name, child in children.items():
        setattr(module, name, child)
    return module


class BertLayer(nn.Module):
    def __init__(self, hidden, heads, inter):
        super().__init__()
        linear = lambda: nn.Linear(hidden, hidden)
        self.heads = heads
        self.attention = _named(output=_named(dense=linear(), LayerNorm=nn.LayerNorm(hidden, eps=1e-12)))
        self.attention.self = _named(query=linear(), key=linear(), value=linear())
        self.intermediate = _named(dense=nn.Linear(hidden, inter))
        self.output = _named(dense=nn.Linear(inter, hidden), LayerNorm=nn.LayerNorm(hidden, eps=1e-12))

    def forward(self, x, mask):
        split = lambda y: y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)
        a, out = self.attention.self, self.attention.output
        y = F.scaled_dot_product_attention(split(a.query(x)), split(a.key(x)), split(a.value(x)), attn_mask=mask)
        x = out.LayerNorm(x + out.dense(y.transpose(1, 2).reshape(x.shape)))
        return self.output.LayerNorm(x + self.output.dense(F.gelu(self.intermediate.dense(x))))


class Bert(nn.Module):
    def __init__(self, vocab, hidden, layers, heads, inter, max_pos):
        super().__init__()
        self.embeddings = _named(word_embeddings=nn.Embedding(vocab, hidden), position_embeddings=nn.Embedding(max_pos, hidden),
                                 token_type_embeddings=nn.Embedding(2, hidden), LayerNorm=nn.LayerNorm(hidden, eps=1e-12))
        self.encoder = _named(layer=nn.ModuleList(BertLayer(hidden, heads, inter) for _ in range(layers)))
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids, visible=None, observe=None):
        """ids (B, L) -> (B, L, C). @param visible (B, L) of bool; None: every token is."""
        e = self.embeddings
        x = e.word_embeddings(ids) + e.position_embeddings.weight[: ids.shape[1]] + e.token_type_embeddings.weight[0]
        x = e.LayerNorm(x)
        if observe:
            observe("hidden0", x)
        mask = None if visible is None else visible[:, None, None, :]
        for i, layer in enumerate(self.encoder.layer):
            x = layer(x, mask)
            if observe:
                observe(f"hidden{i + 1}", x)
        return x


class TextTower(nn.Module):
    """Dropout is left out: both sides of the comparison have it off."""

    def __init__(self, text, embed_dim, pooling="cls"):
        super().__init__()
        self.pooling = pooling
        self.transformer = Bert(**text)
        self.proj = nn.Linear(text["hidden"], embed_dim, bias=False)

    def forward(self, ids, padded=True, observe=None):
        """@param padded: whether ids may hold 0; without padding no mask is needed, which is faster"""
        visible = ids != 0 if padded else None
        hidden = self.transformer(ids, visible, observe)
        if self.pooling == "cls":
            return self.proj(hidden[:, 0])
        if visible is None:
            return self.proj(hidden.mean(1))
        return self.proj((hidden * visible[..., None]).sum(1) / visible.sum(1, keepdim=True).clamp(min=1))


# ---- losses ----


def clip_loss(image, text, scale, bias=0.0):
    logits = scale * image @ text.T + bias
    labels = torch.arange(len(image), device=image.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def siglip_loss(image, text, scale, bias):
    logits = scale * image @ text.T + bias
    sign = 2 * torch.eye(len(image), device=image.device) - 1
    return -F.logsigmoid(sign * logits).sum() / len(image)
