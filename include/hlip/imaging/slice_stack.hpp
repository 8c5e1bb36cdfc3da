// From slices with positions in the patient to one volume: their order, the affine, and why they
// are none. Knows no file format.
#pragma once

#include <hlip/imaging/volume.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

HLIP_BEGIN

/// One slice as DICOM describes it: lengths in mm, x to the patient's left, y to the back, z to the
/// head.
struct SlicePlane {
  std::string name;                            ///< file (and frame), for messages
  std::array<double, 3> position = {0, 0, 0};  ///< centre of the first pixel
  /// unit vectors: to the next column, to the next row
  std::array<double, 3> along_row = {1, 0, 0}, along_column = {0, 1, 0};
  std::array<double, 2> spacing = {1, 1};  ///< between rows, between columns
};

/// Slices in order. k (D) runs along along_row x along_column: from the feet to the head for an
/// axial scan of a supine patient.
struct SliceStack {
  std::vector<std::size_t> order;  ///< of the planes given
  Affine affine = identity_affine;
  /// (D, H, W) in mm: in plane as PixelSpacing says, between slices to a millionth, so that equal
  /// ones are equal
  std::array<double, 3> spacing = {1, 1, 1};
};

namespace detail {

using Vector3 = std::array<double, 3>;
inline double dot(const Vector3& a, const Vector3& b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
inline Vector3 cross(const Vector3& a, const Vector3& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
inline Vector3 minus(const Vector3& a, const Vector3& b) {
  return {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
}

HLIP_LAZY void check_plane(const SlicePlane& p, const SlicePlane& first) {
  const auto& u = p.along_row;
  const auto& v = p.along_column;
  if (!(std::abs(dot(u, u) - 1) < 0.02 && std::abs(dot(v, v) - 1) < 0.02 &&
        std::abs(dot(u, v)) < 0.01))
    fail_file(p.name, "ImageOrientationPatient",
              "({}, {}, {}) and ({}, {}, {}) are not perpendicular unit vectors", u[0], u[1], u[2],
              v[0], v[1], v[2]);
  for (const double s : p.spacing)
    if (!(s > 0 && s <= 1000))
      fail_file(p.name, "PixelSpacing", "is {} x {} mm, expected sizes above 0 and up to 1000",
                p.spacing[0], p.spacing[1]);
  for (const double x : p.position)
    if (!(std::abs(x) <= 1e5))
      fail_file(p.name, "ImagePositionPatient", "({}, {}, {}) mm is no place in a scanner",
                p.position[0], p.position[1], p.position[2]);
  if (!(dot(u, first.along_row) > 0.9999 && dot(v, first.along_column) > 0.9999))
    fail_file(p.name, "ImageOrientationPatient",
              "its plane is turned against that of {}: these are not slices of one volume",
              first.name);
  for (std::size_t k = 0; k < 2; ++k)
    if (std::abs(p.spacing[k] - first.spacing[k]) > 0.001 * first.spacing[k])
      fail_file(p.name, "PixelSpacing", "is {} x {} mm, but {} x {} in {}", p.spacing[0],
                p.spacing[1], first.spacing[0], first.spacing[1], first.name);
}

}  // namespace detail

/// Puts slices in the order of their positions along the normal of their plane; names and numbers
/// play no part. Refused, because a regular grid would be a guess: planes that are not parallel,
/// two slices at one place, a slice that is missing, uneven spacing (beyond a twentieth), slices
/// that are shifted against each other, and a stack that leans (gantry tilt, beyond half a degree).
/// @param planes of one volume, all with the same numbers of rows and columns, in any order
/// @param thickness distance to assume for a single slice, mm
/// @throws hlip::error naming the slice and the fault
HLIP_LAZY SliceStack stack_slices(const std::vector<SlicePlane>& planes, double thickness = 1) {
  // One function: the conditions that make slices a stack, one after the other.
  using namespace detail;
  if (planes.empty()) fail("stack_slices", "there are no slices");
  const SlicePlane& first = planes.front();
  for (const auto& p : planes) check_plane(p, first);
  const Vector3 normal = cross(first.along_row, first.along_column);
  SliceStack out;
  out.order.resize(planes.size());
  std::iota(out.order.begin(), out.order.end(), std::size_t{0});
  std::stable_sort(out.order.begin(), out.order.end(), [&](std::size_t a, std::size_t b) {
    return dot(planes[a].position, normal) < dot(planes[b].position, normal);
  });
  const auto plane = [&](std::size_t k) -> const SlicePlane& { return planes[out.order[k]]; };

  const std::size_t n = planes.size();
  Vector3 step = {normal[0] * thickness, normal[1] * thickness, normal[2] * thickness};
  if (n > 1) {
    std::vector<double> gaps;
    for (std::size_t k = 1; k < n; ++k)
      gaps.push_back(dot(minus(plane(k).position, plane(k - 1).position), normal));
    std::vector<double> sorted = gaps;
    std::nth_element(sorted.begin(),
                     sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
    const double usual = sorted[sorted.size() / 2];
    for (std::size_t k = 1; k < n; ++k)
      if (gaps[k - 1] < 0.01 || gaps[k - 1] < 0.01 * usual)
        fail_file(plane(k).name, "ImagePositionPatient", "is at the same place as {}: {}",
                  plane(k - 1).name,
                  2 * std::count_if(gaps.begin(), gaps.end(), [](double g) { return g < 0.01; }) >=
                          static_cast<std::ptrdiff_t>(n) / 2
                      ? "the folder holds several volumes (phases, echoes or a copy)"
                      : "a slice is there twice");
    for (std::size_t k = 1; k < n; ++k) {
      const double ratio = gaps[k - 1] / usual, whole = std::nearbyint(ratio);
      if (std::abs(ratio - 1) <= 0.05) continue;
      const auto irregular = std::count_if(
          gaps.begin(), gaps.end(), [&](double g) { return std::abs(g / usual - 1) > 0.05; });
      if (irregular * 10 <= static_cast<std::ptrdiff_t>(n) && whole >= 2 &&
          std::abs(ratio - whole) <= 0.05 * whole)
        fail_file(plane(k).name, "ImagePositionPatient",
                  "is {:.6g} mm from {}, {} times the usual {:.6g} mm: {} missing between them",
                  gaps[k - 1], plane(k - 1).name, whole, usual,
                  whole == 2 ? "a slice is" : "slices are");
      fail_file(plane(k).name, "ImagePositionPatient",
                "is {:.6g} mm from {}, but {:.6g} mm is usual here: the slices are unevenly spaced "
                "({} of {} distances); a regular grid would put them in wrong places",
                gaps[k - 1], plane(k - 1).name, usual, irregular, gaps.size());
    }
    const Vector3 total = minus(plane(n - 1).position, plane(0).position);
    for (std::size_t c = 0; c < 3; ++c) step[c] = total[c] / static_cast<double>(n - 1);
    // Measured by the angle and, because positions are rounded, by what it amounts to.
    const double along = dot(step, normal), length = std::sqrt(dot(step, step)),
                 lean = std::acos(std::min(1.0, along / length)) * 57.29577951308232;
    const double sideways = std::sqrt(
        std::max(0.0, dot(total, total) - dot(total, normal) * dot(total, normal)));
    if (lean > 0.5 && sideways > 0.5)
      fail_file(plane(n - 1).name, "ImagePositionPatient",
                "the stack leans by {:.3g} degrees (gantry tilt): its last slice lies {:.3g} mm "
                "beside the first; resample it to a straight grid first, for example with dcm2niix",
                lean, sideways);
    for (std::size_t k = 1; k < n; ++k) {
      Vector3 off{};
      for (std::size_t c = 0; c < 3; ++c)
        off[c] = plane(k).position[c] - plane(0).position[c] - step[c] * static_cast<double>(k);
      const double across = dot(off, normal),
                   beside = std::sqrt(std::max(0.0, dot(off, off) - across * across));
      if (beside > std::max(0.5, std::min(first.spacing[0], first.spacing[1])))
        fail_file(plane(k).name, "ImagePositionPatient",
                  "lies {:.3g} mm beside the line of the other slices", beside);
    }
  }
  const double lps_to_ras[] = {-1, -1, 1};
  for (std::size_t r = 0; r < 3; ++r) {
    out.affine[r][0] = lps_to_ras[r] * first.along_row[r] * first.spacing[1];
    out.affine[r][1] = lps_to_ras[r] * first.along_column[r] * first.spacing[0];
    out.affine[r][2] = lps_to_ras[r] * step[r];
    out.affine[r][3] = lps_to_ras[r] * plane(0).position[r];
  }
  out.spacing = {std::nearbyint(1e6 * std::sqrt(dot(step, step))) / 1e6, first.spacing[0],
                 first.spacing[1]};
  return out;
}

HLIP_END
