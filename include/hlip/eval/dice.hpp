// Overlap of masks, image by image and class by class.
#pragma once

#include <hlip/eval/auc.hpp>

HLIP_BEGIN

/// 2·|A and B| / (|A| + |B|). Two empty masks agree: 1. One that is empty and one that is not share
/// nothing: 0.
/// @param predicted, target one element for each pixel, 0 outside of the mask
/// @throws hlip::error if the lengths differ
inline double dice(std::span<const std::uint8_t> predicted, std::span<const std::uint8_t> target) {
  expect(predicted.size() == target.size(), "dice", "predicted has {} pixels, target {}",
         predicted.size(), target.size());
  std::int64_t both = 0, sum = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    both += predicted[i] != 0 && target[i] != 0;
    sum += (predicted[i] != 0) + (target[i] != 0);
  }
  return sum == 0 ? 1 : 2 * static_cast<double>(both) / static_cast<double>(sum);
}

/// Dice of every image and class.
/// @param predicted, target row-major (images, classes, pixels)  @return row-major (images,
/// classes)
/// @throws hlip::error if the sizes do not fit
inline std::vector<double> dice_per_image(std::span<const std::uint8_t> predicted,
                                          std::span<const std::uint8_t> target,
                                          std::int64_t pixels) {
  expect(pixels > 0 && predicted.size() == target.size() &&
             predicted.size() % static_cast<std::size_t>(pixels) == 0,
         "dice", "predicted has {} pixels, target {}, expected as many and masks of {}",
         predicted.size(), target.size(), pixels);
  const auto size = static_cast<std::size_t>(pixels);
  std::vector<double> out;
  for (std::size_t at = 0; at < predicted.size(); at += size)
    out.push_back(dice(predicted.subspan(at, size), target.subspan(at, size)));
  return out;
}

HLIP_END
