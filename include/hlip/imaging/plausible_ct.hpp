// What a chest CT cannot be, or hardly ever is: one rule for check_data, for training and for
// inference.
#pragma once

#include <hlip/imaging/ct_scan.hpp>

#include <array>
#include <string>
#include <vector>

HLIP_BEGIN

/// Something implausible about a scan. A fault keeps it out of training; the rest is for a person
/// to judge. Inference says both.
struct CtOddity {
  bool fault = false;
  std::string_view kind;  ///< "intensity" or "geometry"
  std::string what;
};

/// @param range of its HU; @param shape @param spacing (D, H, W), mm; @param orientation as
/// orientation_code gives it, or empty when unknown
HLIP_LAZY std::vector<CtOddity> ct_oddities(const HuRange& range, const Shape& shape,
                                            const std::array<double, 3>& spacing,
                                            std::string_view orientation) {
  std::vector<CtOddity> out;
  if (!range.warning.empty())
    out.push_back(
        {true, "intensity", fmt::format("{} ({} to {} HU)", range.warning, range.min, range.max)});
  try {
    resampled_size(shape, spacing, CtPreset{}.spacing);
  } catch (const error& e) {
    out.push_back({true, "geometry", e.what()});
  }
  if (spacing[1] < 0.2 || spacing[1] > 6 || spacing[2] < 0.2 || spacing[2] > 6 ||
      spacing[0] < 0.2 || spacing[0] > 12)
    out.push_back(
        {false, "geometry",
         fmt::format("voxels of {:.4g} x {:.4g} x {:.4g} mm (D, H, W) are unusual for a chest CT",
                     spacing[0], spacing[1], spacing[2])});
  if (const double length = static_cast<double>(shape[0]) * spacing[0]; length < 120)
    out.push_back({false, "geometry", fmt::format("it is only {:.0f} mm long", length)});
  if (!orientation.empty() && orientation[2] != 'S' && orientation[2] != 'I')
    out.push_back(
        {false, "geometry", fmt::format("its slices are not axial: it lies {}", orientation)});
  return out;
}

/// The same of a volume whose range is known. @param frame its geometry
HLIP_LAZY std::vector<CtOddity> ct_oddities(const HuRange& range, const Shape& shape,
                                            const Volume& frame) {
  return ct_oddities(range, shape, frame.spacing,
                     frame.orientation_known ? orientation_code(frame.affine) : "");
}

/// Goes through all voxels of a scan. @return what keeps it out of training, or nothing
HLIP_LAZY std::string ct_fault(CtScan scan) {
  for (const auto& odd : ct_oddities(survey(scan), scan.shape(), scan.frame))
    if (odd.fault) return odd.what;
  return "";
}

HLIP_END
