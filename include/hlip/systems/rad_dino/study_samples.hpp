// Studies of volumes, CT or MRI, as samples of self-distillation: no report and no label is read.
#pragma once

#include <hlip/data/dataset.hpp>
#include <hlip/data/image_text.hpp>
#include <hlip/datasets/draw_scans.hpp>
#include <hlip/datasets/study_scans.hpp>
#include <hlip/imaging/augment/volume_views.hpp>
#include <hlip/imaging/hu_range.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Views of studies. A view is a function of seed, epoch and study alone. A Dataset.
class StudyViews {
 public:
  /// @param num_scans scans of a sample: drawn anew every time, repeated where a study has fewer
  /// @param cache keep prepared scans in memory, 16 bits a voxel
  HLIP_LAZY StudyViews(std::shared_ptr<const StudyScans> studies, const VolumeViewOptions& views,
                       index_t num_scans, bool cache)
      : studies_(std::move(studies)), views_(views), num_scans_(num_scans) {
    check_volume_views(views_);
    expect(num_scans >= 1, "study views", "num_scans {}, expected at least 1", num_scans);
    expect(studies_->size() > 0, "study views", "no studies");
    std::size_t slots = 0;
    for (index_t i = 0; i < studies_->size(); ++i) {
      expect(studies_->scans(i) > 0, "study views", "study {} has no scans", studies_->name(i));
      first_slot_.push_back(slots);
      slots += studies_->scans(i);
    }
    if (cache) cache_ = std::make_shared<const VolumeCache>(slots);
  }
  index_t size() const { return studies_->size(); }
  const std::string& name(index_t i) const { return studies_->name(i); }
  HLIP_LAZY MultiCropViews get(index_t i, const RandomKey& key) const {
    RandomStream random(key.with_stream(key.stream + 1));  // views have the key itself
    std::vector<Tensor<float, Cpu>> scans;
    for (const std::size_t s :
         draw_scans(studies_->scans(i), static_cast<std::size_t>(num_scans_), random))
      scans.push_back(scan(i, s));
    return volume_views(scans, views_, key);
  }

 private:
  Tensor<float, Cpu> scan(index_t i, std::size_t s) const {
    const auto checked = [&] {
      const Tensor<float, Cpu> input = studies_->load(i, s);
      if (const std::string odd = implausible_scan(input); !odd.empty())
        fail_file(studies_->path(i, s), "", "as the network's input, {}", odd);
      return input;
    };
    return cache_ ? cache_->get(first_slot_[static_cast<std::size_t>(i)] + s, checked) : checked();
  }

  std::shared_ptr<const StudyScans> studies_;
  VolumeViewOptions views_;
  index_t num_scans_;
  std::vector<std::size_t> first_slot_;
  std::shared_ptr<const VolumeCache> cache_;
};

HLIP_END
