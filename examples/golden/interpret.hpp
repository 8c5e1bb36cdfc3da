// Kind interpret: attention of the last block, its gradient, relevance of the patches, and the maps drawn from it.
#pragma once

#include "model_configs.hpp"

#include <hlip/models/interpret.hpp>

namespace golden {

/// Values within rounding of the limit below which they are hidden may be on either side of it.
template <class B>
void compare_slice_maps(Fixture& f, const Tensor<float, B>& stretched) {
  const std::string name = "output.slice_maps";
  const auto shown = visible_relevance(stretched);
  if (!(f.shape(name) == stretched.shape())) return f.compare(name, Tensor<float, B>(shown), forward);
  const auto value = stretched.to_vector();
  auto got = Tensor<float, B>(shown).to_vector();
  const auto want = f.reals(name);
  for (std::size_t i = 0; i < got.size(); ++i)
    if (std::abs(value[i] - hidden_relevance) <= forward.tolerance) got[i] = want[i] == 0 ? 0.0f : value[i];
  f.compare(name, std::vector<double>(got.begin(), got.end()), stretched.shape(), forward);
}

template <class B>
void check_interpret(Fixture& f) {
  const Json& j = f.config();
  const HlipVitConfig config = vit_config(f, j, "param.");
  const Shape size = shape_of(j.contains("input_size") ? j["input_size"] : entry(j, "img_size"), "input_size", 3);
  const index_t scans = size_at_or(j, "scans", 1);
  f.require("input.volume", {1, scans, config.in_chans, size[0], size[1], size[2]});
  f.require("input.class_embeddings", {size_at(j, "classes"), config.embed_dim});
  Initializer init(0);
  HlipVit<3, float, B> trunk(config, init);
  const Group parameters(f, "param.");
  load_state_dict(trunk, parameters);

  const Var<float, B> classes = transpose(Var<float, B>(f.tensor<B>("input.class_embeddings")), 0, 1);
  const double scale = f.scalar("input.logit_scale");
  HlipVitInput<B> input;
  input.scan_positions = scan_positions(f, 0);
  const auto found = interpret(
      trunk, f.tensor<B>("input.volume"), [&](const Var<float, B>& features) { return Var<float, B>(matmul(l2_normalize(features), classes) * scale); }, size_at(j, "target", 0), input);
  f.compare("output.attn_prob", found.attention, forward);
  f.compare("output.attn_grad", found.gradient, gradient);
  f.compare("output.logits", found.logits, forward);
  f.compare("output.relevance", found.relevance, forward);
  const auto voxels = relevance_to_voxels(found.relevance, size);
  f.compare("output.upsampled", voxels, forward);
  const auto rows = displayed_slices(size[0] / config.patch_size[0], config.patch_size[0]);
  f.compare_exact("output.slice_rows", rows, {static_cast<index_t>(rows.size())});
  compare_slice_maps(f, stretched_slices(voxels, rows));
}

}  // namespace golden
