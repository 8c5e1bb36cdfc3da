// A volume with its geometry and unit, and turning it to another anatomical orientation.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/tensor/check.hpp>
#include <hlip/tensor/tensor.hpp>

#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a voxel value means.
enum class Unit { unknown, stored, hounsfield };

constexpr std::string_view unit_name(Unit unit) {
  constexpr std::string_view names[] = {"unknown", "stored", "hounsfield"};
  return names[static_cast<int>(unit)];
}

/// 4 x 4 matrix from voxel index (i, j, k) to mm in RAS+ (right, anterior, superior). i counts
/// along the last axis (W), the fastest one, j along H, k along D: NIfTI's order.
using Affine = std::array<std::array<double, 4>, 4>;

inline constexpr Affine identity_affine = {
    {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}};

/// The affine of an axis-aligned grid: i to the right, j to the front, k to the head. @param
/// spacing (D, H, W) in mm
inline Affine scaling_affine(const std::array<double, 3>& spacing) {
  Affine a = identity_affine;
  for (std::size_t c = 0; c < 3; ++c) a[c][c] = spacing[2 - c];
  return a;
}

/// Distance between neighbouring voxels in mm, (D, H, W): the lengths of the affine's columns.
inline std::array<double, 3> spacing_of(const Affine& a) {
  std::array<double, 3> spacing{};
  for (std::size_t c = 0; c < 3; ++c)
    spacing[2 - c] = std::sqrt(a[0][c] * a[0][c] + a[1][c] * a[1][c] + a[2][c] * a[2][c]);
  return spacing;
}

/// One scan. `spacing` is that of `affine` in array order, as the file states it: a square root of
/// squares would make equal ones differ in the last digit.
struct Volume {
  Tensor<float, Cpu> voxels;  ///< (D, H, W)
  Affine affine = identity_affine;
  std::array<double, 3> spacing = {1, 1, 1};  ///< (D, H, W) in mm
  Unit unit = Unit::unknown;
  std::string source;  ///< file it came from
  /// false when the file gave spacing only: such a volume cannot be reoriented
  bool orientation_known = true;
  std::vector<std::string> warnings;  ///< what the reader had to repair or assume
};

/// Gives a volume another spacing (D, H, W) in mm: its affine is stretched along the voxel axes,
/// voxel (0, 0, 0) stays in place.
inline void set_spacing(Volume& volume, const std::array<double, 3>& spacing) {
  const auto old = spacing_of(volume.affine);
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t r = 0; r < 3; ++r) volume.affine[r][c] *= spacing[2 - c] / old[2 - c];
  volume.spacing = spacing;
}

namespace detail {

/// For each voxel axis c (i, j, k): the patient axis it follows most and its direction.
struct AxisDirections {
  std::array<int, 3> axis{};
  std::array<bool, 3> positive{};
};

// Takes the largest remaining direction cosine each time, so that every patient axis is used once
// even for oblique grids.
HLIP_LAZY AxisDirections axis_directions(std::string_view where, const Affine& a) {
  std::array<std::array<double, 3>, 3> cosine{};
  for (std::size_t c = 0; c < 3; ++c) {
    const double length = std::sqrt(a[0][c] * a[0][c] + a[1][c] * a[1][c] + a[2][c] * a[2][c]);
    if (!(length > 0) || !std::isfinite(length))
      fail(where, "the affine has no usable direction for voxel axis {}", "ijk"[c]);
    for (std::size_t r = 0; r < 3; ++r) cosine[r][c] = a[r][c] / length;
  }
  AxisDirections out;
  std::array<bool, 3> row_used{}, column_used{};
  for (int round = 0; round < 3; ++round) {
    std::size_t best_r = 0, best_c = 0;
    double best = -1;
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t r = 0; r < 3; ++r)
        if (!row_used[r] && !column_used[c] && std::abs(cosine[r][c]) > best) {
          best = std::abs(cosine[r][c]);
          best_r = r;
          best_c = c;
        }
    row_used[best_r] = column_used[best_c] = true;
    out.axis[best_c] = static_cast<int>(best_r);
    out.positive[best_c] = cosine[best_r][best_c] >= 0;
  }
  return out;
}

HLIP_LAZY AxisDirections parse_orientation(std::string_view code) {
  AxisDirections out;
  unsigned seen = 0;
  constexpr std::string_view positive = "RAS", negative = "LPI";
  for (std::size_t c = 0; c < 3 && code.size() == 3; ++c) {
    const auto p = positive.find(code[c]), n = negative.find(code[c]);
    if (p == positive.npos && n == negative.npos) break;
    out.positive[c] = p != positive.npos;
    out.axis[c] = static_cast<int>(out.positive[c] ? p : n);
    seen |= 1u << out.axis[c];
  }
  if (seen != 7)
    fail("reorient", "orientation \"{}\" is not three letters, one of each pair R/L, A/P, S/I",
         code);
  return out;
}

}  // namespace detail

/// Where i, j and k (W, H, D) lead, e.g. "LPS": i to the patient's left, j to the back, k to the
/// head. Oblique grids get the nearest code.
/// @throws hlip::error when an axis has no direction
inline std::string orientation_code(const Affine& affine) {
  const auto d = detail::axis_directions("orientation_code", affine);
  std::string code;
  for (std::size_t c = 0; c < 3; ++c) code += d.positive[c] ? "RAS"[d.axis[c]] : "LPI"[d.axis[c]];
  return code;
}

/// Orders and flips the axes so that i, j and k lead where `code` says. No value is interpolated;
/// every voxel keeps its place in mm.
/// @throws hlip::error for an impossible code or a volume whose orientation is unknown
HLIP_LAZY Volume reorient(const Volume& volume, std::string_view code) {
  expect_shape("reorient", "voxels", volume.voxels.shape(), {{"D"}, {"H"}, {"W"}});
  const auto want = detail::parse_orientation(code);
  if (!volume.orientation_known)
    fail("reorient",
         "{}: the file does not say how the volume lies in the patient; set orientation_known "
         "after checking",
         volume.source);
  const auto have = detail::axis_directions("reorient", volume.affine);
  Volume out = volume;
  Shape order{0, 0, 0};
  std::array<bool, 3> flip{};
  for (std::size_t c = 0; c < 3; ++c) {  // new voxel axis c is old voxel axis `from`
    std::size_t from = 0;
    while (have.axis[from] != want.axis[c]) ++from;
    flip[c] = have.positive[from] != want.positive[c];
    out.spacing[2 - c] = volume.spacing[2 - from];
    order[static_cast<int>(2 - c)] = static_cast<index_t>(2 - from);
    const double last = static_cast<double>(volume.voxels.shape()[static_cast<int>(2 - from)] - 1);
    for (std::size_t r = 0; r < 3; ++r) {
      out.affine[r][c] = flip[c] ? -volume.affine[r][from] : volume.affine[r][from];
      if (flip[c]) out.affine[r][3] += volume.affine[r][from] * last;
    }
  }
  const auto view = volume.voxels.permute(order);
  out.voxels = Tensor<float, Cpu>::empty(view.shape());
  const auto size = view.shape(), stride = view.strides();
  float* to = out.voxels.data();
  for (index_t k = 0; k < size[0]; ++k)
    for (index_t j = 0; j < size[1]; ++j) {
      const float* row = view.data() + (flip[2] ? size[0] - 1 - k : k) * stride[0] +
                         (flip[1] ? size[1] - 1 - j : j) * stride[1];
      for (index_t i = 0; i < size[2]; ++i)
        *to++ = row[(flip[0] ? size[2] - 1 - i : i) * stride[2]];
    }
  return out;
}

HLIP_END
