// Scans of chest CT and of studies in HLIP's JSON layout, for self-distillation. Needs libcsv,
// libdeflate, zlib and nlohmann_json.
#pragma once

#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/systems/rad_dino/study_samples.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Chest CT: the reconstructions of a visit are its scans.
class CtStudyScans : public StudyScans {
 public:
  CtStudyScans(std::vector<CtRateStudy> studies, const CtPreset& preset)
      : studies_(std::move(studies)), preset_(preset) {}
  index_t size() const override { return static_cast<index_t>(studies_.size()); }
  const std::string& name(index_t i) const override { return at(i).name; }
  std::size_t scans(index_t i) const override { return at(i).recons.size(); }
  const std::string& path(index_t i, std::size_t s) const override { return at(i).recons[s].path; }
  Tensor<float, Cpu> load(index_t i, std::size_t s) const override {
    return preprocess_ct(open_ct_rate_volume(at(i).recons[s], preset_), preset_);
  }

 private:
  const CtRateStudy& at(index_t i) const { return studies_[static_cast<std::size_t>(i)]; }
  std::vector<CtRateStudy> studies_;
  CtPreset preset_;
};

/// Studies in HLIP's JSON layout.
class BrainStudyScans : public StudyScans {
 public:
  BrainStudyScans(std::vector<BrainStudy> studies, const MriPreset& preset)
      : studies_(std::move(studies)), preset_(preset) {}
  index_t size() const override { return static_cast<index_t>(studies_.size()); }
  const std::string& name(index_t i) const override { return at(i).name; }
  std::size_t scans(index_t i) const override { return at(i).scans.size(); }
  const std::string& path(index_t i, std::size_t s) const override { return at(i).scans[s].path; }
  Tensor<float, Cpu> load(index_t i, std::size_t s) const override {
    return load_brain_scan(at(i).scans[s], preset_);
  }

 private:
  const BrainStudy& at(index_t i) const { return studies_[static_cast<std::size_t>(i)]; }
  std::vector<BrainStudy> studies_;
  MriPreset preset_;
};

HLIP_END
