// Overlap of masks, image by image and class by class, and how such numbers are summed up.
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

/// How values lie: their mean, and the square root of their mean squared distance from it.
struct MeanSd {
  double mean = not_a_number, sd = not_a_number;
};

/// Mean and standard deviation of the values that are numbers, of the values themselves (divided by
/// n), not of a population they were drawn from (n - 1).
/// @return NaN if there are none
inline MeanSd mean_sd(std::span<const double> values) {
  MeanSd out{mean_without_nan(values), not_a_number};
  double squares = 0;
  std::int64_t count = 0;
  for (const double v : values)
    if (!std::isnan(v)) squares += (v - out.mean) * (v - out.mean), ++count;
  if (count > 0) out.sd = std::sqrt(squares / static_cast<double>(count));
  return out;
}

HLIP_END
