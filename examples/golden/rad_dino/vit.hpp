// Kinds vit_offset, vit_plain, vit_antialias: the encoder of pictures at several sizes. The last
// two differ in how positions are resized, and take parameters and inputs from the first, beside
// them.
#pragma once

#include "../tolerances.hpp"

#include <hlip/models/vit_outputs.hpp>

#include <filesystem>
#include <memory>

namespace golden {

/// The configuration that a fixture of the DINOv2 code gives its encoder.
inline VitConfig vit_config_of(const Json& j) {
  VitConfig c;
  c.name = "fixture";
  c.img_size = size_at(j, "img_size");
  c.patch_size = size_at(j, "patch_size");
  c.in_chans = size_at(j, "in_chans");
  c.embed_dim = size_at(j, "embed_dim");
  c.depth = size_at(j, "depth");
  c.num_heads = size_at(j, "num_heads");
  c.mlp_ratio = mlp_ratio_of(j);
  c.reg_tokens = size_at_or(j, "num_register_tokens", 0, 0);
  c.layer_scale = number_at(j, "init_values");
  c.positions.interpolate_offset = number_at_or(j, "interpolate_offset",
                                                c.positions.interpolate_offset);
  c.positions.antialias = flag_at(j, "interpolate_antialias");
  return c;
}

/// Sizes of the inputs, as the names of tensors have them: "s56x56".
inline std::vector<std::string> vit_sizes(const Fixture& f) {
  std::vector<std::string> sizes;
  for (const auto& name : f.file().names())
    if (name.starts_with("output.s") && name.ends_with(".cls"))
      sizes.push_back(name.substr(7, name.size() - 11));
  return sizes;
}

/// What is compared of one size; adds its part of the objective.
template <class B>
void check_vit_size(Fixture& f, const Fixture& inputs, const Vit<float, B>& vit,
                    const std::string& size) {
  const std::string in = "input." + size + ".", out = "output." + size + ".";
  const Var<float, B> x(inputs.tensor<B>(in + "x"), true);
  VitInput<float, B> input(x);
  if (inputs.contains(in + "masks"))
    input.masks = inputs.file().template tensor<std::uint8_t, B>(in + "masks");
  const VitTokens<float, B> tokens = vit({input});
  const VitGrid& g = tokens.grids[0];
  const VitFeatures<float, B> features = features_of(vit.norm(tokens.x), g);
  f.compare(out + "cls", features.cls.value(), forward);
  f.compare(out + "patch", features.patches.value(), forward);
  f.compare(out + "prenorm", tokens.x.value().reshape({g.images, g.tokens(), vit.config.embed_dim}),
            forward);
  f.compare(
      out + "pos",
      resize_grid_positions(vit.pos_embed, 1, g.rows, g.columns, vit.config.positions).value(),
      position_table);
  const Var<float, B> objective =
      sum(Var<float, B>(features.cls * Var<float, B>(inputs.tensor<B>(in + "cot_cls")))) +
      sum(Var<float, B>(features.patches * Var<float, B>(inputs.tensor<B>(in + "cot_patch"))));
  objective.backward();
  if (f.contains("grad." + size + ".x")) f.compare_grad("grad." + size + ".x", x);
}

/// The last blocks and the attention of one size; masks play no part in them.
template <class B>
void check_vit_inside(Fixture& f, const Vit<float, B>& vit, const std::string& size) {
  const std::string out = "output." + size + ".";
  const Var<float, B> x(f.tensor<B>("input." + size + ".x"));
  NoGrad guard;
  index_t n = 0;
  while (f.contains(out + fmt::format("inter{}_cls", n))) ++n;
  if (n > 0) {
    const auto last = vit_intermediate(vit, x, n);
    for (index_t i = 0; i < n; ++i) {
      const auto& features = last[static_cast<std::size_t>(i)];
      f.compare(out + fmt::format("inter{}_cls", i), features.cls.value(), forward);
      f.compare(out + fmt::format("inter{}_patch", i), features.patches.value(), forward);
    }
  }
  if (f.contains(out + "attention_last"))
    f.compare(out + "attention_last", vit_last_attention(vit, x), forward);
}

template <class B> void check_vit(Fixture& f) {
  std::unique_ptr<Fixture> other;  // owns parameters and inputs
  if (!f.contains("param.pos_embed")) {
    const std::filesystem::path path(f.path());
    std::string name = path.filename().string();
    const auto at = name.find_first_of("_", 0);
    const auto end = name.find_first_of("_.", at + 1);
    name.replace(at + 1, end - at - 1, "offset");
    other = std::make_unique<Fixture>((path.parent_path() / name).string());
  }
  const Fixture& inputs = other ? *other : f;
  Json config = f.said_json("config");
  config["interpolate_offset"] = f.said_json("interpolate_offset");
  config["interpolate_antialias"] = f.said("interpolate_antialias") == "true";
  Initializer init(0);
  Vit<float, B> vit(vit_config_of(config), init);
  load_state_dict(vit, Group(inputs, "param."));
  for (const auto& size : vit_sizes(f)) check_vit_size<B>(f, inputs, vit, size);
  for (const auto& [name, p] : named_parameters(vit))
    if (f.contains("grad." + name)) f.compare_grad("grad." + name, *p);
  if (!other)
    for (const auto& size : vit_sizes(f)) check_vit_inside<B>(f, vit, size);
}

}  // namespace golden
