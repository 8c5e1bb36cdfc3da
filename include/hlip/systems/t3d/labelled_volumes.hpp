// Volumes with label maps as samples of segmentation: crops at the working spacing, some of them
// around a labelled voxel.
// Source: reference document T3D §7; Isensee et al. 2021, "nnU-Net" (balanced crops).
#pragma once

#include <hlip/data/dataset.hpp>
#include <hlip/data/image_text.hpp>
#include <hlip/datasets/volumes/table.hpp>
#include <hlip/imaging/augment/voxel_box.hpp>
#include <hlip/systems/t3d/ct_volumes.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// A prepared volume, and the class of each of its voxels.
struct LabelledVolume {
  Volume volume;                     ///< in [0, 1], RAS
  Tensor<std::uint8_t, Cpu> labels;  ///< (D, H, W), 0 is background
};

namespace detail {

/// Throws unless a label map lies on its volume's grid.
HLIP_LAZY void expect_same_grid(const Volume& labels, const std::string& volume) {
  const NiftiHeader header = inspect_nifti(volume, false).header;
  const Shape want = header.shape();
  if (labels.voxels.shape() != want)
    fail_file(labels.source, "", "has {} voxels, its volume {} {}",
              to_string(labels.voxels.shape()), volume, to_string(want));
  const Affine& there = header.geometry.affine;
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c)
      if (!(std::abs(labels.affine[r][c] - there[r][c]) <= 1e-2 * (c == 3 ? 10 : 1)))
        fail_file(labels.source, "",
                  "lies elsewhere than its volume {}: row {}, column {} of the affine is {}, of "
                  "the volume {}",
                  volume, r, c, labels.affine[r][c], there[r][c]);
}

}  // namespace detail

/// Reads a volume and its label map and prepares both alike.
/// @param classes labels are 0 (background) to classes - 1
/// @throws hlip::error naming the file: for a map on another grid, and values that are no class
HLIP_LAZY LabelledVolume read_labelled_volume(const CtRateVolume& recon, const std::string& mask,
                                              const VolumePreparation& how, index_t classes) {
  LabelledVolume out;
  out.volume = prepare_ct_volume(recon, how);
  Volume labels = read_nifti(mask);
  detail::expect_same_grid(labels, recon.path);
  if (recon.has_metadata) set_spacing(labels, recon.spacing);
  const auto spacing = in_stored_order(how.spacing, labels.affine, labels.orientation_known);
  const auto size = resampled_size(labels.voxels.shape(), labels.spacing, spacing);
  labels.voxels = interpolate(labels.voxels, std::span<const index_t>(size),
                              Interpolation::nearest_exact);
  if (labels.orientation_known) labels = reorient(labels, "RAS");
  out.labels = Tensor<std::uint8_t, Cpu>::empty(labels.voxels.shape());
  for (index_t i = 0; i < out.labels.numel(); ++i) {
    const float v = labels.voxels.data()[i];
    if (!(v >= 0 && v < static_cast<float>(classes) && v == std::nearbyint(v)))
      fail_file(mask, "",
                "holds the value {}, expected whole numbers from 0 to {} (hint: --classes)", v,
                classes - 1);
    out.labels.data()[i] = static_cast<std::uint8_t>(v);
  }
  return out;
}

/// Volumes of a table with their label maps.
struct LabelledFiles {
  std::vector<CtRateVolume> volumes;
  std::vector<std::string> masks;

  /// All volumes of all studies. @param table read with need_masks
  HLIP_LAZY explicit LabelledFiles(const VolumeTable& table) {
    for (const auto& study : table.studies)
      for (const auto& recon : study.recons) {
        volumes.push_back(recon);
        masks.push_back(table.masks.at(recon.path));
      }
  }
  index_t size() const { return static_cast<index_t>(volumes.size()); }
};

/// One crop, (D, H, W) each.
struct LabelledCrop {
  Tensor<float, Cpu> volume;
  Tensor<std::uint8_t, Cpu> labels;
};

struct LabelledCropOptions {
  std::array<index_t, 3> size = {96, 96, 96};
  index_t classes = 2;      ///< background included
  double foreground = 0.5;  ///< share of crops around a voxel of a class that was drawn
  double intensity = 0.1;   ///< values are multiplied and shifted by up to this
};

/// Crops of labelled volumes, each a function of seed, epoch and number. Volumes are read once and
/// stay in memory, 3 bytes a voxel. A Dataset.
class LabelledCrops {
 public:
  HLIP_LAZY LabelledCrops(LabelledFiles files, const VolumePreparation& how,
                          const LabelledCropOptions& options)
      : files_(std::move(files)), how_(how), options_(options) {
    expect(files_.size() > 0, "labelled_crops", "no volumes");
    expect(options.classes >= 2 && options.classes <= 256, "labelled_crops",
           "{} classes, expected 2 to 256, background included", options.classes);
    kept_ = std::make_unique<Kept[]>(static_cast<std::size_t>(files_.size()));
  }
  index_t size() const { return files_.size(); }
  const std::string& name(index_t i) const { return at(i).path; }

