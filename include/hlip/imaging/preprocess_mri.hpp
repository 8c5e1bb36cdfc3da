// From an MRI scan to the network's input: slices first, percentile scaling, square padding, size.
#pragma once

#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/imaging/preset_text.hpp>
#include <hlip/imaging/volume.hpp>
#include <hlip/ops/interpolate.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// The axis between slices: the one with the largest spacing, the first of equals. Volume::spacing
/// is what to give: lengths computed from an affine are hardly ever equal.
inline int slice_axis(const std::array<double, 3>& spacing) {
  return static_cast<int>(std::max_element(spacing.begin(), spacing.end()) - spacing.begin());
}

/// Puts the slice axis first and keeps the order of the others: axial (z, y, x), coronal (y, z, x),
/// sagittal (x, z, y).
/// @param x (z, y, x) of a volume oriented RPI; @param spacing in the same order, mm
HLIP_LAZY Tensor<float, Cpu> slices_first(const Tensor<float, Cpu>& x,
                                          const std::array<double, 3>& spacing) {
  expect_shape("slices_first", "x", x.shape(), {{"z"}, {"y"}, {"x"}});
  const int axis = slice_axis(spacing);
  Shape order{axis};
  for (int d = 0; d < 3; ++d)
    if (d != axis) order.push_back(d);
  return x.permute(order).contiguous();
}

/// The q-th percentile (0 … 100), interpolated linearly between order statistics. Reorders
/// `values`. @throws hlip::error for no values
HLIP_LAZY float percentile(std::vector<float>& values, double q) {
  if (values.empty()) fail("percentile", "there are no values");
  const double at = q / 100 * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)];
  if (at == static_cast<double>(below)) return static_cast<float>(low);
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return static_cast<float>(low + (high - low) * (at - static_cast<double>(below)));
}

/// Clips to the 0.5 and 99.5 percentiles and scales to 0 … 1; a constant image becomes 0. Voxels
/// that are not finite count as the lowest. Source: HLIP's preparation of the public brain MRI
/// sets.
HLIP_LAZY Tensor<float, Cpu> scale_by_percentiles(const Tensor<float, Cpu>& x) {
  auto out = x.clone();
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(out.numel()));
  for (index_t i = 0; i < out.numel(); ++i)
    if (std::isfinite(out.data()[i])) values.push_back(out.data()[i]);
  if (values.empty()) fail("scale_by_percentiles", "no voxel is finite");
  const float low = percentile(values, 0.5), high = percentile(values, 99.5),
              range = high - low + 1e-8f;
  for (index_t i = 0; i < out.numel(); ++i) {
    float& v = out.data()[i];
    v = std::isfinite(v) ? (std::clamp(v, low, high) - low) / range : 0.f;
  }
  return out;
}

/// What a network for brain MRI is fed. The defaults are those of HLIP's evaluation; training used
/// 48 slices.
struct MriPreset {
  index_t num_slices = 144, resize = 256, crop = 224;
  double mean = 0.449, std = 0.226;
  friend bool operator==(const MriPreset&, const MriPreset&) = default;
};

/// The preset of a network whose input is (slices, size, size) voxels: a margin of one in sixteen
/// is cut away on each side, as 224 of 256.
inline MriPreset mri_preset(index_t slices, index_t size) {
  return {slices, size + 2 * (size / 14), size};
}

/// The preset in one readable line: "mri num_slices=48 resize=256 crop=224 mean=0.449 std=0.226"
HLIP_LAZY std::string to_string(const MriPreset& p) {
  return fmt::format("mri num_slices={} resize={} crop={} mean={} std={}", p.num_slices, p.resize,
                     p.crop, p.mean, p.std);
}

/// Throws unless the preset can be carried out.
HLIP_LAZY void check_preset(const MriPreset& p) {
  if (p.crop < 1 || p.crop > p.resize || p.resize > 4096 || p.num_slices < 1 || p.num_slices > 4096)
    fail("mri preset", "cannot crop {} from {} and make {} slices", p.crop, p.resize, p.num_slices);
  if (!(p.std > 0) || !std::isfinite(p.std) || !std::isfinite(p.mean))
    fail("mri preset", "mean {} and std {} cannot normalise", p.mean, p.std);
}

