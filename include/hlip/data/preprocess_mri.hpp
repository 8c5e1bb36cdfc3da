// From an MRI scan to the network's input: slices first, percentile scaling, square padding, size.
#pragma once

#include <hlip/data/preprocess_ct.hpp>
#include <hlip/data/volume.hpp>
#include <hlip/ops/interpolate.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

HLIP_BEGIN

/// The axis between slices: the one with the largest spacing, the first of equals.
inline int slice_axis(const std::array<double, 3>& spacing) { return static_cast<int>(std::max_element(spacing.begin(), spacing.end()) - spacing.begin()); }

/// Puts the slice axis first and keeps the order of the others: axial (z, y, x), coronal (y, z, x), sagittal (x, z, y).
/// @param x (z, y, x) of a volume oriented RPI; @param spacing in the same order, mm
HLIP_LAZY Tensor<float, Cpu> slices_first(const Tensor<float, Cpu>& x, const std::array<double, 3>& spacing) {
  expect_shape("slices_first", "x", x.shape(), {{"z"}, {"y"}, {"x"}});
  const int axis = slice_axis(spacing);
  Shape order{axis};
  for (int d = 0; d < 3; ++d)
    if (d != axis) order.push_back(d);
  return x.permute(order).contiguous();
}

/// The q-th percentile (0 … 100), interpolated linearly between order statistics. Reorders `values`. @throws hlip::error for no values
inline float percentile(std::vector<float>& values, double q) {
  if (values.empty()) fail("percentile", "there are no values");
  const double at = q / 100 * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)];
  if (at == static_cast<double>(below)) return static_cast<float>(low);
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return static_cast<float>(low + (high - low) * (at - static_cast<double>(below)));
}

/// Clips to the 0.5 and 99.5 percentiles and scales to 0 … 1; a constant image becomes 0. Voxels that are not finite count as the lowest.
/// Source: HLIP's preparation of the public brain MRI sets.
HLIP_LAZY Tensor<float, Cpu> scale_by_percentiles(const Tensor<float, Cpu>& x) {
  auto out = x.clone();
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(out.numel()));
  for (index_t i = 0; i < out.numel(); ++i)
    if (std::isfinite(out.data()[i])) values.push_back(out.data()[i]);
  if (values.empty()) fail("scale_by_percentiles", "no voxel is finite");
  const float low = percentile(values, 0.5), high = percentile(values, 99.5), range = high - low + 1e-8f;
  for (index_t i = 0; i < out.numel(); ++i) {
    float& v = out.data()[i];
    v = std::isfinite(v) ? (std::clamp(v, low, high) - low) / range : 0.f;
  }
  return out;
}

/// What the evaluation of brain MRI feeds the network.
struct MriPreset {
  index_t num_slices = 144, resize = 256, crop = 224;
  double mean = 0.449, std = 0.226;
};

/// Pads the shorter side of each slice with 0 to a square, resizes in plane (bilinear) and in depth (nearest), cuts out the middle,
/// normalises.
/// @param x (slices, rows, columns), 0 … 1; @return (num_slices, crop, crop)
/// Source: HLIP, evaluation on Pub-Brain-5.
HLIP_LAZY Tensor<float, Cpu> mri_network_input(const Tensor<float, Cpu>& x, const MriPreset& preset = {}) {
  expect_shape("mri_network_input", "x", x.shape(), {{"slices"}, {"rows"}, {"columns"}});
  expect(preset.crop >= 1 && preset.crop <= preset.resize && preset.resize <= 4096 && preset.num_slices >= 1, "mri_network_input", "cannot crop {} from {}", preset.crop, preset.resize);
  const index_t side = std::max(x.shape()[1], x.shape()[2]), margin = (preset.resize - preset.crop) / 2;
  auto y = pad_or_crop(x, {x.shape()[0], side, side}, 0.f);
  // Depth first: fewer or equal slices to resize in plane when it shrinks; the two steps act on different axes.
  y = resample(y, 0, resample_weights<float>(y.shape()[0], preset.num_slices, Interpolation::nearest_exact), preset.num_slices);
  y = interpolate(y, {preset.resize, preset.resize}, Interpolation::linear);
  y = y.slice(1, margin, margin + preset.crop).slice(2, margin, margin + preset.crop).contiguous();
  const auto mean = static_cast<float>(preset.mean), std = static_cast<float>(preset.std);
  for (index_t i = 0; i < y.numel(); ++i) y.data()[i] = (y.data()[i] - mean) / std;
  return y;
}

HLIP_END
