// Weights of picture encoders as DINOv2, timm and Hugging Face spell them, loaded into ours and
// written for theirs. Source: reference document RAD-DINO §11, last row of the table; names and
// the order of gate and value as in facebookresearch/dinov2 (layers/swiglu_ffn.py), timm
// (layers/mlp.py, SwiGLUPacked; models/vision_transformer.py, _convert_dinov2) and transformers
// (models/dinov2, models/dinov2_with_registers): all of them put the gate first.
#pragma once

#include <hlip/models/vit_limits.hpp>
#include <hlip/nn/weights.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

namespace detail {

inline void replace_front(std::string& name, std::string_view from, std::string_view to) {
  if (name.starts_with(from)) name.replace(0, from.size(), to);
}
inline void replace_part(std::string& name, std::string_view from, std::string_view to) {
  if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
}

/// The same thing in DINOv2's names and in those of a Hugging Face Dinov2Model.
struct HfName {
  std::string_view dinov2, hf;
};
inline constexpr HfName hf_fronts[] = {
    {"cls_token", "embeddings.cls_token"},
    {"mask_token", "embeddings.mask_token"},
    {"register_tokens", "embeddings.register_tokens"},
    {"pos_embed", "embeddings.position_embeddings"},
    {"patch_embed.proj.", "embeddings.patch_embeddings.projection."},
    {"norm.", "layernorm."},
    {"blocks.", "encoder.layer."},
};
/// Inside of a block; what is part of another comes behind it.
inline constexpr HfName hf_parts[] = {
    {".attn.proj.", ".attention.output.dense."}, {".attn.", ".attention.attention."},
    {".ls1.gamma", ".layer_scale1.lambda1"},     {".ls2.gamma", ".layer_scale2.lambda1"},
    {".mlp.w12.", ".mlp.weights_in."},           {".mlp.w3.", ".mlp.weights_out."},
};
/// The modules of transformers 5, whose folders keep the names above.
inline constexpr HfName hf_modules[] = {
    {".attn.query.", ".attention.q_proj."}, {".attn.key.", ".attention.k_proj."},
    {".attn.value.", ".attention.v_proj."}, {".attn.proj.", ".attention.o_proj."},
    {".mlp.gate.", ".mlp.gate_proj."},      {".mlp.up.", ".mlp.up_proj."},
    {".mlp.w3.", ".mlp.down_proj."},
};

/// A name of a Hugging Face Dinov2Model as DINOv2 has it; query, key and value stay apart.
inline std::string name_from_hf(std::string name) {
  const bool in_block = name.starts_with("encoder.layer.");
  for (const HfName& n : hf_fronts) replace_front(name, n.hf, n.dinov2);
  if (!in_block) return name;
  for (const HfName& n : hf_parts) replace_part(name, n.hf, n.dinov2);
  for (const HfName& n : hf_modules) replace_part(name, n.hf, n.dinov2);
  return name;
}

/// The other direction.
inline std::string name_for_hf(std::string name) {
  const bool in_block = name.starts_with("blocks.");
  for (const HfName& n : hf_fronts) replace_front(name, n.dinov2, n.hf);
  if (!in_block) return name;
  for (const HfName& n : hf_parts) replace_part(name, n.dinov2, n.hf);
  return name;
}

/// A name of DINOv2's training checkpoints or of timm as DINOv2's models have it: blocks in chunks
/// carry the chunk's number before their own.
inline std::string name_from_dinov2(std::string name) {
  if (name == "reg_token") return "register_tokens";
  if (!name.starts_with("blocks.")) return name;
  const auto number = [&](std::size_t from) {
    auto to = from;
    while (to < name.size() && name[to] >= '0' && name[to] <= '9') ++to;
    return to > from && to < name.size() && name[to] == '.' ? to + 1 : 0;
  };
  const std::size_t first = std::string_view("blocks.").size(), second = number(first);
  if (second != 0 && number(second) != 0) name.erase(first, second - first);
  return name;
}

/// Whether the first layer of blocks is twice as wide as the second takes: timm packs gate and
/// value of a gated layer into one and calls it as that of a plain one.
inline bool is_packed_gate(const NamedWeights& weights) {
  const char *first = "blocks.0.mlp.fc1.weight", *second = "blocks.0.mlp.fc2.weight";
  if (!weights.contains(first) || !weights.contains(second)) return false;
  const Shape &in = weights.info(first).shape, &out = weights.info(second).shape;
  return in.rank() == 2 && out.rank() == 2 && out[1] > 0 && in[0] % 2 == 0 && in[0] / 2 == out[1];
}

/// Layers that some files have in parts, one below the other.
struct SplitLayer {
  std::string_view whole;
  std::vector<std::string_view> parts;
};
inline const SplitLayer* split_layer(std::string_view name, bool of_part) {
  static const std::vector<SplitLayer> layers{
      {".attn.qkv.", {".attn.query.", ".attn.key.", ".attn.value."}},
      {".mlp.w12.", {".mlp.gate.", ".mlp.up."}}};
  for (const SplitLayer& layer : layers) {
    if (!of_part && name.find(layer.whole) != name.npos) return &layer;
    for (const std::string_view part : layer.parts)
      if (of_part && name.find(part) != name.npos) return &layer;
  }
  return nullptr;
}

/// Weights under our names, with query, key and value, and gate and value, as one where the file
/// has them apart, and positions that say nothing of the class token completed by zeros: a source
/// for load_state_dict.
class VitSource {
 public:
  VitSource(const NamedWeights& weights, index_t positions_wanted)
      : weights_(weights), positions_wanted_(positions_wanted) {
    for (const auto& name : weights.names()) {
      const SplitLayer* layer = split_layer(name, true);
      std::string whole = name;
      if (layer) replace_part(whole, layer->parts.front(), layer->whole);
      if (whole != name && contains_parts(whole)) names_.push_back(whole);
      else if (!layer) names_.push_back(name);
    }
  }
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const {
    return weights_.contains(name) || contains_parts(name);
  }
  struct Info {
    Shape shape;
  };
  Info info(const std::string& name) const {
    if (weights_.contains(name)) {
      Shape shape = weights_.info(name).shape;
      if (lacks_cls(name, shape)) ++shape[1];
      return {shape};
    }
    const std::vector<std::string> parts = parts_of(name);
    Shape shape = weights_.info(parts.front()).shape;
    shape[0] *= static_cast<index_t>(parts.size());
    return {shape};
  }
  template <Element T, class B> Tensor<T, B> tensor(const std::string& name) const {
    if (weights_.contains(name)) {
      const Tensor<T, B> stored = weights_.tensor<T, B>(name);
      if (!lacks_cls(name, stored.shape())) return stored;
      return concat(std::vector<Tensor<T, B>>{Tensor<T, B>::zeros({1, 1, stored.dim(2)}), stored},
                    1);
    }
    std::vector<Tensor<T, B>> parts;
    for (const auto& part : parts_of(name)) parts.push_back(weights_.tensor<T, B>(part));
    return concat(parts, 0);
  }

