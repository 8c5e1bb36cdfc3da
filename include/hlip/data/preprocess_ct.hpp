// From a CT volume to the network's input: Hounsfield units, spacing, window, size. One preset names all choices.
#pragma once

#include <hlip/data/volume.hpp>
#include <hlip/ops/interpolate.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

HLIP_BEGIN

/// How a volume is brought to the input size: padded and cropped about its centre, or stretched.
enum class FitMode { crop, resize };

/// All choices between a scan in HU and the network. The defaults are HLIP's for chest CT.
struct CtPreset {
  std::array<double, 3> spacing = {3, 1, 1};       ///< (D, H, W) in mm
  std::array<double, 2> window_hu = {-1150, 350};  ///< becomes 0 … 1, clipped
  std::array<index_t, 3> size = {112, 336, 336};   ///< (D, H, W) voxels
  FitMode mode = FitMode::crop;
  double mean = 0.449, std = 0.226;
  bool already_hu = false;  ///< stored values are HU: slope and intercept are not applied
  friend bool operator==(const CtPreset&, const CtPreset&) = default;
};

/// The preset in one readable line: "spacing=3,1,1 window_hu=-1150,350 size=112,336,336 mode=crop mean=0.449 std=0.226 already_hu=no"
inline std::string to_string(const CtPreset& p) {
  return fmt::format("spacing={},{},{} window_hu={},{} size={},{},{} mode={} mean={} std={} already_hu={}", p.spacing[0], p.spacing[1], p.spacing[2], p.window_hu[0], p.window_hu[1], p.size[0],
                     p.size[1], p.size[2], p.mode == FitMode::crop ? "crop" : "resize", p.mean, p.std, p.already_hu ? "yes" : "no");
}

/// Throws unless the preset can be carried out.
inline void check_preset(const CtPreset& p) {
  for (std::size_t d = 0; d < 3; ++d) {
    if (!(p.spacing[d] >= 0.01 && p.spacing[d] <= 1000)) fail("ct preset", "spacing {} mm, expected 0.01 to 1000", p.spacing[d]);
    if (p.size[d] < 1 || p.size[d] > 4096) fail("ct preset", "size {}, expected 1 to 4096", p.size[d]);
  }
  if (!(p.window_hu[0] < p.window_hu[1]) || !std::isfinite(p.window_hu[0]) || !std::isfinite(p.window_hu[1])) fail("ct preset", "window_hu {},{} is empty", p.window_hu[0], p.window_hu[1]);
  if (!(p.std > 0) || !std::isfinite(p.std) || !std::isfinite(p.mean)) fail("ct preset", "mean {} and std {} cannot normalise", p.mean, p.std);
}

namespace detail {

inline double preset_number(std::string_view key, std::string_view text) {
  double value = 0;
  std::size_t used = 0;
  try {
    value = std::stod(std::string(text), &used);
  } catch (const std::exception&) {
    used = std::string_view::npos;
  }
  if (used != text.size()) fail("ct preset", "{} is \"{}\", expected a number", key, text);
  return value;
}

template <class T, std::size_t N>
void preset_list(std::string_view key, std::string_view text, std::array<T, N>& out) {
  for (std::size_t i = 0; i < N; ++i) {
    const auto comma = text.find(',');
    if ((comma == text.npos) != (i + 1 == N)) fail("ct preset", "{} needs {} numbers", key, N);
    const double value = preset_number(key, text.substr(0, comma));
    if constexpr (std::is_integral_v<T>)
      if (!(std::abs(value) < 1e6) || value != std::floor(value)) fail("ct preset", "{} holds {}, expected whole numbers", key, value);
    out[i] = static_cast<T>(value);
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  }
}

}  // namespace detail

/// Reads what `to_string` writes; choices that are not named keep their defaults. @throws hlip::error for unknown names and impossible values
inline CtPreset parse_ct_preset(std::string_view text) {
  CtPreset p;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    const auto equals = word.find('=');
    if (equals == word.npos) fail("ct preset", "\"{}\" is not name=value", word);
    const auto key = word.substr(0, equals), value = word.substr(equals + 1);
    if (key == "spacing") detail::preset_list(key, value, p.spacing);
    else if (key == "window_hu") detail::preset_list(key, value, p.window_hu);
    else if (key == "size") detail::preset_list(key, value, p.size);
    else if (key == "mean") p.mean = detail::preset_number(key, value);
    else if (key == "std") p.std = detail::preset_number(key, value);
    else if (key == "mode" && (value == "crop" || value == "resize")) p.mode = value == "crop" ? FitMode::crop : FitMode::resize;
    else if (key == "already_hu" && (value == "yes" || value == "no")) p.already_hu = value == "yes";
    else fail("ct preset", "\"{}\" is not understood; names are spacing, window_hu, size, mode=crop|resize, mean, std, already_hu=yes|no", word);
  }
  check_preset(p);
  return p;
}

/// Turns stored values into HU: value * slope + intercept. NaN and -infinity become air (-1024), +infinity 3071, with a warning.
/// @param volume unit `stored` or `unknown`; @return the same geometry in HU
/// @throws hlip::error when the volume is in HU already: applying the values twice is the commonest mistake with CT files
inline Volume to_hounsfield(Volume volume, double slope, double intercept) {
  if (volume.unit == Unit::hounsfield) fail("to_hounsfield", "{}: the volume is in HU already", volume.source);
  if (!std::isfinite(slope) || slope == 0 || !std::isfinite(intercept)) fail("to_hounsfield", "{}: slope {} and intercept {} give no HU", volume.source, slope, intercept);
  const auto in = volume.voxels.contiguous();
  const bool plain = slope == 1 && intercept == 0;
  auto out = Tensor<float, Cpu>::empty(in.shape());
  index_t odd = 0;
  for (index_t i = 0; i < in.numel(); ++i) {
    float v = in.data()[i];
    if (!plain) v = static_cast<float>(static_cast<double>(v) * slope + intercept);
    if (!std::isfinite(v)) {
      ++odd;
      v = v > 0 ? 3071.f : -1024.f;
    }
    out.data()[i] = v;
  }
  if (odd > 0) volume.warnings.push_back(fmt::format("{} voxels are not finite and were replaced", odd));
  volume.voxels = out;
  volume.unit = Unit::hounsfield;
  return volume;
}

