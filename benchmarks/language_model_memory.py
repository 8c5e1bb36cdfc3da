#!/usr/bin/env python3
"""language_model_memory.py PROGRAM FOLDER [--layers 32]: how much memory a report takes of a decoder of Vicuna-7B's shape.

Writes random bfloat16 weights in shards (13.5 GB), an untrained ViT-B/14's projector and one picture into FOLDER, lets PROGRAM (write_reports) write a
report whose prompt has the picture's 1,369 tokens, prints its peak resident memory and the time, and removes FOLDER. The weights stay mapped: what
counts as resident is read from the file, and the system takes it back when it needs memory. --tokenizer names a SentencePiece model; that of
tests/golden/llama_hf is the default, smaller than the vocabulary."""
import argparse
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import time
import zlib

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("program", type=pathlib.Path)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--layers", type=int, default=32)
parser.add_argument("--tokens", type=int, default=8, help="that are written")
parser.add_argument("--tokenizer", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent / "tests/golden/llama_hf/model/tokenizer.model")
o = parser.parse_args()

WIDTH, INNER, WORDS = 4096, 11008, 32000
ENCODER, ENCODER_WIDTH = "untrained:vit_base_patch14_dinov2", 768


def random_bfloat16(count):
    """Numbers of 2^-7 to 2^-5 of either sign, in a block that repeats."""
    block = bytearray(1 << 25)
    block[0::2] = os.urandom(1 << 24)
    block[1::2] = os.urandom(1 << 24).translate(bytes((b & 0x80) | 0x3C for b in range(256)))
    while count > 0:
        yield block[: 2 * min(count, 1 << 24)]
        count -= 1 << 24


def write_safetensors(path, tensors, dtype):
    """tensors: (name, shape); random numbers, or ones where there is one axis."""
    size = 2 if dtype == "BF16" else 4
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size * count]}
        at += size * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as safetensors does: what is not aligned is copied, not mapped
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            if dtype == "F32":
                f.write(b"".join(b"\0\0" + bytes(part[i : i + 2]) for part in random_bfloat16(count) for i in range(0, len(part), 2)))
            elif len(shape) == 1:
                f.write(b"\x80\x3f" * count)
            else:
                for part in random_bfloat16(count):
                    f.write(part)
    return at


def write_decoder(folder):
    folder.mkdir()
    config = {"model_type": "llama", "hidden_act": "silu", "vocab_size": WORDS, "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": o.layers,
              "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copyfile(o.tokenizer, folder / "tokenizer.model")
    shards = [[("model.embed_tokens.weight", [WORDS, WIDTH])]]
    for i in range(o.layers):
        if i % 16 == 15:
            shards.append([])
        p = f"model.layers.{i}."
        shards[-1] += [(p + f"self_attn.{n}_proj.weight", [WIDTH, WIDTH]) for n in "qkvo"]
        shards[-1] += [(p + "mlp.gate_proj.weight", [INNER, WIDTH]), (p + "mlp.up_proj.weight", [INNER, WIDTH]), (p + "mlp.down_proj.weight", [WIDTH, INNER])]
        shards[-1] += [(p + "input_layernorm.weight", [WIDTH]), (p + "post_attention_layernorm.weight", [WIDTH])]
    shards[-1] += [("model.norm.weight", [WIDTH]), ("lm_head.weight", [WORDS, WIDTH])]
    names = [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
    total = sum(write_safetensors(folder / name, shard, "BF16") for name, shard in zip(names, shards))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": {t: n for n, s in zip(names, shards) for t, _ in s}}))
    return total


def write_checkpoint(folder, decoder):
    """As write_reports train --train projector leaves it."""
    folder.mkdir(parents=True)
    write_safetensors(folder / "model.safetensors", [("projector.0.weight", [WIDTH, ENCODER_WIDTH]), ("projector.0.bias", [WIDTH]),
                                                     ("projector.2.weight", [WIDTH, WIDTH]), ("projector.2.bias", [WIDTH])], "F32")
    described = {"format": 1, "decoder": str(decoder), "train": "projector", "lora": {"rank": 8, "alpha": 16}, "request": "<image> Describe the findings."}
    (folder / "report_writer.json").write_text(json.dumps(described))
    for name in ("optimizer.safetensors", "state.json"):
        (folder / name).write_text("{}")
    (folder / "COMPLETE").write_text("".join(f"{zlib.crc32(p.read_bytes()):08x}  {p.name}\n" for p in sorted(folder.iterdir())))


def write_picture(path, side=518):
    rows = b"".join(b"\0" + os.urandom(side) for _ in range(side))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks))


o.folder.mkdir()
try:
    total = write_decoder(o.folder / "decoder")
    write_checkpoint(o.folder / "run/step_1", (o.folder / "decoder").resolve())
    write_picture(o.folder / "picture.png")
    print(f"{total / 1e9:.1f} GB of weights written", flush=True)
    began = time.monotonic()
    subprocess.run([o.program, "apply", "--model", o.folder / "run", "--encoder", ENCODER, "--max-new-tokens", str(o.tokens), "--out", o.folder / "written",
                    o.folder / "picture.png"], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{o.layers} layers, 1369 image tokens, {o.tokens} written: peak {peak / 2**20:.2f} GiB resident, {time.monotonic() - began:.0f} s")
finally:
    shutil.rmtree(o.folder)
