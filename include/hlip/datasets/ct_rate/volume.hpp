// One reconstruction of CT-RATE: what the tables say of it, and its voxels as HU. Needs zlib.
#pragma once

#include <hlip/imaging/ct_scan.hpp>

#include <array>
#include <string>

HLIP_BEGIN

/// One reconstruction.
struct CtRateVolume {
  std::string name;           ///< "valid_1_a_1"
  std::string path;           ///< its .nii.gz
  bool has_metadata = false;  ///< whether the three fields below come from the metadata table
  double slope = 1, intercept = 0;
  std::array<double, 3> spacing = {1, 1, 1};  ///< (D, H, W) in mm
};

/// Opens a reconstruction; HU come of the slope, intercept and spacing of the metadata table, as in
/// HLIP; with `preset.already_hu` the values stay, and without a table row the spacing is the
/// file's. Voxels keep their stored order.
/// @return its warnings hold the reader's; `survey` adds those that take a look at every voxel
/// @throws hlip::error naming the file, also when a row is missing and the values are not said to
/// be HU
HLIP_LAZY CtScan open_ct_rate_volume(const CtRateVolume& recon, const CtPreset& preset,
                                     const NiftiOptions& options = {}) {
  if (!preset.already_hu && !recon.has_metadata)
    fail_file(recon.path, "", "has no slope and intercept: it is not in the metadata table");
  CtScan scan(StoredVolume(recon.path, options), preset.already_hu ? 1 : recon.slope,
              preset.already_hu ? 0 : recon.intercept);
  if (recon.has_metadata) {
    const auto& spacing = scan.frame.spacing;
    for (std::size_t d = 0; d < 3; ++d)
      if (std::abs(spacing[d] - recon.spacing[d]) > 0.01 * recon.spacing[d]) {
        scan.frame.warnings.push_back(
            fmt::format("the file says {:.4g} x {:.4g} x {:.4g} mm, the table {:.4g} x {:.4g} x "
                        "{:.4g} mm; the table is used",
                        spacing[0], spacing[1], spacing[2], recon.spacing[0], recon.spacing[1],
                        recon.spacing[2]));
        break;
      }
    set_spacing(scan.frame, recon.spacing);
  }
  return scan;
}

HLIP_END
