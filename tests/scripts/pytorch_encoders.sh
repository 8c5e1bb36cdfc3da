#!/usr/bin/env bash
# Encoders of pictures between hlip and PyTorch, with the real libraries: folders that transformers saves and files that torch.save writes under the
# names of DINOv2 and of timm give the features that transformers and timm compute, and the encoder of a run loads in transformers, all names found,
# and gives ours.
# Skipped where HLIP_PYTHON (default: python3) has no torch and transformers; timm's part also where it has no timm.
# Usage: pytorch_encoders.sh FOLDER_OF_PROGRAMS
. "$(dirname "$0")/../support/script.sh"
python=${HLIP_PYTHON:-python3}
"$python" -c 'import torch, transformers, safetensors' 2>/dev/null || skip "$python has no torch, transformers and safetensors (HLIP_PYTHON names another one)"
cat >"$work/side.py" <<'PY'
import json, os, struct, sys, zlib
import torch
from safetensors.torch import load_file
work, step = sys.argv[1:3]
side, levels = 56, ([0.5307] * 3, [0.2583] * 3)

def png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(r) for r in rows))) + chunk(b"IEND", b""))

def pixels(path=work + "/levels.pt"):  # (3, 3, side, side): pictures need no resizing
    x = torch.load(path).float() / 255
    return ((x - levels[0][0]) / levels[1][0])[:, None].repeat(1, 3, 1, 1)

def randomise(model):
    torch.manual_seed(7)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.rand_like(p) * 0.2 - 0.1)
    return model.eval()

def levels_file(folder, size=side):
    json.dump({"do_resize": True, "size": {"shortest_edge": size}, "resample": 3, "do_center_crop": True, "crop_size": {"height": size, "width": size},
               "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": levels[0], "image_std": levels[1],
               "do_convert_rgb": True, "image_processor_type": "BitImageProcessor"}, open(folder + "/preprocessor_config.json", "w"))

def hf(registers, swiglu):
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel
    sizes = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=side, patch_size=14, use_swiglu_ffn=swiglu)
    if registers:
        return randomise(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=registers, **sizes)))
    return randomise(Dinov2Model(Dinov2Config(**sizes)))

def as_dinov2(state):
    out = {}
    for name, value in state.items():
        for a, b in (("embeddings.patch_embeddings.projection", "patch_embed.proj"), ("embeddings.position_embeddings", "pos_embed"), ("embeddings.", ""),
                     ("encoder.layer.", "blocks."), ("attention.output.dense", "attn.proj"), ("attention.attention.query", "attn.qkv"), ("layer_scale1.lambda1", "ls1.gamma"),
                     ("layer_scale2.lambda1", "ls2.gamma"), ("weights_in", "w12"), ("weights_out", "w3"), ("layernorm.", "norm.")):
            name = name.replace(a, b)
        if "attention.attention." not in name:
            out[name] = value if ".qkv." not in name else None
    for name in [n for n, v in out.items() if v is None]:
        block, kind = name.split(".")[1], name.rsplit(".", 1)[1]
        out[name] = torch.cat([state["encoder.layer.%s.attention.attention.%s.%s" % (block, w, kind)] for w in ("query", "key", "value")])
    return out

def write():
    torch.manual_seed(1)
    x = torch.randint(0, 256, (3, side, side), dtype=torch.uint8)
    torch.save(x, work + "/levels.pt")
    os.makedirs(work + "/images")
    for i in range(3):
        png("%s/images/p%d.png" % (work, i), x[i].tolist())
    with torch.no_grad():
        for registers in (0, 4):
            for swiglu in (False, True):
                name = "r%d_%s" % (registers, "swiglu" if swiglu else "mlp")
                model = hf(registers, swiglu)
                model.save_pretrained(work + "/hf_" + name)
                levels_file(work + "/hf_" + name)
                want = model(pixel_values=pixels()).last_hidden_state
                torch.save(want, work + "/hf_%s.want" % name)
                torch.save(model.state_dict(), work + "/state_%s.bin" % name)  # other names than those of the folder since transformers 5
                torch.save(want, work + "/state_%s.want" % name)
                state = as_dinov2(load_file(work + "/hf_%s/model.safetensors" % name))
                chunks = {"backbone." + (n if not n.startswith("blocks.") else "blocks.0." + n[7:]): v for n, v in state.items()}
                torch.save({"teacher": dict(chunks, **{"dino_head.last_layer.weight_g": torch.ones(4, 1)}), "iteration": 9}, work + "/dinov2_%s.pth" % name)
                torch.save(want, work + "/dinov2_%s.want" % name)
                try:
                    import timm
                    from timm.layers import SwiGLUPacked
                except ImportError:
                    continue
                more = dict(mlp_ratio=2.66667 * 2, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU) if swiglu else {}
                other = randomise(timm.models.vision_transformer.VisionTransformer(
                    img_size=side, patch_size=14, embed_dim=192, depth=2, num_heads=3, init_values=1e-5, num_classes=0, global_pool="token", reg_tokens=registers,
                    no_embed_class=registers > 0, **more))
                torch.save(other.state_dict(), work + "/timm_%s.pth" % name)
                torch.save(other.forward_features(pixels()), work + "/timm_%s.want" % name)

def compare():
    name = sys.argv[3]
    want = torch.load(work + "/" + name + ".want")
    got = load_file(work + "/got.safetensors")
    registers = 4 if "r4" in name else 0
    check(got, want[:, 0], want[:, 1 + registers:], name)

def check(got, cls, patches, name):
    for what, a, b in (("cls", got["cls"], cls), ("patches", got["patches"].flatten(1, 2), patches)):
        assert a.shape == b.shape, (name, what, a.shape, b.shape)
        worst = float((a - b).abs().max() / (1 + b.abs().max()))
        print(name, what, "worst %.2g" % worst)
        assert worst < 1e-5, (name, what)

def run():
    from transformers import AutoModel
    folder = sys.argv[3]
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    p = json.load(open(folder + "/preprocessor_config.json"))
    assert p["size"]["shortest_edge"] == side
    x = ((torch.load(work + "/levels.pt").float() / 255 - p["image_mean"][0]) / p["image_std"][0])[:, None].repeat(1, model.config.num_channels, 1, 1)
    with torch.no_grad():
        want = model.eval()(pixel_values=x).last_hidden_state
    check(load_file(work + "/got.safetensors"), want[:, 0], want[:, 1:], "run")

{"write": write, "compare": compare, "run": run}[step]()
PY
side() { expect 0 "$python" -W ignore "$work/side.py" "$work" "$@"; }
encode() { expect 0 "$bin/encode_radiographs" "$work/images" --out "$work/got.safetensors" --model "$@"; }

side write
for want in "$work"/*.want; do
  name=$(basename "$want" .want)
  model=$work/$name
  [ -e "$model" ] || model=$(echo "$work/$name".[pb]*)
  encode "$model"
  says "missing          0"
  side compare "$name"
  cat "$work/log"
done

# what a run leaves behind
expect 0 "$bin/train_rad_dino" --phantom 16 --batch-size 4 --steps 1 --global-size 56 --local-size 24 --out "$work/run"
encode "$work/run/encoder"
side run "$work/run/encoder"
cat "$work/log"
cp "$work/got.safetensors" "$work/folder.safetensors"
encode "$work/run" --name "$work/run/encoder"
cmp "$work/folder.safetensors" "$work/got.safetensors" || fail "the run's teacher is not the encoder it left behind"
echo "pytorch_encoders: the features of transformers, DINOv2's names and timm's"