 private:
  static std::vector<std::string> parts_of(const std::string& name) {
    std::vector<std::string> names;
    if (const SplitLayer* layer = split_layer(name, false))
      for (const std::string_view part : layer->parts) {
        names.push_back(name);
        replace_part(names.back(), layer->whole, part);
      }
    return names;
  }
  /// Whether all of them are there, in one shape.
  bool contains_parts(const std::string& name) const {
    const std::vector<std::string> parts = parts_of(name);
    return !parts.empty() && std::all_of(parts.begin(), parts.end(), [&](const auto& part) {
      return weights_.contains(part) && weights_.contains(parts.front()) &&
             weights_.info(part).shape == weights_.info(parts.front()).shape &&
             weights_.info(part).shape.rank() > 0;
    });
  }
  /// timm's models with registers add no position to the class token.
  bool lacks_cls(const std::string& name, const Shape& shape) const {
    if (name != "pos_embed" || shape.rank() != 3 || shape[1] == positions_wanted_) return false;
    const auto side = [](index_t n) {
      return static_cast<index_t>(std::llround(std::sqrt(static_cast<double>(n))));
    };
    return side(shape[1]) * side(shape[1]) == shape[1];
  }

  const NamedWeights& weights_;
  index_t positions_wanted_;
  std::vector<std::string> names_;
};

}  // namespace detail

