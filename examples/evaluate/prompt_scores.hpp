// From embeddings to scores: what the prompts of each column say about each study.
#pragma once

#include "embeddings.hpp"
#include "model.hpp"

#include <hlip/eval/zero_shot.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace evaluate {

using Score = std::function<std::vector<double>(const Model&, const Embeddings&)>;

/// scale * cosine of studies and prompts, each the mean of its templates.
inline std::vector<double> prompt_logits(const Model& m, const Embeddings& e,
                                         const std::vector<std::string>& prompts,
                                         std::size_t templates, double scale) {
  const auto embedded = m.encode_prompts(prompts);
  const auto n = static_cast<std::int64_t>(prompts.size() / templates);
  return zero_shot_logits(
      e.features, zero_shot_weights(embedded, n, static_cast<std::int64_t>(templates), e.dim),
      e.dim, scale);
}

/// P(positive) of each finding.
inline Score pair_scores(const std::vector<ZeroShotClass>& classes) {
  return [classes](const Model& m, const Embeddings& e) {
    return ZeroShotClassifier(classes, m.encode_prompts, m.scale).probabilities(e.features);
  };
}

}  // namespace evaluate
