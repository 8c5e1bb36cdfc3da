// Kind interpret: attention of the last block, its gradient, relevance of the patches, and the maps
// drawn from it.
#pragma once

#include "model_configs.hpp"

#include <hlip/models/interpret.hpp>

namespace golden {

/// The maps as drawn. Stretching a slice to [0, 1] magnifies whatever error the voxels have, and a
/// value that close to the limit below which it is hidden may be on either side of it. A slice
/// without contrast has no map (the reference divides by zero).
template <class B>
void compare_slice_maps(Fixture& f, const Tensor<float, B>& voxels,
                        const std::vector<std::int64_t>& rows) {
  const std::string name = "output.slice_maps";
  const auto stretched = stretched_slices(voxels, rows);
  if (!(f.shape(name) == stretched.shape()) || !(f.shape("output.upsampled") == voxels.shape()))
    return f.compare(name, stretched, forward);
  const auto ours = voxels.to_vector();
  const auto theirs = f.reals("output.upsampled"), want = f.reals(name);
  double voxel_error = 0, error = 0;
  for (std::size_t i = 0; i < ours.size(); ++i)
    voxel_error = std::max(voxel_error, std::abs(ours[i] - theirs[i]));

  const auto value = stretched.to_vector();
  const std::size_t pixels = static_cast<std::size_t>(stretched.dim(2) * stretched.dim(3));
  for (std::size_t slice = 0; slice * pixels < value.size(); ++slice) {
    const auto layers = static_cast<std::size_t>(stretched.dim(1));
    const auto plane = voxels.select(0, static_cast<index_t>(slice / layers))
                           .select(0, rows[slice % layers])
                           .to_vector();
    const auto [low, high] = std::minmax_element(plane.begin(), plane.end());
    const double range = static_cast<double>(*high) - *low,
                 allowed = range > 0 ? 4 * voxel_error / range : 0;
    for (std::size_t i = slice * pixels; i < (slice + 1) * pixels; ++i) {
      if (range == 0 && std::isnan(want[i])) continue;
      const double v = value[i], hidden = std::abs(want[i]), shown = std::abs(v - want[i]);
      const double off = std::abs(v - hidden_relevance) <= allowed + forward.tolerance
                             ? std::min(hidden, shown)
                         : v < hidden_relevance ? hidden
                                                : shown;
      const double e = (off - allowed) / (1 + std::abs(want[i]));
      error = e <= error ? error : std::isnan(e) ? std::numeric_limits<double>::infinity() : e;
    }
  }
  f.note(name, error, forward.tolerance);
}

template <class B> void check_interpret(Fixture& f) {
  const Json& j = f.config();
  const HlipVitConfig config = vit_config(f, j, "param.");
  const Shape size = shape_of(j.contains("input_size") ? j["input_size"] : entry(j, "img_size"),
                              "input_size", 3);
  const index_t scans = size_at_or(j, "scans", 1);
  f.require("input.volume", {1, scans, config.in_chans, size[0], size[1], size[2]});
  f.require("input.class_embeddings", {size_at(j, "classes"), config.embed_dim});
  Initializer init(0);
  HlipVit<3, float, B> trunk(config, init);
  const Group parameters(f, "param.");
  load_state_dict(trunk, parameters);

  const Var<float, B> classes = transpose(Var<float, B>(f.tensor<B>("input.class_embeddings")), 0,
                                          1);
  const double scale = f.scalar("input.logit_scale");
  HlipVitInput<B> input;
  input.scan_positions = scan_positions(f, 0);
  const auto found = interpret(
      trunk, f.tensor<B>("input.volume"),
      [&](const Var<float, B>& features) {
        return Var<float, B>(matmul(l2_normalize(features), classes) * scale);
      },
      size_at(j, "target", 0), input);
  f.compare("output.attn_prob", found.attention, forward);
  f.compare("output.attn_grad", found.gradient, gradient);
  f.compare("output.logits", found.logits, forward);
  f.compare("output.relevance", found.relevance, forward);
  const auto voxels = relevance_to_voxels(found.relevance, size);
  f.compare("output.upsampled", voxels, forward);
  const auto rows = displayed_slices(size[0] / config.patch_size[0], config.patch_size[0]);
  f.compare_exact("output.slice_rows", rows, {static_cast<index_t>(rows.size())});
  compare_slice_maps(f, voxels, rows);
}

}  // namespace golden