/// Gives the tensors of a file the names of a Vit's parameters, whoever wrote them: a training
/// checkpoint (the teacher's encoder is taken), DINOv2's models, timm's, or Hugging Face's.
HLIP_LAZY void name_as_vit(NamedWeights& weights) {
  for (const char* prefix : {"teacher.", "backbone.", "dinov2.", "dinov2_with_registers."})
    weights.select(prefix);
  weights.rename(
      [](const std::string& name) { return detail::name_from_dinov2(detail::name_from_hf(name)); });
  if (detail::is_packed_gate(weights))
    weights.rename([](std::string name) {
      detail::replace_part(name, ".mlp.fc1.", ".mlp.w12.");
      detail::replace_part(name, ".mlp.fc2.", ".mlp.w3.");
      return name;
    });
  weights.leave_out("of no use to the encoder", [](const std::string& name) {
    return name.starts_with("head.") || name.starts_with("dino_head.") ||
           name.starts_with("ibot_head.") || name.starts_with("classifier.");
  });
}

/// Loads an encoder; a table of positions of another size is resized. A mask token that the file
/// does without is not missed: it plays no part after training.
/// @param weights as name_as_vit leaves them
/// @return what was missing, unexpected or of another shape: for the caller to judge
template <class T, class B>
LoadReport load_vit_weights(Vit<T, B>& vit, const NamedWeights& weights) {
  const detail::VitSource source(weights, vit.pos_embed.dim(1));
  LoadReport report = load_state_dict(vit, source, false);
  std::erase(report.missing, "mask_token");
  const Shape want = vit.pos_embed.shape();
  if (!source.contains("pos_embed") || source.info("pos_embed").shape == want) return report;
  const Shape have = source.info("pos_embed").shape;
  if (have.rank() != 3 || have[0] != 1 || have[2] != want[2] || have[1] < 2) return report;
  const auto side = grid_side(vit.pos_embed.value(), 1);
  const Var<T, B> table(source.template tensor<T, B>("pos_embed"));
  vit.pos_embed.value().assign(
      resize_grid_positions(table, 1, side, side, vit.config.positions).value());
  std::erase_if(report.mismatched,
                [](const std::string& entry) { return entry.starts_with("pos_embed "); });
  report.resized.push_back(fmt::format("pos_embed {} → {}", to_string(have), to_string(want)));
  return report;
}

/// Throws, with the table, when a parameter is missing or of another shape, or when blocks have
/// parameters that hlip has no place for: they would compute something else.
/// @param what the file should hold, for the message
HLIP_LAZY void expect_whole_encoder(const NamedWeights& weights, const LoadReport& report,
                                    const std::string& what) {
  const bool strange = std::any_of(
      report.unexpected.begin(), report.unexpected.end(),
      [](const std::string& name) { return name.starts_with("blocks."); });
  if (report.missing.empty() && report.mismatched.empty() && !strange) return;
  std::string table = weights_table(weights, report);
  table.pop_back();
  fail_file(weights.file().path(), "", "does not hold {}\n{}", what, table);
}

