// Where a model looked in one CT for one finding: relevance per level of the hierarchy, a montage,
// and maps on the scan's own voxels. Source: reference document HLIP §8. Needs nlohmann_json, zlib
// and utf8proc.
#pragma once

#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/eval/zero_shot.hpp>
#include <hlip/imaging/ct_grid.hpp>
#include <hlip/imaging/nifti_write.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/models/interpret.hpp>
#include <hlip/report/montage.hpp>

#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// "slice", "scan" or "study" of an encoder with three levels.
inline std::string level_name(int level) {
  constexpr std::array<std::string_view, 3> names = {"slice", "scan", "study"};
  expect(level >= 1 && level <= 3, "level_name", "level {}, expected 1 to 3", level);
  return std::string(names[static_cast<std::size_t>(level - 1)]);
}

/// Relevance for a finding at every level some block attends at, the finest first. What is
/// explained is the finding's logit s·cos(image, positive prompt); the negative prompt has no part
/// in it, as published.
/// @param volume the network's input (D, H, W)  @param finding index among the classifier's classes
template <class B>
std::vector<MontageMap> relevance_by_level(const Clip<3, float, B>& model,
                                           const ZeroShotClassifier& classifier,
                                           const Tensor<float, Cpu>& volume, std::size_t finding) {
  const auto embedding = classifier.positive_embedding(finding);
  const std::vector<float> values(embedding.begin(), embedding.end());
  const Var<float, B> prompt(Tensor<float, B>::from_values({static_cast<index_t>(values.size()), 1},
                                                           std::span<const float>(values)));
  const auto logits = [&](const Var<float, B>& features) {
    return Var<float, B>(matmul(l2_normalize(model.visual.head.proj(features)), prompt) *
                         classifier.scale());
  };
  const Tensor<float, B> study = on_backend<B>(stack_volumes({volume}));
  std::vector<MontageMap> maps;
  for (int level = 1; level <= 3; ++level)
    if (last_block_of_level(model.config.vision, level) >= 0)
      maps.push_back(
          {level_name(level),
           on_backend<Cpu>(interpret(model.visual.trunk, study, logits, 0, {}, level).relevance)});
  return maps;
}

/// The montage of one CT. @param volume the network's input (D, H, W)  @param p of the classifier,
/// for every class
/// @param slice_numbers as scan_slices says, or none
HLIP_LAZY Montage ct_montage(const ZeroShotClassifier& classifier, const std::vector<double>& p,
                             std::size_t finding, const Tensor<float, Cpu>& volume,
                             const CtPreset& preset, std::vector<MontageMap> maps,
                             const MontageView& view, std::vector<index_t> slice_numbers = {}) {
  Montage m;
  m.title = fmt::format("relevance for {}: {:.3f}", classifier.classes()[finding].name, p[finding]);
  m.subtitle = "for research only; synthetic or random weights say nothing about patients";
  m.grey = Tensor<float, Cpu>(volume * preset.std + preset.mean)
               .reshape({1, volume.dim(0), volume.dim(1), volume.dim(2)});
  m.maps = std::move(maps);
  for (std::size_t i = 0; i < p.size(); ++i)
    m.scores.push_back({classifier.classes()[i].name, p[i], i == finding});
  m.view = view;
  m.slice_numbers = std::move(slice_numbers);
  return m;
}

/// Writes a map over the voxels of the scan it was made from, so that a viewer lays it over the
/// file: 1 where relevance is highest, 0 where the scan was cropped away. Stored as bytes, in steps
/// of 1/255.
/// @param relevance (1, d, h, w)  @param frame geometry of the scan (its voxels are not needed)
HLIP_LAZY void write_relevance(const std::string& path, const Tensor<float, Cpu>& relevance,
                               const Shape& patch_size, const CtInputGrid& grid,
                               const Volume& frame) {
  const auto map = patches_to_scan(relevance.select(0, 0), patch_size, grid);
  const float largest = max(map).item(), factor = largest > 0 ? 255 / largest : 0;
  std::vector<std::uint8_t> stored(static_cast<std::size_t>(map.numel()));
  for (std::size_t i = 0; i < stored.size(); ++i)
    stored[i] = static_cast<std::uint8_t>(std::lround(map.data()[i] * factor));
  write_nifti<std::uint8_t>(path, stored, map.shape(), frame.affine, 1.0 / 255);
}

HLIP_END
