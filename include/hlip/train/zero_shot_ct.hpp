// Zero-shot classification of chest CT with a trained model: prompts in, probabilities of findings out.
// Source: reference document HLIP §7.1.
#pragma once

#include <hlip/data/loader.hpp>
#include <hlip/eval/ct_rate_prompts.hpp>
#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/train/ct_rate_samples.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// The classifier a model and its tokenizer make of a list of findings.
template <int Levels>
ZeroShotClassifier zero_shot_classifier(const Clip<Levels, float, Cpu>& model, const WordPieceTokenizer& tokenizer, const std::vector<ZeroShotClass>& classes) {
  NoGrad guard;
  const auto encode = [&](const std::vector<std::string>& prompts) {
    std::vector<std::vector<std::int64_t>> ids;
    for (const auto& p : prompts) ids.push_back(tokenizer.encode_unpadded(p, model.config.context_length));
    return model.encode_text(pad_ids(ids)).value().to_vector();
  };
  return ZeroShotClassifier(classes, encode, std::exp(static_cast<double>(model.logit_scale.item())));
}

/// Labelled volumes in order. A Dataset.
class CtRateVolumes {
 public:
  /// @param cached of cached_files, or none
  HLIP_LAZY CtRateVolumes(std::vector<CtRateStudy> studies, std::vector<std::string> cached, const CtPreset& preset) : preset_(preset), cached_(std::move(cached)) {
    for (auto& s : studies)
      for (auto& r : s.recons) {
        volumes_.push_back(r);
        labels_.push_back(s.labels);
        std::string text;
        for (const auto& part : s.report) text.append(text.empty() ? "" : " ").append(clean_report(part));
        reports_.push_back(std::move(text));
      }
    if (cached_.empty()) cached_.resize(volumes_.size());
  }
  index_t size() const { return static_cast<index_t>(volumes_.size()); }
  std::string name(index_t i) const { return volumes_[static_cast<std::size_t>(i)].name; }
  const std::vector<std::int8_t>& labels(index_t i) const { return labels_[static_cast<std::size_t>(i)]; }
  const CtRateVolume& source(index_t i) const { return volumes_[static_cast<std::size_t>(i)]; }
  /// The whole report of its study; empty when none was read.
  const std::string& report(index_t i) const { return reports_[static_cast<std::size_t>(i)]; }
  HLIP_LAZY Tensor<float, Cpu> get(index_t i) const { return load_ct_input(volumes_[static_cast<std::size_t>(i)], cached_[static_cast<std::size_t>(i)], preset_); }

 private:
  CtPreset preset_;
  std::vector<std::string> cached_;
  std::vector<CtRateVolume> volumes_;
  std::vector<std::vector<std::int8_t>> labels_;
  std::vector<std::string> reports_;
};

/// How evaluate_zero_shot asks and loads.
struct ZeroShotOptions {
  index_t batch_size = 16, workers = 1;
};

/// The column of a finding in CT-RATE's label tables.
HLIP_LAZY std::size_t label_column(const ZeroShotClass& c) {
  const auto at = std::find(ct_rate_labels.begin(), ct_rate_labels.end(), c.label_column);
  expect(at != ct_rate_labels.end(), "zero_shot", "'{}' is not a label of CT-RATE", c.label_column);
  return static_cast<std::size_t>(at - ct_rate_labels.begin());
}

/// The findings of a prompt template that have both a positive and a negative among the volumes; the names of the others go to `left_out`.
HLIP_LAZY std::vector<ZeroShotClass> evaluable_findings(const CtRateVolumes& volumes, PromptTemplate prompts, std::vector<std::string>& left_out) {
  std::vector<ZeroShotClass> classes;
  left_out.clear();
  for (const auto& c : ct_rate_prompts(prompts)) {
    index_t positive = 0;
    for (index_t i = 0; i < volumes.size(); ++i) positive += volumes.labels(i)[label_column(c)];
    if (positive > 0 && positive < volumes.size()) classes.push_back(c);
    else left_out.push_back(c.name);
  }
  return classes;
}

/// What a model said about every volume.
struct ZeroShotScores {
  std::vector<std::string> findings, volumes;
  std::vector<double> scores;        ///< P(positive), row-major (volumes, findings)
  std::vector<std::int64_t> labels;  ///< the same
  Tensor<float, Cpu> features;       ///< (volumes, E) of length 1

  HLIP_LAZY ZeroShotTable table() const { return ZeroShotTable(findings, scores, labels); }
};

/// Scores every labelled volume for these findings.
/// @param classes of evaluable_findings  @throws hlip::error if a volume cannot be read
template <int Levels>
ZeroShotScores score_zero_shot(const Clip<Levels, float, Cpu>& model, const WordPieceTokenizer& tokenizer, const CtRateVolumes& volumes, const std::vector<ZeroShotClass>& classes,
                               const ZeroShotOptions& options = {}) {
  const ZeroShotClassifier classifier = zero_shot_classifier(model, tokenizer, classes);
  NoGrad guard;
  LoaderOptions loading;
  loading.sampler = {.batch_size = options.batch_size, .shuffle = false, .drop_last = false};
  loading.workers = options.workers;
  DataLoader loader(volumes, loading, [](std::vector<Tensor<float, Cpu>> batch) { return stack_volumes(batch); });
  ZeroShotScores out;
  std::vector<Tensor<float, Cpu>> features;
  while (auto batch = loader.next()) {
    features.push_back(model.encode_image(Var<float, Cpu>(batch->data)).value());
    const auto p = classifier.probabilities(features.back().to_vector());
    out.scores.insert(out.scores.end(), p.begin(), p.end());
    for (const index_t i : batch->indices) {
      out.volumes.push_back(volumes.name(i));
      for (const auto& c : classes) out.labels.push_back(volumes.labels(i)[label_column(c)]);
    }
  }
  for (const auto& c : classes) out.findings.push_back(c.name);
  out.features = concat(features, 0);
  return out;
}

/// The table of score_zero_shot.
template <int Levels>
ZeroShotTable evaluate_zero_shot(const Clip<Levels, float, Cpu>& model, const WordPieceTokenizer& tokenizer, const CtRateVolumes& volumes, const std::vector<ZeroShotClass>& classes,
                                 const ZeroShotOptions& options = {}) {
  return score_zero_shot(model, tokenizer, volumes, classes, options).table();
}

HLIP_END