/// Throws when an encoder has many times the numbers that a file holds, whatever sizes are written
/// down: memory is taken for what is there. Where little is missing, the table says it better.
/// @param c as expect_vit_sizes lets pass
HLIP_LAZY void expect_held(const VitConfig& c, const NamedWeights& weights) {
  double stored = 0;
  for (const auto& name : weights.names())
    stored += static_cast<double>(weights.info(name).shape.numel());
  const index_t wanted = vit_parameter_count(c);
  if (static_cast<double>(wanted) > 2 * stored + 1e6)
    fail_file(weights.file().path(), "",
              "holds {:.3g} numbers, an encoder of {} blocks of width {} has {:.3g}", stored,
              c.depth, c.embed_dim, static_cast<double>(wanted));
}

namespace detail {

/// The shape of a tensor that every encoder has.
HLIP_LAZY Shape vit_weight_shape(const NamedWeights& weights, const char* name, int rank) {
  if (!weights.contains(name))
    fail_file(weights.file().path(), name,
              "is not there, so these are no weights of an encoder of pictures");
  const Shape s = weights.info(name).shape;
  if (s.rank() != rank)
    fail_file(weights.file().path(), name, "is {}, expected {} axes", to_string(s), rank);
  return s;
}

/// Sides of the grid that a table has positions for, with that of the class token or without.
HLIP_LAZY index_t stored_grid_side(const NamedWeights& weights) {
  const Shape table = vit_weight_shape(weights, "pos_embed", 3);
  const auto whole_root = [](index_t n) {
    const auto root = static_cast<index_t>(std::llround(std::sqrt(static_cast<double>(n))));
    return root > 0 && root * root == n ? root : 0;
  };
  const index_t side = whole_root(table[1]) > 0 ? whole_root(table[1]) : whole_root(table[1] - 1);
  if (side == 0 || side > 16384)
    fail_file(weights.file().path(), "pos_embed", "is {}, whose positions form no square",
              to_string(table));
  return side;
}

}  // namespace detail

/// The configuration that a file of weights was made with, as far as shapes say it: heads are 64
/// wide, as in all published models, and positions are resized as they do.
/// @param weights as name_as_vit leaves them  @param c what shapes do not say
/// @throws hlip::error when these are no weights of an encoder of pictures, or sizes are beyond all
/// reason
HLIP_LAZY VitConfig vit_config_of_weights(const NamedWeights& weights, VitConfig c = {}) {
  const Shape filter = detail::vit_weight_shape(weights, "patch_embed.proj.weight", 4);
  c.embed_dim = filter[0], c.in_chans = filter[1], c.patch_size = filter[2];
  c.img_size = detail::stored_grid_side(weights) * std::min<index_t>(c.patch_size, 1024);
  c.reg_tokens = weights.contains("register_tokens")
                     ? detail::vit_weight_shape(weights, "register_tokens", 3)[1]
                     : 0;
  if (c.reg_tokens > 0) c.positions = {.interpolate_offset = 0, .antialias = true};
  c.layer_scale = weights.contains("blocks.0.ls1.gamma") ? 1 : 0;
  c.depth = 0;
  while (weights.contains(fmt::format("blocks.{}.norm1.weight", c.depth))) ++c.depth;
  c.num_heads = std::max<index_t>(1, c.embed_dim / 64);
  c.ffn = weights.contains("blocks.0.mlp.w3.weight") ? FeedForward::swiglu : FeedForward::mlp;
  const bool gated = c.ffn == FeedForward::swiglu;
  const Shape second = detail::vit_weight_shape(
      weights, gated ? "blocks.0.mlp.w3.weight" : "blocks.0.mlp.fc2.weight", 2);
  // SwiGlu::hidden_like gives two thirds of what is asked for
  c.mlp_ratio = (gated ? 1.5 : 1.0) * static_cast<double>(second[1]) /
                static_cast<double>(std::max<index_t>(1, c.embed_dim));
  if (c.embed_dim % c.num_heads != 0) c.num_heads = 1;
  expect_vit_sizes(c, weights.file().path());
  return c;
}

HLIP_END
