"""Weights between hlip and PyTorch, for tests/scripts/pytorch_weights.sh.

    python3 -m pytorch_side.weights formats FOLDER                 checkpoints as torch.save writes them, and expected.safetensors beside them
    python3 -m pytorch_side.weights load CHECKPOINT NAME           a checkpoint of train_ct_rate in the PyTorch model of that configuration
    python3 -m pytorch_side.weights save CHECKPOINT FILE           the same weights as open_clip keeps them in a run
"""
import argparse
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from . import models


class Clip(nn.Module):
    """The joint model with the names of the published checkpoints."""

    def __init__(self, name, vocab):
        super().__init__()
        c = models.config(name)
        self.logit_scale = nn.Parameter(torch.zeros(()))
        self.visual = models._named(trunk=models.HlipVit(**c["vision"]), head=models._named(proj=nn.Linear(c["vision"]["embed_dim"], c["embed_dim"], bias=False)))
        self.text = models.TextTower(dict(c["text"], vocab=vocab), c["embed_dim"], c["pooling"])


def load(checkpoint, name):
    state = load_file(os.path.join(checkpoint, "model.safetensors"))
    model = Clip(name, state["text.transformer.embeddings.word_embeddings.weight"].shape[0])
    model.load_state_dict(state, strict=True)
    print(f"{len(state)} tensors of {checkpoint} fit the PyTorch model")


def save(checkpoint, path):
    state = load_file(os.path.join(checkpoint, "model.safetensors"))
    parameters = [nn.Parameter(t.clone()) for t in list(state.values())[:3]]
    optimizer = torch.optim.AdamW(parameters)
    for p in parameters:
        p.grad = torch.ones_like(p)
    optimizer.step()
    torch.save({"epoch": 3, "name": "run", "state_dict": {"module." + k: v for k, v in state.items()}, "optimizer": optimizer.state_dict()}, path)


def formats(folder):
    """What torch.save can be asked for, what hlip must refuse (refused_…), and a 2-D vision transformer (mae_vit.pth)."""
    torch.manual_seed(1)
    base = torch.randn(6, 8)
    state = {"layer.weight": torch.randn(3, 4), "f16": torch.randn(5).half(), "bf": torch.randn(5).bfloat16(), "f64": torch.randn(2).double(), "i8": torch.tensor([-3, 4], dtype=torch.int8),
             "flag": torch.tensor([True, False]), "whole": torch.arange(7), "shared": base, "row": base[2], "columns": base[:, 1::3], "turned": base.T,
             "repeated": base[:1].expand(4, 8),
             "empty": torch.empty(0, 3), "scalar": torch.tensor(2.5)}
    at = lambda name: os.path.join(folder, name)
    run = {"epoch": 3, "args": argparse.Namespace(lr=0.1, name="x"), "rate": 1e-3, "size": torch.Size([1, 2]), "device": torch.device("cpu"), "model": {"module." + k: v for k, v in state.items()}, "best": None}
    for protocol in (2, 3, 4, 5):
        torch.save(state, at(f"protocol{protocol}.pt"), pickle_protocol=protocol)
        torch.save(run, at(f"run{protocol}.pth"), pickle_protocol=protocol)
        torch.save(state, at(f"legacy{protocol}.bin"), pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    module = nn.Module()
    for name, t in state.items():
        parent = module
        if "." in name:
            module.layer = parent = nn.Module()
        parent.register_parameter(name.split(".")[-1], nn.Parameter(t.clone(), requires_grad=t.is_floating_point()))
    torch.save(module.state_dict(), at("state_dict.pt"))  # an OrderedDict with an attribute
    torch.save(dict(module.named_parameters()), at("parameters.pt"))
    files = sorted(os.listdir(folder))
    save_file({k: v.contiguous().clone() for k, v in state.items()}, at("expected.safetensors"), {"kind": "torch_zip", "config": json.dumps({"files": files})})
    refused = {"module": nn.Linear(2, 2), "complex": {"x": torch.randn(2, dtype=torch.complex64)}, "function": {"x": os.path.join}, "array": {"x": torch.randn(2).numpy()}, "sparse": {"x": torch.eye(3).to_sparse()}}
    for name, what in refused.items():
        for new in (True, False):
            torch.save(what, at(f"refused_{name}{'' if new else '_legacy'}.pt"), _use_new_zipfile_serialization=new)
    trunk = models.HlipVit(**models.config("phantom")["vision"]).state_dict()
    vit = {k: v for k, v in trunk.items() if k.startswith(("blocks.", "norm.", "cls_token", "patch_embed.proj.bias"))}
    vit |= {"pos_embed": torch.randn(1, 197, 96), "patch_embed.proj.weight": torch.randn(96, 3, 16, 16), "decoder_norm.weight": torch.ones(5)}
    torch.save({"model": vit}, at("mae_vit.pth"))
    torch.jit.script(nn.Linear(2, 2)).save(at("refused_script.pt"))


if __name__ == "__main__":
    {"formats": formats, "load": load, "save": save}[sys.argv[1]](*sys.argv[2:])
