// Zero-shot classification with a trained model: prompts in, probabilities of findings out,
// whatever kind of study they are found in.
#pragma once

#include <hlip/data/image_text.hpp>
#include <hlip/data/loader.hpp>
#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/models/clip.hpp>

#include <algorithm>
#include <string>
#include <vector>

HLIP_BEGIN

/// Prompts as features of length 1, a batch at a time. @return row-major (prompts, E)
template <int Levels, class B>
std::vector<double> encode_prompts(const Clip<Levels, float, B>& model,
                                   const WordPieceTokenizer& tokenizer,
                                   const std::vector<std::string>& prompts) {
  constexpr std::size_t batch = 64;
  NoGrad guard;
  std::vector<double> out;
  for (std::size_t at = 0; at < prompts.size(); at += batch) {
    std::vector<std::vector<std::int64_t>> ids;
    for (std::size_t i = at; i < std::min(at + batch, prompts.size()); ++i)
      ids.push_back(tokenizer.encode_unpadded(prompts[i], model.config.context_length));
    for (const float v : model.encode_text(on_backend<B>(pad_ids(ids))).value().to_vector())
      out.push_back(v);
  }
  return out;
}

/// The classifier a model and its tokenizer make of a list of findings.
template <int Levels, class B>
ZeroShotClassifier zero_shot_classifier(const Clip<Levels, float, B>& model,
                                        const WordPieceTokenizer& tokenizer,
                                        const std::vector<ZeroShotClass>& classes) {
  return ZeroShotClassifier(
      classes,
      [&](const std::vector<std::string>& prompts) {
        return encode_prompts(model, tokenizer, prompts);
      },
      std::exp(static_cast<double>(model.logit_scale.item())));
}

/// How volumes are loaded for scoring.
struct ZeroShotOptions {
  index_t batch_size = 16, workers = 1;
};

/// What a model said about every study.
struct ZeroShotScores {
  std::vector<std::string> findings, volumes;
  std::vector<double> scores;        ///< P(positive), row-major (volumes, findings)
  std::vector<std::int64_t> labels;  ///< the same
  Tensor<float, Cpu> features;       ///< (volumes, E) of length 1

  HLIP_LAZY ZeroShotTable table() const { return ZeroShotTable(findings, scores, labels); }
};

/// Scores every study of a data set for these findings.
/// @param volumes a Dataset of volumes or studies; with a batch size above 1 all of one size
/// @param label called as label(i, class) -> 0 or 1  @throws hlip::error if a volume cannot be read
template <int Levels, class B, class Volumes, class Label>
ZeroShotScores score_zero_shot(const Clip<Levels, float, B>& model,
                               const WordPieceTokenizer& tokenizer, const Volumes& volumes,
                               const std::vector<ZeroShotClass>& classes, Label label,
                               const ZeroShotOptions& options) {
  const ZeroShotClassifier classifier = zero_shot_classifier(model, tokenizer, classes);
  NoGrad guard;
  LoaderOptions loading;
  loading.sampler = {.batch_size = options.batch_size, .shuffle = false, .drop_last = false};
  loading.workers = options.workers;
  DataLoader loader(volumes, loading, [](std::vector<Tensor<float, Cpu>> batch) {
    return uploaded_ahead<B>(stack_volumes(batch));
  });
  ZeroShotScores out;
  std::vector<Tensor<float, Cpu>> features;
  while (auto batch = loader.next()) {
    features.push_back(on_backend<Cpu>(model.encode_image(Var<float, B>(batch->data)).value()));
    const auto p = classifier.probabilities(features.back().to_vector());
    out.scores.insert(out.scores.end(), p.begin(), p.end());
    for (const index_t i : batch->indices) {
      out.volumes.push_back(volumes.name(i));
      for (const auto& c : classes) out.labels.push_back(label(i, c));
    }
  }
  for (const auto& c : classes) out.findings.push_back(c.name);
  out.features = concat(features, 0);
  return out;
}

/// The classes that have both a positive and a negative among the studies; the names of the others
/// go to `left_out`.
/// @param label as for score_zero_shot
template <class Label>
std::vector<ZeroShotClass> evaluable_classes(const std::vector<ZeroShotClass>& all, index_t studies,
                                             Label label, std::vector<std::string>& left_out) {
  std::vector<ZeroShotClass> classes;
  left_out.clear();
  for (const auto& c : all) {
    index_t positive = 0;
    for (index_t i = 0; i < studies; ++i) positive += label(i, c);
    if (positive > 0 && positive < studies) classes.push_back(c);
    else left_out.push_back(c.name);
  }
  return classes;
}

HLIP_END
