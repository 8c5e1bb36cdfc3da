// Brain studies of several scans as training samples and for evaluation. Source: HLIP, data of the
// brain MRI and head CT models.
#pragma once

#include <hlip/data/dataset.hpp>
#include <hlip/data/image_text.hpp>
#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/datasets/brain_mri/prompts.hpp>
#include <hlip/datasets/report_text.hpp>
#include <hlip/text/clean_report.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Which scans of a study a training sample has: in random order, repeated as often as it takes to
/// reach `wanted`, and cut off there. So what a short study lacks are real scans once more, never
/// empty ones. @param scans at least 1  @return `wanted` numbers below `scans`
inline std::vector<std::size_t> draw_scans(std::size_t scans, std::size_t wanted,
                                           RandomStream& random) {
  std::vector<std::size_t> order(scans), drawn;
  for (std::size_t i = 0; i < scans; ++i) order[i] = i;
  random.shuffle(order);
  while (drawn.size() < wanted) drawn.push_back(order[drawn.size() % scans]);
  return drawn;
}

/// All scans of a study, normalised: (N, D, H, W).
HLIP_LAZY Tensor<float, Cpu> load_scans(const BrainStudy& study, const MriPreset& preset) {
  std::vector<Tensor<float, Cpu>> scans;
  for (const auto& s : study.scans) scans.push_back(load_brain_scan(s, preset));
  return stack(scans, 0);
}

/// One study as a sample of the image stage.
struct BrainSample {
  Tensor<float, Cpu> volume;      ///< (num_scans, D, H, W)
  std::vector<std::int64_t> ids;  ///< [CLS] … [SEP], not padded
  /// likewise, one sentence of the report, if the options ask for it
  std::vector<std::int64_t> sentence;
};

/// Study → (drawn scans, its sentences in random order). A Dataset.
class BrainSamples {
 public:
  struct Options {
    MriPreset preset;
    index_t num_scans = 10;
    std::int64_t context_length = 256;
    bool cache = false;  ///< keep prepared scans in memory
    /// the control: the reports are dealt out anew among the studies
    bool shuffle_reports = false;
    std::uint64_t seed = 0;  ///< of that shuffle
    /// one sentence beside the report, for a model with two text targets
    bool sentences = false;
  };
  HLIP_LAZY BrainSamples(std::vector<BrainStudy> studies,
                         std::shared_ptr<const WordPieceTokenizer> tokenizer,
                         const Options& options)
      : studies_(std::move(studies)), tokenizer_(std::move(tokenizer)), options_(options) {
    expect(options.num_scans >= 1, "brain samples", "num_scans {}, expected at least 1",
           options.num_scans);
    for (const auto& s : studies_) {
      expect(!s.scans.empty(), "brain samples", "study {} has no scans", s.name);
      first_slot_.push_back(slots_);
      slots_ += s.scans.size();
      reports_.emplace_back();
      for (const auto& sentence : s.report) reports_.back().push_back(clean_report(sentence));
    }
    if (options.shuffle_reports) RandomStream({options.seed, 0x5AFEu, 0}).shuffle(reports_);
    if (options.cache) cache_ = std::make_shared<const VolumeCache>(slots_);
  }

  index_t size() const { return static_cast<index_t>(studies_.size()); }
  std::string name(index_t i) const { return studies_[static_cast<std::size_t>(i)].name; }
  const Options& options() const { return options_; }
  /// The two halves of a report.
  std::pair<std::string, std::string> text_pair(index_t i, RandomStream& random) const {
    return sample_halves(reports_[static_cast<std::size_t>(i)], brain_lead, random);
  }

  HLIP_LAZY BrainSample get(index_t i, const RandomKey& key) const {
    RandomStream random(key);
    const auto at = static_cast<std::size_t>(i);
    const BrainStudy& study = studies_[at];
    std::vector<Tensor<float, Cpu>> scans;
    for (const std::size_t s :
         draw_scans(study.scans.size(), static_cast<std::size_t>(options_.num_scans), random)) {
      const auto load = [&] {
        const auto input = load_brain_scan(study.scans[s], options_.preset);
        if (const std::string odd = implausible_scan(input); !odd.empty())
          fail_file(study.scans[s].path, "", "as the network's input, {}", odd);
        return input;
      };
      scans.push_back(cache_ ? cache_->get(first_slot_[at] + s, load) : load());
    }
    BrainSample sample;
    sample.volume = stack(scans, 0);
    sample.ids = tokenizer_->encode_unpadded(
        std::string(brain_lead) + detail::shuffled_text(reports_[at], random),
        options_.context_length);
    if (options_.sentences)
      sample.sentence = tokenizer_->encode_unpadded(
          std::string(brain_lead) + detail::shuffled_text(reports_[at], random, 1),
          options_.context_length);
    return sample;
  }

 private:
  std::vector<BrainStudy> studies_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  Options options_;
  std::vector<std::vector<std::string>> reports_;
  std::vector<std::size_t> first_slot_;
  std::size_t slots_ = 0;
  std::shared_ptr<const VolumeCache> cache_;
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
