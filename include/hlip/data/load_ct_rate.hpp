// One CT-RATE volume from disk to HU. Needs libcsv, zlib and nlohmann_json.
#pragma once

#include <hlip/data/ct_rate.hpp>
#include <hlip/data/hu_range.hpp>
#include <hlip/data/preprocess_ct.hpp>

#include <string>
#include <utility>

HLIP_BEGIN

/// Reads a reconstruction and turns it into HU with the slope, intercept and spacing of the metadata table, as HLIP does; with
/// `preset.already_hu` the values stay, and without a table row the spacing is the file's. Voxels keep their stored order.
/// @return unit hounsfield, its warnings hold the reader's and the range report's
/// @throws hlip::error naming the file, also when a row is missing and the values are not said to be HU
inline Volume load_ct_rate_volume(const CtRateVolume& recon, const CtPreset& preset, const NiftiOptions& options = {}) {
  if (!preset.already_hu && !recon.has_metadata) fail_file(recon.path, "", "has no slope and intercept: it is not in the metadata table");
  auto volume = to_hounsfield(read_nifti(recon.path, options), preset.already_hu ? 1 : recon.slope, preset.already_hu ? 0 : recon.intercept);
  if (recon.has_metadata) {
    for (std::size_t d = 0; d < 3; ++d)
      if (std::abs(volume.spacing[d] - recon.spacing[d]) > 0.01 * recon.spacing[d]) {
        volume.warnings.push_back(fmt::format("the file says {:.4g} x {:.4g} x {:.4g} mm, the table {:.4g} x {:.4g} x {:.4g} mm; the table is used", volume.spacing[0], volume.spacing[1],
                                              volume.spacing[2], recon.spacing[0], recon.spacing[1], recon.spacing[2]));
        break;
      }
    set_spacing(volume, recon.spacing);
  }
  if (auto range = hu_range(volume.voxels); !range.warning.empty()) volume.warnings.push_back(std::move(range.warning));
  return volume;
}

HLIP_END
