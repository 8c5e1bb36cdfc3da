// CT scans as text-informed pre-training takes them: whole, at one spacing, the window at [0, 1].
// Needs libcsv, libdeflate, zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/study_scans.hpp>

#include <algorithm>
#include <array>
#include <numeric>
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

/// Three numbers for the patient's axes (D: feet to head, H: back to front, W: left to right) in
/// the order of a stored volume's axes; as they are where the file does not say how it lies.
template <class X>
std::array<X, 3> in_stored_order(const std::array<X, 3>& of_patient, const Affine& affine,
                                 bool orientation_known) {
  if (!orientation_known) return of_patient;
  const std::string code = orientation_code(affine);  // of W, H, D
  std::array<X, 3> stored = of_patient;
  for (std::size_t c = 0; c < 3; ++c) {
    const bool sideways = code[c] == 'R' || code[c] == 'L',
               upright = code[c] == 'S' || code[c] == 'I';
    stored[2 - c] = of_patient[sideways ? 2 : upright ? 0 : 1];
  }
  return stored;
}

/// A scan at the working spacing, its axes (D, H, W) to the head, the front and the right, as far
/// as the file says how it lies. @return voxels in [0, 1], and where they are
/// @throws hlip::error naming the file
HLIP_LAZY Volume prepare_ct_volume(const CtRateVolume& recon, const VolumePreparation& how) {
  const CtPreset preset = how.preset();
  const CtScan scan = open_ct_rate_volume(recon, preset);
  Volume volume = resample_to_spacing(
      scan, in_stored_order(preset.spacing, scan.frame.affine, scan.frame.orientation_known));
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
    const NiftiGeometry& g = header.geometry;
    const auto have = resampled_size(header.shape(), recon.has_metadata ? recon.spacing : g.spacing,
                                     in_stored_order(how.spacing, g.affine, g.orientation_known)),
               want = in_stored_order(size, g.affine, g.orientation_known);
    for (std::size_t d = 0; d < 3; ++d)
      if (have[d] < want[d])
        return fmt::format(
            "{}: has {} x {} x {} voxels at the working spacing, a sub-volume, as the file lies, "
            "{} "
            "x {} x {} (hint: a smaller --size, or a finer --spacing)",
            recon.path, have[0], have[1], have[2], want[0], want[1], want[2]);
    voxels = static_cast<double>(have[0]) * static_cast<double>(have[1]) *
             static_cast<double>(have[2]);
  } catch (const error& e) {
    const std::string what = e.what();
    return what.find(recon.path) == std::string::npos ? recon.path + ": " + what : what;
  }
  return "";
}

}  // namespace detail

/// Leaves out the volumes that have no room for a sub-volume, as problems; headers alone are read.
/// @param size of sub-volumes, (D, H, W) voxels  @return voxels of those that stay, at the working
/// spacing
HLIP_LAZY double leave_out_small_volumes(CtRateDataset& data, const VolumePreparation& how,
                                         const std::array<index_t, 3>& size) {
  std::vector<const CtRateVolume*> all;
  for (const auto& study : data.studies)
    for (const auto& recon : study.recons) all.push_back(&recon);
  std::vector<std::string> fault(all.size());
  std::vector<double> voxels(all.size());
#pragma omp parallel for schedule(dynamic, 8)
  for (std::size_t i = 0; i < all.size(); ++i)
    fault[i] = detail::room_fault(*all[i], how, size, voxels[i]);
  FileProblems faults(data.problems, data.root);
  for (const std::string& text : fault)
    if (!text.empty()) faults.add([&text] { return text; });
  std::size_t next = 0;
  for (auto& study : data.studies)
    std::erase_if(study.recons, [&](const CtRateVolume&) { return !fault[next++].empty(); });
  std::erase_if(data.studies, [](const CtRateStudy& s) { return s.recons.empty(); });
  return std::accumulate(voxels.begin(), voxels.end(), 0.0);
}

HLIP_END
