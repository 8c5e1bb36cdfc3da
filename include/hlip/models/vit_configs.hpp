// The published encoders of pictures by name, small ones of the demo, and configurations as JSON.
// Needs nlohmann_json. Source: Oquab et al. 2023 (DINOv2), table 17; Darcet et al. 2024
// (registers); reference document RAD-DINO §2.
#pragma once

#include <hlip/models/config_json.hpp>
#include <hlip/models/vit_limits.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Names vit_config understands: timm's for the published sizes, and those of the demos.
HLIP_LAZY std::vector<std::string> vit_config_names() {
  return {"vit_small_patch14_dinov2",
          "vit_base_patch14_dinov2",
          "vit_large_patch14_dinov2",
          "vit_giant_patch14_dinov2",
          "vit_small_patch14_reg4_dinov2",
          "vit_base_patch14_reg4_dinov2",
          "vit_large_patch14_reg4_dinov2",
          "vit_giant_patch14_reg4_dinov2",
          "radiograph_phantom",
          "radiograph_phantom_tiny"};
}

/// A configuration by name: S, B, L and g of DINOv2 (g with SwiGLU), with and without four
/// registers. @throws on an unknown name, listing the known ones
HLIP_LAZY VitConfig vit_config(std::string_view name) {
  VitConfig c;
  c.name = std::string(name);
  if (name == "radiograph_phantom" || name == "radiograph_phantom_tiny") {
    const bool tiny = name == "radiograph_phantom_tiny";
    c.img_size = tiny ? 32 : 64, c.patch_size = 8;
    c.in_chans = 1;
    c.embed_dim = tiny ? 96 : 128, c.depth = 4, c.num_heads = 4;
    // what a class token sees of a picture is small where layers are narrow and begin small
    c.layer_scale = 1, c.init_std = 0.08;
    return c;
  }
  struct Size {
    std::string_view word;
    index_t dim, depth;
  };
  for (const auto& [word, dim, depth] : {Size{"vit_small_", 384, 12},
                                         {"vit_base_", 768, 12},
                                         {"vit_large_", 1024, 24},
                                         {"vit_giant_", 1536, 40}}) {
    if (!name.starts_with(word)) continue;
    const std::string_view rest = name.substr(word.size());
    if (rest != "patch14_dinov2" && rest != "patch14_reg4_dinov2") break;
    c.embed_dim = dim, c.depth = depth, c.num_heads = dim / 64;
    c.layer_scale = 1e-5;
    if (word == "vit_giant_") c.ffn = FeedForward::swiglu;
    if (rest == "patch14_reg4_dinov2") {
      c.reg_tokens = 4;
      c.positions = {.interpolate_offset = 0, .antialias = true};
    }
    return c;
  }
  std::string known;
  for (const auto& each : vit_config_names()) known += (known.empty() ? "" : ", ") + each;
  fail("model", "'{}' is not a known configuration, expected one of {}", name, known);
}

namespace detail {

template <class Fields> void vit_fields(Fields& f, VitConfig& c) {
  f.read("name", c.name);
  f.read("img_size", c.img_size);
  f.read("patch_size", c.patch_size);
  f.read("in_chans", c.in_chans);
  f.read("embed_dim", c.embed_dim);
  f.read("depth", c.depth);
  f.read("num_heads", c.num_heads);
  f.read("mlp_ratio", c.mlp_ratio);
  read_choice(f, "ffn", c.ffn, {{"mlp", FeedForward::mlp}, {"swiglu", FeedForward::swiglu}});
  f.read("reg_tokens", c.reg_tokens);
  f.read("layer_scale", c.layer_scale);
  f.read("init_std", c.init_std);
  f.read("mask_token", c.mask_token);
  f.read("interpolate_offset", c.positions.interpolate_offset);
  f.read("interpolate_antialias", c.positions.antialias);
  f.read("drop_path", c.drop_path);
  read_choice(f, "drop_path_form", c.drop_path_form,
              {{"by_subset", DropPath::by_subset}, {"by_sequence", DropPath::by_sequence}});
  f.read("grad_checkpointing", c.grad_checkpointing);
}

}  // namespace detail

/// The complete configuration as JSON.
HLIP_LAZY Json to_json(const VitConfig& config) {
  VitConfig c = config;
  detail::JsonWriter writer;
  detail::vit_fields(writer, c);
  return writer.object;
}

/// The other direction. @throws hlip::error naming file and entry for what is unknown, does not fit
/// or asks for a model beyond all reason
HLIP_LAZY VitConfig vit_config_from_json(const Json& j, const std::string& path) {
  VitConfig c;
  detail::JsonFields fields(j, path);
  detail::vit_fields(fields, c);
  fields.finish();
  expect_vit_sizes(c, path);
  return c;
}

HLIP_END
