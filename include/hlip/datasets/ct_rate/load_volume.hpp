// One CT-RATE volume from disk to HU. Needs libcsv, zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/ct_rate/volume.hpp>

HLIP_BEGIN

/// A reconstruction in HU, at its own spacing.
/// @return its warnings hold the reader's and the range report's  @throws hlip::error as
/// open_ct_rate_volume
HLIP_LAZY Volume load_ct_rate_volume(const CtRateVolume& recon, const CtPreset& preset,
                                     const NiftiOptions& options = {}) {
  CtScan scan = open_ct_rate_volume(recon, preset, options);
  survey(scan);
  return to_volume(scan);
}

HLIP_END