/// Reads what `to_string` writes. @throws hlip::error for unknown names and impossible values
HLIP_LAZY MriPreset parse_mri_preset(std::string_view text) {
  MriPreset p;
  if (text == "mri" || text.starts_with("mri ")) text.remove_prefix(3);
  each_preset_entry("mri preset", text, [&](const PresetEntry& entry) {
    if (entry.name == "num_slices") entry.whole(p.num_slices);
    else if (entry.name == "resize") entry.whole(p.resize);
    else if (entry.name == "crop") entry.whole(p.crop);
    else if (entry.name == "mean") p.mean = entry.number();
    else if (entry.name == "std") p.std = entry.number();
    else entry.refuse("num_slices, resize, crop, mean, std");
  });
  check_preset(p);
  return p;
}

/// Brings a scan to a number of slices: each is the nearest one there is. @param x (slices, rows,
/// columns)
HLIP_LAZY Tensor<float, Cpu> fit_slices(const Tensor<float, Cpu>& x, index_t slices) {
  if (x.dim(0) == slices) return x;
  return resample(x, 0, resample_weights<float>(x.dim(0), slices, Interpolation::nearest_exact),
                  slices);
}

/// Pads the shorter side of each slice with 0 to a square, resizes in plane (bilinear) and in depth
/// (nearest), cuts out the middle.
/// @param x (slices, rows, columns), 0 … 1; @return (num_slices, crop, crop), 0 … 1
/// Source: HLIP, evaluation on Pub-Brain-5.
HLIP_LAZY Tensor<float, Cpu> fit_mri(const Tensor<float, Cpu>& x, const MriPreset& preset) {
  expect_shape("fit_mri", "x", x.shape(), {{"slices"}, {"rows"}, {"columns"}});
  check_preset(preset);
  const index_t side = std::max(x.shape()[1], x.shape()[2]),
                margin = (preset.resize - preset.crop) / 2;
  auto y = pad_or_crop(x, {x.shape()[0], side, side}, 0.f);
  // Depth first: fewer or equal slices to resize in plane when it shrinks; the two steps act on
  // different axes.
  y = interpolate(fit_slices(y, preset.num_slices), {preset.resize, preset.resize},
                  Interpolation::linear);
  return y.slice(1, margin, margin + preset.crop)
      .slice(2, margin, margin + preset.crop)
      .contiguous();
}

/// 0 … 1 to what the network was trained on, in place.
HLIP_LAZY void normalise_mri(const Tensor<float, Cpu>& x, const MriPreset& preset) {
  const auto mean = static_cast<float>(preset.mean), std = static_cast<float>(preset.std);
  for (index_t i = 0; i < x.numel(); ++i) x.data()[i] = (x.data()[i] - mean) / std;
}

/// fit_mri and normalise_mri. @param x (slices, rows, columns), 0 … 1; @return (num_slices, crop,
/// crop)
HLIP_LAZY Tensor<float, Cpu> mri_network_input(const Tensor<float, Cpu>& x,
                                               const MriPreset& preset = {}) {
  const auto y = fit_mri(x, preset);
  normalise_mri(y, preset);
  return y;
}

/// The slices of a scan and how they lie.
struct MriSlices {
  Tensor<float, Cpu> voxels;          ///< (slices, rows, columns)
  std::string_view view;              ///< "axial", "coronal" or "sagittal"
  std::vector<std::string> warnings;  ///< what the reader had to repair, assume or choose
};

/// A scan turned to RPI with its slices first; values stay as they are.
/// @param keep_axes for sets that are axial throughout (BraTS): the axis between slices is not
/// looked for
/// @throws hlip::error when the orientation is unknown
HLIP_LAZY MriSlices mri_slices(const Volume& scan, bool keep_axes = false) {
  constexpr std::string_view views[] = {"axial", "coronal", "sagittal"};
  const Volume turned = reorient(scan, "RPI");
  if (keep_axes) return {turned.voxels, views[0], scan.warnings};
  return {slices_first(turned.voxels, turned.spacing), views[slice_axis(turned.spacing)],
          scan.warnings};
}

HLIP_END
