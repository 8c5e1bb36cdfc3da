// Where the voxels of a NIfTI file lie: which of its three descriptions is used, and what happens
// when one is broken.
#pragma once

#include <hlip/imaging/volume.hpp>

#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Geometry of a NIfTI file. The rule: sform when its code is set, else qform when its code is set,
/// else pixdim, which gives spacing but no orientation. A description that holds NaN, infinity, a
/// zero axis or no rotation is passed over with a warning and the next one is used; when none is
/// left the file is refused. Shear is kept and warned about.
///
/// Spacing is what pixdim says as long as the form that is used agrees with it to a hundredth, as
/// SimpleITK takes it: the columns of a rotated matrix are 1.00000002 long where pixdim says 1, and
/// spacings that are equal would not compare equal.
struct NiftiGeometry {
  Affine affine = identity_affine;
  std::array<double, 3> spacing = {1, 1, 1};  ///< (D, H, W) in mm
  std::string_view from = "pixdim";           ///< "sform", "qform" or "pixdim"
  bool orientation_known = false;
};

namespace detail {

/// The geometry fields as they stand in the header.
struct GeometryFields {
  std::array<double, 8> pixdim{};
  int qform_code = 0, sform_code = 0;
  std::array<double, 3> quatern{}, qoffset{};
  std::array<std::array<double, 4>, 3> srow{};
  double unit_mm = 1;
};

inline double column_dot(const Affine& a, std::size_t c, std::size_t d) {
  return a[0][c] * a[0][d] + a[1][c] * a[1][d] + a[2][c] * a[2][d];
}

// Volume of the box spanned by the unit columns: 1 for a rotation, 0 when two axes coincide.
inline double normalised_determinant(const Affine& a) {
  const double det = a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
                     a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
                     a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
  return det / std::sqrt(column_dot(a, 0, 0) * column_dot(a, 1, 1) * column_dot(a, 2, 2));
}

/// A voxel of anything that is scanned lies far inside of this; squares and products of such sizes
/// neither vanish nor overflow.
inline bool plausible_size(double mm) { return mm >= 1e-9 && mm <= 1e9; }

inline bool usable(const Affine& a) {
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c)
      if (!std::isfinite(a[r][c])) return false;
  for (std::size_t c = 0; c < 3; ++c)
    if (!plausible_size(std::sqrt(column_dot(a, c, c)))) return false;
  return std::abs(normalised_determinant(a)) > 1e-3;  // false for NaN, too
}

/// qform to affine. Source: nifti1.h, "METHOD 2". @return false when the quaternion or spacing is
/// unusable
HLIP_LAZY bool qform_affine(const GeometryFields& g, const std::array<double, 3>& pixdim,
                            Affine& out) {
  double b = g.quatern[0], c = g.quatern[1], d = g.quatern[2];
  const double square = b * b + c * c + d * d;
  if (!(square <= 1 + 1e-3)) return false;  // a little over 1 is rounding, more is no rotation
  double a = 0;
  if (square < 1) {
    a = std::sqrt(1 - square);
  } else {
    const double length = std::sqrt(square);
    b /= length;
    c /= length;
    d /= length;
  }
  const double qfac = g.pixdim[0] < 0 ? -1 : 1;
  const double rotation[3][3] = {
      {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
      {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
      {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}};
  out = identity_affine;
  for (std::size_t r = 0; r < 3; ++r) {
    for (std::size_t k = 0; k < 3; ++k)
      out[r][k] = rotation[r][k] * pixdim[k] * (k == 2 ? qfac : 1);
    out[r][3] = g.qoffset[r] * g.unit_mm;
  }
  return usable(out);
}

inline bool sform_affine(const GeometryFields& g, Affine& out) {
  out = identity_affine;
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c) out[r][c] = g.srow[r][c] * g.unit_mm;
  return usable(out);
}

HLIP_LAZY void warn_about_shape(const Affine& a, std::vector<std::string>& warnings) {
  double worst = 0;
  for (std::size_t c = 0; c < 3; ++c) {
    const std::size_t d = (c + 1) % 3;
    worst = std::max(worst, std::abs(column_dot(a, c, d)) /
                                std::sqrt(column_dot(a, c, c) * column_dot(a, d, d)));
  }
  if (worst > 1e-3)
    warnings.push_back(fmt::format(
        "the axes are sheared by up to {:.1f} degrees (gantry tilt?); voxels are used as they lie",
        std::asin(std::min(worst, 1.0)) * 57.29577951308232));
}

/// Applies the rule of NiftiGeometry. @param dim x, y, z @throws hlip::error when no description is
/// usable
HLIP_LAZY NiftiGeometry read_geometry(const GeometryFields& g, const std::array<index_t, 3>& dim,
                                      std::string_view path, std::vector<std::string>& warnings) {
  std::array<double, 3> pixdim{};
  bool pixdim_ok = true;
  for (std::size_t c = 0; c < 3; ++c) {
    const double p = g.pixdim[c + 1];
    pixdim[c] = std::abs(p) * g.unit_mm;
    if (p < 0)
      warnings.push_back(fmt::format("pixdim[{}] is {}, its absolute value is used", c + 1, p));
    if (plausible_size(pixdim[c])) continue;
    if (dim[c] == 1) pixdim[c] = 1;  // one slice has no distance to the next
    else pixdim_ok = false;
    warnings.push_back(fmt::format("pixdim[{}] is {}{}", c + 1, p,
                                   dim[c] == 1 ? ", taken as 1 for a single slice" : ""));
  }

  NiftiGeometry out;
  Affine sform = identity_affine, qform = identity_affine;
  const bool sform_ok = g.sform_code > 0 && sform_affine(g, sform);
  const bool qform_ok = g.qform_code > 0 && pixdim_ok && qform_affine(g, pixdim, qform);
  if (g.sform_code > 0 && !sform_ok)
    warnings.push_back("the sform is not an invertible finite matrix and is not used");
  if (g.qform_code > 0 && !qform_ok)
    warnings.push_back("the qform is not a rotation with finite spacing and is not used");
  if (!sform_ok && !qform_ok && !pixdim_ok)
    fail_file(path, "pixdim",
              "holds {}, {}, {} and neither sform nor qform is usable: the voxel size is unknown",
              g.pixdim[1], g.pixdim[2], g.pixdim[3]);
  out.orientation_known = sform_ok || qform_ok;
  if (sform_ok) {
    out.affine = sform;
    out.from = "sform";
  } else if (qform_ok) {
    out.affine = qform;
    out.from = "qform";
  } else {
    out.affine = scaling_affine({pixdim[2], pixdim[1], pixdim[0]});
    warnings.push_back("the orientation in the patient is unknown, only the voxel size is");
  }
  out.spacing = spacing_of(out.affine);
  for (std::size_t c = 0; c < 3 && pixdim_ok; ++c)
    if (double& used = out.spacing[2 - c]; std::abs(used - pixdim[c]) <= 0.01 * pixdim[c])
      used = pixdim[c];
    else if (dim[c] > 1)
      warnings.push_back(fmt::format(
          "the sform spaces axis {} by {:.4g} mm, pixdim by {:.4g} mm; the sform is used", "xyz"[c],
          used, pixdim[c]));
  if (sform_ok && qform_ok && orientation_code(sform) != orientation_code(qform))
    warnings.push_back(fmt::format("the sform lies {}, the qform {}; the sform is used",
                                   orientation_code(sform), orientation_code(qform)));
  warn_about_shape(out.affine, warnings);
  return out;
}

}  // namespace detail

HLIP_END