/// Voxels per axis at another spacing: trunc(length * spacing / target).
/// @param shape (D, H, W); @param spacing @param target mm, (D, H, W)
/// @throws hlip::error when an axis would vanish or the result exceed 2^31 voxels
inline std::array<index_t, 3> resampled_size(const Shape& shape, const std::array<double, 3>& spacing, const std::array<double, 3>& target) {
  std::array<index_t, 3> size{};
  double total = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    const double length = static_cast<double>(shape[static_cast<int>(d)]) * spacing[d] / target[d];
    total *= length;
    if (!(length >= 1) || !(total < 0x1p31))
      fail("resample", "{} voxels of {} x {} x {} mm cannot be brought to {} x {} x {} mm; is the spacing right?", to_string(shape), spacing[0], spacing[1], spacing[2], target[0], target[1], target[2]);
    size[d] = static_cast<index_t>(length);
  }
  return size;
}

/// Resamples to another spacing: trilinear, half-pixel, no antialiasing, source coordinates in float as the reference.
/// @param volume any unit; @param target (D, H, W) in mm
/// @return its spacing is length * spacing / new length, which the truncated length makes a little larger than the target
inline Volume resample_to_spacing(Volume volume, const std::array<double, 3>& target) {
  expect_shape("resample_to_spacing", "voxels", volume.voxels.shape(), {{"D"}, {"H"}, {"W"}});
  const auto size = resampled_size(volume.voxels.shape(), volume.spacing, target);
  std::array<double, 3> step{};
  for (std::size_t d = 0; d < 3; ++d) step[d] = static_cast<double>(volume.voxels.shape()[static_cast<int>(d)]) / static_cast<double>(size[d]);
  for (std::size_t c = 0; c < 3; ++c)  // new voxel i lies at old index (i + 1/2) * step - 1/2
    for (std::size_t r = 0; r < 3; ++r) {
      volume.affine[r][3] += volume.affine[r][c] * 0.5 * (step[2 - c] - 1);
      volume.affine[r][c] *= step[2 - c];
    }
  for (std::size_t d = 0; d < 3; ++d) volume.spacing[d] *= step[d];
  volume.voxels = interpolate(volume.voxels, std::span<const index_t>(size), Interpolation::linear);
  return volume;
}

/// Pads each axis with `value` (the extra voxel at the end) and crops it about the centre (start floor((length - size) / 2)).
/// @param x (D, H, W); @return (size)
inline Tensor<float, Cpu> pad_or_crop(const Tensor<float, Cpu>& x, const std::array<index_t, 3>& size, float value) {
  expect_shape("pad_or_crop", "x", x.shape(), {{"D"}, {"H"}, {"W"}});
  auto out = Tensor<float, Cpu>::full({size[0], size[1], size[2]}, value);
  Tensor<float, Cpu> from = x, to = out;
  for (int d = 0; d < 3; ++d) {
    const index_t have = x.shape()[d], want = size[static_cast<std::size_t>(d)];
    if (have > want) from = from.slice(d, (have - want) / 2, (have - want) / 2 + want);
    else to = to.slice(d, (want - have) / 2, (want - have) / 2 + have);
  }
  to.assign(from);
  return out;
}

/// From HU at the preset's spacing to the network's input: window to 0 … 1, fit to size (padding is 0, the window's lower end), normalise.
/// @param hu (D, H, W), any size; @return (preset.size)
/// Source: HLIP, training and evaluation transform of chest CT.
inline Tensor<float, Cpu> ct_network_input(const Tensor<float, Cpu>& hu, const CtPreset& preset) {
  expect_shape("ct_network_input", "hu", hu.shape(), {{"D"}, {"H"}, {"W"}});
  const auto low = static_cast<float>(preset.window_hu[0]), range = static_cast<float>(preset.window_hu[1] - preset.window_hu[0]);
  const auto mean = static_cast<float>(preset.mean), std = static_cast<float>(preset.std);
  const auto window = [&](Tensor<float, Cpu> x) {
    float* v = x.data();
    for (index_t i = 0; i < x.numel(); ++i) v[i] = v[i] > low ? std::min((v[i] - low) / range, 1.f) : 0.f;  // NaN becomes 0, too
    return x;
  };
  // Cropping first windows fewer voxels; padding with the lower end is the zero padding after windowing.
  auto x = preset.mode == FitMode::crop ? window(pad_or_crop(hu, preset.size, low)) : interpolate(window(hu.clone()), std::span<const index_t>(preset.size), Interpolation::linear);
  float* v = x.data();
  for (index_t i = 0; i < x.numel(); ++i) v[i] = (v[i] - mean) / std;
  return x;
}

/// A whole scan in HU to the network's input: resample, window, fit, normalise.
/// @throws hlip::error when the volume is not in HU
inline Tensor<float, Cpu> preprocess_ct(const Volume& volume, const CtPreset& preset) {
  if (volume.unit != Unit::hounsfield) fail("preprocess_ct", "{}: values are {}, expected HU; call to_hounsfield first", volume.source, unit_name(volume.unit));
  return ct_network_input(resample_to_spacing(volume, preset.spacing).voxels, preset);
}

HLIP_END
