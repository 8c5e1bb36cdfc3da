// CT scans as text-informed pre-training takes them: whole, at one spacing, the window at [0, 1].
// Needs libcsv, libdeflate, zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/study_scans.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How a whole scan is prepared.
struct VolumePreparation {
  std::array<double, 3> spacing = {1.5, 1.5, 1.5};  ///< (D, H, W) in mm
  std::array<double, 2> window_hu = {-1000, 1000};  ///< becomes 0 … 1, clipped
  bool already_hu = false;  ///< stored values are HU: no table says slope and intercept

  CtPreset preset() const {
    CtPreset p;
    p.spacing = spacing, p.window_hu = window_hu, p.already_hu = already_hu;
    check_preset(p);
    return p;
  }
};

/// HU as values from 0 to 1, in place. @param x contiguous
HLIP_LAZY void apply_window(const Tensor<float, Cpu>& x, const std::array<double, 2>& window_hu) {
  const auto low = static_cast<float>(window_hu[0]),
             range = static_cast<float>(window_hu[1] - window_hu[0]);
  for (index_t i = 0; i < x.numel(); ++i) {
    const float v = (x.data()[i] - low) / range;
    x.data()[i] = v > 0 ? std::min(v, 1.f) : 0.f;  // NaN is 0, too
  }
}

/// A scan at the working spacing, its axes (D, H, W) to the head, the front and the right, as far
/// as the file says how it lies. @return voxels in [0, 1], and where they are
/// @throws hlip::error naming the file
HLIP_LAZY Volume prepare_ct_volume(const CtRateVolume& recon, const VolumePreparation& how) {
  const CtPreset preset = how.preset();
  Volume volume = resample_to_spacing(open_ct_rate_volume(recon, preset), preset.spacing);
  if (volume.orientation_known) volume = reorient(volume, "RAS");
  apply_window(volume.voxels, how.window_hu);
  return volume;
}

/// The reconstructions of a visit are its scans.
class CtVolumes : public StudyScans {
 public:
  CtVolumes(std::vector<CtRateStudy> studies, const VolumePreparation& how)
      : studies_(std::move(studies)), how_(how) {
    how.preset();
  }
  index_t size() const override { return static_cast<index_t>(studies_.size()); }
  const std::string& name(index_t i) const override { return at(i).name; }
  std::size_t scans(index_t i) const override { return at(i).recons.size(); }
  const std::string& path(index_t i, std::size_t s) const override { return at(i).recons[s].path; }
  Tensor<float, Cpu> load(index_t i, std::size_t s) const override {
    return prepare_ct_volume(at(i).recons[s], how_).voxels;
  }

 private:
  const CtRateStudy& at(index_t i) const { return studies_[static_cast<std::size_t>(i)]; }
  std::vector<CtRateStudy> studies_;
  VolumePreparation how_;
};

namespace detail {

/// What is wrong with a volume that sub-volumes are to be taken of, by its header, or nothing.
HLIP_LAZY std::string room_fault(const CtRateVolume& recon, const VolumePreparation& how,
                                 const std::array<index_t, 3>& size, double& voxels) {
  try {
    const NiftiHeader header = inspect_nifti(recon.path, false).header;
    const auto spacing = recon.has_metadata ? recon.spacing : header.geometry.spacing;
    std::array<index_t, 3> have = resampled_size(header.shape(), spacing, how.spacing);
    // turned to RAS the axes may stand in another order: the largest side to the largest
    std::array<index_t, 3> want = size;
    std::sort(have.begin(), have.end()), std::sort(want.begin(), want.end());
    for (std::size_t d = 0; d < 3; ++d)
      if (have[d] < want[d])
        return fmt::format(
            "{}: has {} x {} x {} voxels of {} x {} x {} mm, a sub-volume {} x {} x {} (hint: a "
            "smaller --size, or a finer --spacing)",
            recon.path, have[0], have[1], have[2], how.spacing[0], how.spacing[1], how.spacing[2],
            size[0], size[1], size[2]);
    voxels += static_cast<double>(have[0]) * static_cast<double>(have[1]) *
              static_cast<double>(have[2]);
  } catch (const error& e) {
    return e.what();
  }
  return "";
}

}  // namespace detail

/// Leaves out the volumes that have no room for a sub-volume, as problems; headers alone are read.
/// @param size of sub-volumes, (D, H, W) voxels  @return voxels of those that stay, at the working
/// spacing
HLIP_LAZY double leave_out_small_volumes(CtRateDataset& data, const VolumePreparation& how,
                                         const std::array<index_t, 3>& size) {
  double voxels = 0;
  FileProblems faults(data.problems, data.root);
  for (auto& study : data.studies)
    std::erase_if(study.recons, [&](const CtRateVolume& recon) {
      const std::string fault = detail::room_fault(recon, how, size, voxels);
      if (!fault.empty()) faults.add([&] { return fault; });
      return !fault.empty();
    });
  std::erase_if(data.studies, [](const CtRateStudy& s) { return s.recons.empty(); });
  return voxels;
}

HLIP_END
