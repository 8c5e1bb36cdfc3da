// Zero-shot classification of chest CT with a trained model: prompts in, probabilities of findings
// out. Source: reference document HLIP §7.1.
#pragma once

#include <hlip/datasets/ct_rate/prompts.hpp>
#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/systems/hlip/zero_shot.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// Labelled volumes in order. A Dataset.
class CtRateVolumes {
 public:
  /// @param cached of cached_files, or none
  HLIP_LAZY CtRateVolumes(std::vector<CtRateStudy> studies, std::vector<std::string> cached,
                          const CtPreset& preset)
      : preset_(preset), cached_(std::move(cached)) {
    for (auto& s : studies)
      for (auto& r : s.recons) {
        volumes_.push_back(r);
        labels_.push_back(s.labels);
        std::string text;
        for (const auto& part : s.report)
          text.append(text.empty() ? "" : " ").append(clean_report(part));
        reports_.push_back(std::move(text));
      }
    if (cached_.empty()) cached_.resize(volumes_.size());
  }
  index_t size() const { return static_cast<index_t>(volumes_.size()); }
  std::string name(index_t i) const { return volumes_[static_cast<std::size_t>(i)].name; }
  const std::vector<std::int8_t>& labels(index_t i) const {
    return labels_[static_cast<std::size_t>(i)];
  }
  const CtRateVolume& source(index_t i) const { return volumes_[static_cast<std::size_t>(i)]; }
  /// The whole report of its study; empty when none was read.
  const std::string& report(index_t i) const { return reports_[static_cast<std::size_t>(i)]; }
  HLIP_LAZY Tensor<float, Cpu> get(index_t i) const {
    return load_ct_input(volumes_[static_cast<std::size_t>(i)],
                         cached_[static_cast<std::size_t>(i)], preset_);
  }

 private:
  CtPreset preset_;
  std::vector<std::string> cached_;
  std::vector<CtRateVolume> volumes_;
  std::vector<std::vector<std::int8_t>> labels_;
  std::vector<std::string> reports_;
};

/// The column of a finding in CT-RATE's label tables.
HLIP_LAZY std::size_t label_column(const ZeroShotClass& c) {
  const auto at = std::find(ct_rate_labels.begin(), ct_rate_labels.end(), c.label_column);
  expect(at != ct_rate_labels.end(), "zero_shot", "'{}' is not a label of CT-RATE", c.label_column);
  return static_cast<std::size_t>(at - ct_rate_labels.begin());
}

/// The findings of a prompt template that have both a positive and a negative among the volumes;
/// the names of the others go to `left_out`.
HLIP_LAZY std::vector<ZeroShotClass> evaluable_findings(const CtRateVolumes& volumes,
                                                        PromptTemplate prompts,
                                                        std::vector<std::string>& left_out) {
  return evaluable_classes(
      ct_rate_prompts(prompts), volumes.size(),
      [&](index_t i, const ZeroShotClass& c) { return volumes.labels(i)[label_column(c)]; },
      left_out);
}

/// Scores every labelled volume for these findings.
/// @param classes of evaluable_findings  @throws hlip::error if a volume cannot be read
template <int Levels, class B>
ZeroShotScores score_zero_shot(const Clip<Levels, float, B>& model,
                               const WordPieceTokenizer& tokenizer, const CtRateVolumes& volumes,
                               const std::vector<ZeroShotClass>& classes,
                               const ZeroShotOptions& options = {}) {
  return score_zero_shot(
      model, tokenizer, volumes, classes,
      [&](index_t i, const ZeroShotClass& c) { return volumes.labels(i)[label_column(c)]; },
      options);
}

HLIP_END