  HLIP_LAZY LabelledCrop get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const Kept& k = kept(i);
    const VoxelBox box = place(k, random);
    LabelledCrop crop;
    crop.volume = Tensor<float, Cpu>::empty({box.size[0], box.size[1], box.size[2]});
    crop.labels = Tensor<std::uint8_t, Cpu>::empty(crop.volume.shape());
    const auto gain = static_cast<float>(
                   random.uniform(1 - options_.intensity, 1 + options_.intensity)),
               shift = static_cast<float>(random.uniform(-options_.intensity, options_.intensity));
    float* to = crop.volume.data();
    std::uint8_t* label = crop.labels.data();
    each_row(k.voxels.shape(), box, [&](index_t first, index_t n) {
      for (index_t v = first; v < first + n; ++v) {
        *to++ = gain * static_cast<float>(k.voxels.data()[v]) + shift;
        *label++ = k.labels.data()[v];
      }
    });
    return crop;
  }

 private:
  /// A volume in memory, and the numbers of the voxels of each class that it has.
  struct Kept {
    std::once_flag read;
    Tensor<float16, Cpu> voxels;
    Tensor<std::uint8_t, Cpu> labels;
    std::vector<std::vector<index_t>> of_class;
  };
  const CtRateVolume& at(index_t i) const { return files_.volumes[static_cast<std::size_t>(i)]; }
  const Kept& kept(index_t i) const {
    Kept& k = kept_[static_cast<std::size_t>(i)];
    std::call_once(k.read, [&] {
      const LabelledVolume x = read_labelled_volume(
          at(i), files_.masks[static_cast<std::size_t>(i)], how_, options_.classes);
      for (int d = 0; d < 3; ++d)
        if (x.labels.dim(d) < options_.size[static_cast<std::size_t>(d)])
          fail_file(at(i).path, "", "has {} voxels, a crop {} x {} x {} (hint: a smaller --size)",
                    to_string(x.labels.shape()), options_.size[0], options_.size[1],
                    options_.size[2]);
      std::vector<std::vector<index_t>> voxels_of(static_cast<std::size_t>(options_.classes));
      for (index_t v = 0; v < x.labels.numel(); ++v)
        if (x.labels.data()[v] > 0) voxels_of[x.labels.data()[v]].push_back(v);
      std::erase_if(voxels_of, [](const auto& list) { return list.empty(); });
      k.of_class = std::move(voxels_of);
      k.voxels = x.volume.voxels.template to<float16>(), k.labels = x.labels;
    });
    return k;
  }
  /// Anywhere, or around a voxel of one of the volume's classes.
  VoxelBox place(const Kept& k, RandomStream& random) const {
    VoxelBox box;
    box.size = options_.size;
    const bool around = random.chance(options_.foreground) && !k.of_class.empty();
    index_t middle = 0;
    if (around) {
      const auto& voxels = k.of_class[static_cast<std::size_t>(
          random.below(static_cast<std::int64_t>(k.of_class.size())))];
      middle =
          voxels[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(voxels.size())))];
    }
    for (std::size_t d = 3; d-- > 0;) {
      const index_t side = k.labels.dim(static_cast<int>(d)), room = side - box.size[d];
      box.from[d] = around ? std::clamp<index_t>(middle % side - box.size[d] / 2, 0, room)
                           : random.below(room + 1);
      middle /= side;
    }
    return box;
  }

  LabelledFiles files_;
  VolumePreparation how_;
  LabelledCropOptions options_;
  std::unique_ptr<Kept[]> kept_;
};

/// A batch of crops on a backend.
template <class B> struct LabelledBatch {
  Tensor<float, B> volumes;        ///< (N, 1, D, H, W)
  Tensor<std::int64_t, B> labels;  ///< (N, D, H, W)
};
template <class B> LabelledBatch<B> collate_labelled(const std::vector<LabelledCrop>& samples) {
  std::vector<Tensor<float, Cpu>> volumes;
  std::vector<Tensor<std::int64_t, Cpu>> labels;
  for (const auto& s : samples) {
    volumes.push_back(s.volume);
    labels.push_back(s.labels.template to<std::int64_t>());
  }
  const Shape& v = volumes[0].shape();
  const auto n = static_cast<index_t>(samples.size());
  return {uploaded_ahead<B>(stack(volumes, 0).reshape({n, 1, v[0], v[1], v[2]})),
          uploaded_ahead<B>(stack(labels, 0))};
}

HLIP_END
