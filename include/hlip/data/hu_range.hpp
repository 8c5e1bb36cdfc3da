// Looks at the range of a CT scan: values of which nobody is sure whether they are HU give themselves away.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <string>

HLIP_BEGIN

/// What the values of a scan look like.
struct HuRange {
  float min = 0, max = 0;
  double air = 0;       ///< share of voxels below -200 HU
  double tissue = 0;    ///< share between -200 and 300 HU
  std::string warning;  ///< why these are probably not HU; empty when they may be
};

/// Range report of a scan of the trunk in HU. Air lies near -1000 and soft tissue near 0; a missing or doubled intercept moves both.
/// @param hu finite values, any shape
inline HuRange hu_range(const Tensor<float, Cpu>& hu) {
  HuRange r;
  const auto x = hu.contiguous();
  if (x.numel() == 0) return r;
  r.min = r.max = x.data()[0];
  index_t air = 0, tissue = 0;
  for (index_t i = 0; i < x.numel(); ++i) {
    const float v = x.data()[i];
    r.min = std::min(r.min, v);
    r.max = std::max(r.max, v);
    air += v < -200;
    tissue += v >= -200 && v <= 300;
  }
  r.air = static_cast<double>(air) / static_cast<double>(x.numel());
  r.tissue = static_cast<double>(tissue) / static_cast<double>(x.numel());
  if (r.min == r.max) r.warning = "all voxels are equal";
  else if (air == 0) r.warning = "no voxel is below -200 HU: was the intercept applied?";
  else if (r.tissue < 0.01) r.warning = "almost no voxel lies between -200 and 300 HU: was the intercept applied twice?";
  else if (r.max > 32767 || r.min < -32768) r.warning = "values lie outside of what scanners store: was the slope applied twice?";
  return r;
}

HLIP_END
