// Radiographs as samples of self-distillation: every look at one gives other views.
#pragma once

#include <hlip/data/dataset.hpp>
#include <hlip/imaging/augment/multi_crop.hpp>
#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/systems/rad_dino/crops.hpp>
#include <hlip/systems/rad_dino/shuffle_patches.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Views of radiographs. A view is a function of seed, epoch and picture alone.
class RadiographViews {
 public:
  /// @param files of the pictures  @param names of them, for messages
  /// @param shuffled_patch side of the patches that the control shuffles, 0: none
  RadiographViews(std::vector<std::string> files, std::vector<std::string> names,
                  const MultiCropOptions& crops, index_t shuffled_patch = 0)
      : files_(std::move(files)),
        names_(std::move(names)),
        crops_(crops),
        shuffled_patch_(shuffled_patch) {
    check_multi_crop(crops_);
    expect(!files_.empty() && files_.size() == names_.size(), "radiographs", "{} files, {} names",
           files_.size(), names_.size());
  }
  index_t size() const { return static_cast<index_t>(files_.size()); }
  const std::string& name(index_t i) const { return names_[static_cast<std::size_t>(i)]; }
  MultiCropViews get(index_t i, const RandomKey& key) const {
    BytePicture picture = to_byte_picture(read_radiograph(files_[static_cast<std::size_t>(i)]));
    // the same order in every epoch: a picture of its own, not a way to change one
    if (shuffled_patch_ > 0)
      picture = shuffle_patches(picture, shuffled_patch_,
                                {0, 0x5Fu, static_cast<std::uint64_t>(i)});
    return multi_crop(picture, crops_, key);
  }

 private:
  std::vector<std::string> files_, names_;
  MultiCropOptions crops_;
  index_t shuffled_patch_;
};

/// A batch of views, crop by crop.
template <class B> CropBatch<float, B> collate_views(const std::vector<MultiCropViews>& samples) {
  std::vector<Tensor<float>> global, local;
  for (const auto& views : samples) global.push_back(views.global), local.push_back(views.local);
  CropBatch<float, B> batch;
  batch.global = on_backend<B>(crop_major(Tensor<float>(stack(global, 0))));
  if (local[0].numel() > 0) batch.local = on_backend<B>(crop_major(Tensor<float>(stack(local, 0))));
  return batch;
}

HLIP_END
