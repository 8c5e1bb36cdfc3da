// What the sets of chest CT share: a scan as the network wants it, with what is implausible said.
#pragma once

#include "model.hpp"
#include "studies.hpp"

#include <hlip/imaging/ct_scan.hpp>
#include <hlip/imaging/hu_range.hpp>
#include <hlip/imaging/plausible_ct.hpp>
#include <hlip/imaging/preprocess_ct.hpp>

namespace evaluate {

inline void expect_ct_model(const Model& m) {
  if (m.mri) fail_file(m.path, "", "is a model for MRI, this set is of CT");
}

/// The network's input of a CT in HU; what is implausible about the scan is said.
inline Tensor<float> plausible_input(const Volume& ct, const CtPreset& preset, Warnings& warnings) {
  for (const auto& odd : ct_oddities(hu_range(ct.voxels), ct.voxels.shape(), ct))
    warnings.say(ct.source, odd.what);
  return preprocess_ct(ct, preset);
}
inline Tensor<float> plausible_input(CtScan ct, const CtPreset& preset, Warnings& warnings) {
  for (const auto& odd : ct_oddities(survey(ct), ct.shape(), ct.frame))
    warnings.say(ct.frame.source, odd.what);
  return preprocess_ct(ct, preset);
}

inline Tensor<float> one_scan(const Tensor<float>& x) {
  return x.reshape({1, x.dim(0), x.dim(1), x.dim(2)});
}

}  // namespace evaluate
