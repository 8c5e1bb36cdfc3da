// Brain studies of several scans as training samples and for evaluation. Source: HLIP, data of the
// brain MRI and head CT models.
#pragma once

#include <hlip/data/dataset.hpp>
#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/datasets/brain_mri/prompts.hpp>
#include <hlip/datasets/draw_scans.hpp>
#include <hlip/datasets/report_text.hpp>
#include <hlip/datasets/study_samples.hpp>
#include <hlip/text/clean_report.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// All scans of a study, normalised: (N, D, H, W).
HLIP_LAZY Tensor<float, Cpu> load_scans(const BrainStudy& study, const MriPreset& preset) {
  std::vector<Tensor<float, Cpu>> scans;
  for (const auto& s : study.scans) scans.push_back(load_brain_scan(s, preset));
  return stack(scans, 0);
}

/// Study → (drawn scans, its sentences in random order). A Dataset.
class BrainSamples : public StudySamples<BrainStudy, std::vector<std::string>> {
 public:
  struct Options : StudySampleOptions {
    MriPreset preset;
    index_t num_scans = 10;
  };
  HLIP_LAZY BrainSamples(std::vector<BrainStudy> studies,
                         std::shared_ptr<const WordPieceTokenizer> tokenizer,
                         const Options& options)
      : StudySamples(
            std::move(studies), std::move(tokenizer), options,
            [](const BrainStudy& s) -> const auto& {
              expect(!s.scans.empty(), "brain samples", "study {} has no scans", s.name);
              return s.scans;
            },
            [](const BrainStudy& s) {
              std::vector<std::string> sentences;
              for (const auto& sentence : s.report) sentences.push_back(clean_report(sentence));
              return sentences;
            }),
        options_(options) {
    expect(options.num_scans >= 1, "brain samples", "num_scans {}, expected at least 1",
           options.num_scans);
  }

  const Options& options() const { return options_; }
  /// The two halves of a report.
  std::pair<std::string, std::string> text_pair(index_t i, RandomStream& random) const {
    return sample_halves(report(i), brain_lead, random);
  }

  HLIP_LAZY StudySample get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto& all = study(i).scans;
    std::vector<Tensor<float, Cpu>> scans;
    for (const std::size_t s :
         draw_scans(all.size(), static_cast<std::size_t>(options_.num_scans), random))
      scans.push_back(volume(slot(i, s), all[s].path,
                             [&] { return load_brain_scan(all[s], options_.preset); }));
    StudySample sample;
    sample.volume = stack(scans, 0);
    const std::string lead(brain_lead);
    sample.ids = tokens(lead + detail::shuffled_text(report(i), random));
    if (options_.sentences)
      sample.sentence = tokens(lead + detail::shuffled_text(report(i), random, 1));
    return sample;
  }

 private:
  Options options_;
};

/// Labelled studies with all their scans, in order. A Dataset; studies may have different numbers
/// of scans, so batches are of one.
class BrainVolumes {
 public:
  BrainVolumes(std::vector<BrainStudy> studies, const MriPreset& preset)
      : studies_(std::move(studies)), preset_(preset) {}
  index_t size() const { return static_cast<index_t>(studies_.size()); }
  std::string name(index_t i) const { return studies_[static_cast<std::size_t>(i)].name; }
  const std::vector<std::int8_t>& labels(index_t i) const {
    return studies_[static_cast<std::size_t>(i)].labels;
  }
  HLIP_LAZY Tensor<float, Cpu> get(index_t i) const {
    return load_scans(studies_[static_cast<std::size_t>(i)], preset_);
  }

 private:
  std::vector<BrainStudy> studies_;
  MriPreset preset_;
};

HLIP_END
