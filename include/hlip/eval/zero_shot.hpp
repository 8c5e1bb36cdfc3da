// Zero-shot classification arithmetic: from prompt embeddings to probabilities. The encoders arrive
// as embeddings or callables; nothing here knows a model. All in double, so that ranks and ties are
// those of the embeddings.
#pragma once

#include <hlip/eval/auc.hpp>

#include <string>
#include <utility>

HLIP_BEGIN

/// One finding with its pair of filled-in prompts.
struct ZeroShotClass {
  std::string name;          ///< as printed
  std::string label_column;  ///< its column in the label table
  std::string negative;      ///< for example "The volume shows: Not emphysema."
  std::string positive;      ///< for example "The volume shows: Emphysema."
};

namespace detail {
/// Divides by the length, which is taken as at least 1e-12.
inline void l2_normalise(std::span<double> row) {
  double sum = 0;
  for (const double v : row) sum += v * v;
  const double length = std::max(std::sqrt(sum), 1e-12);
  for (double& v : row) v /= length;
}
}  // namespace detail

/// Class weights from embedded prompts: each embedding L2-normalised, mean over the templates,
/// L2-normalised again.
/// @param prompt_embeddings row-major (prompts x templates, dim): all templates of the first
/// prompt, then of the second, ...
/// @return row-major (dim, prompts)
/// @throws hlip::error if the sizes do not fit
/// Source: open_clip zero-shot classifier.
HLIP_LAZY std::vector<double> zero_shot_weights(std::span<const double> prompt_embeddings,
                                                std::int64_t prompts, std::int64_t templates,
                                                std::int64_t dim) {
  expect(prompts > 0 && templates > 0 && dim > 0 &&
             prompt_embeddings.size() == static_cast<std::size_t>(prompts * templates * dim),
         "zero_shot_weights", "{} values, expected {} prompts x {} templates x {}",
         prompt_embeddings.size(), prompts, templates, dim);
  const auto P = static_cast<std::size_t>(prompts), M = static_cast<std::size_t>(templates),
             E = static_cast<std::size_t>(dim);
  std::vector<double> weights(E * P), row(E), mean(E);
  for (std::size_t p = 0; p < P; ++p) {
    std::fill(mean.begin(), mean.end(), 0.0);
    for (std::size_t m = 0; m < M; ++m) {
      const auto from = prompt_embeddings.subspan((p * M + m) * E, E);
      row.assign(from.begin(), from.end());
      detail::l2_normalise(row);
      for (std::size_t e = 0; e < E; ++e) mean[e] += row[e] / static_cast<double>(M);
    }
    detail::l2_normalise(mean);
    for (std::size_t e = 0; e < E; ++e) weights[e * P + p] = mean[e];
  }
  return weights;
}

/// Logits scale * (features . weights).
/// @param features row-major (studies, dim), L2-normalised; @param weights row-major (dim, prompts)
/// @param scale the factor itself, not its logarithm; @return row-major (studies, prompts)
HLIP_LAZY std::vector<double> zero_shot_logits(std::span<const double> features,
                                               std::span<const double> weights, std::int64_t dim,
                                               double scale) {
  const auto E = static_cast<std::size_t>(dim);
  expect(dim > 0 && features.size() % E == 0 && weights.size() % E == 0, "zero_shot_logits",
         "{} feature and {} weight values, expected multiples of dim = {}", features.size(),
         weights.size(), dim);
  const std::size_t studies = features.size() / E, P = weights.size() / E;
  std::vector<double> logits(studies * P);
  for (std::size_t s = 0; s < studies; ++s)
    for (std::size_t e = 0; e < E; ++e)
      for (std::size_t p = 0; p < P; ++p)
        logits[s * P + p] += scale * features[s * E + e] * weights[e * P + p];
  return logits;
}

/// Softmax of each row.
/// @param logits row-major (rows, columns); @return the same shape
HLIP_LAZY std::vector<double> row_softmax(std::span<const double> logits, std::int64_t columns) {
  const auto width = static_cast<std::size_t>(columns);
  expect(columns > 0 && logits.size() % width == 0, "row_softmax", "{} values, expected rows of {}",
         logits.size(), columns);
  std::vector<double> out(logits.begin(), logits.end());
  for (std::size_t first = 0; first < out.size(); first += width) {
    const auto row = std::span(out).subspan(first, width);
    const double top = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (double& v : row) sum += v = std::exp(v - top);
    for (double& v : row) v /= sum;
  }
  return out;
}

/// Probabilities over all prompts of each study: softmax of zero_shot_logits.
HLIP_LAZY std::vector<double> class_probabilities(std::span<const double> features,
                                                  std::span<const double> weights, std::int64_t dim,
                                                  double scale) {
  const auto logits = zero_shot_logits(features, weights, dim, scale);
  expect(!weights.empty(), "class_probabilities", "no prompts");
  return row_softmax(logits, static_cast<std::int64_t>(weights.size()) / dim);
}

/// Probabilities of two prompts against each other: softmax over the columns `first` and `second`
/// alone.
/// @param logits row-major (studies, prompts); @return row-major (studies, 2)
HLIP_LAZY std::vector<double> pair_probabilities(std::span<const double> logits,
                                                 std::int64_t prompts, std::int64_t first,
                                                 std::int64_t second) {
  expect(prompts > 0 && logits.size() % static_cast<std::size_t>(prompts) == 0,
         "pair_probabilities", "{} logits, expected rows of {}", logits.size(), prompts);
  expect(first >= 0 && first < prompts && second >= 0 && second < prompts, "pair_probabilities",
         "columns {} and {} of {} prompts", first, second, prompts);
  std::vector<double> pairs;
  for (std::size_t row = 0; row < logits.size(); row += static_cast<std::size_t>(prompts)) {
    pairs.push_back(logits[row + static_cast<std::size_t>(first)]);
    pairs.push_back(logits[row + static_cast<std::size_t>(second)]);
  }
  return row_softmax(pairs, 2);
}

/// One score for two classes that count as one (arterial and coronary calcification become
/// "Calcification"): the larger if either is above one half, the smaller otherwise. So the merged
/// score is above one half exactly if either is. Source: reference evaluation of HLIP.
HLIP_LAZY std::vector<double> merge_class_scores(std::span<const double> a,
                                                 std::span<const double> b) {
  expect(a.size() == b.size(), "merge_class_scores", "{} and {} scores", a.size(), b.size());
  std::vector<double> merged(a.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    merged[i] = a[i] > 0.5 || b[i] > 0.5 ? std::max(a[i], b[i]) : std::min(a[i], b[i]);
  return merged;
}

/// Yes/no classifier for a list of findings, built once from the text tower and asked study by
/// study.
class ZeroShotClassifier {
 public:
  /// @param classes the findings with their prompts
  /// @param encode_texts called once as encode_texts(std::vector<std::string>) for all prompts
  /// (negative, positive, negative,
  ///        ...); gives their embeddings row-major (prompts, dim) in something with data() and
  ///        size(), of float or double
  /// @param scale exp(logit_scale)
  template <class Encode>
  ZeroShotClassifier(std::vector<ZeroShotClass> classes, Encode&& encode_texts, double scale)
      : classes_(std::move(classes)), scale_(scale) {
    expect(!classes_.empty(), "zero_shot", "no classes");
    std::vector<std::string> prompts;
    for (const auto& c : classes_) prompts.push_back(c.negative), prompts.push_back(c.positive);
    const auto embedded = encode_texts(static_cast<const std::vector<std::string>&>(prompts));
    const std::vector<double> values(embedded.data(), embedded.data() + embedded.size());
    expect(!values.empty() && values.size() % prompts.size() == 0, "zero_shot",
           "{} embedding values for {} prompts", values.size(), prompts.size());
    dim_ = static_cast<std::int64_t>(values.size() / prompts.size());
    weights_ = zero_shot_weights(values, static_cast<std::int64_t>(prompts.size()), 1, dim_);
  }

  const std::vector<ZeroShotClass>& classes() const { return classes_; }
  std::int64_t dim() const { return dim_; }
  double scale() const { return scale_; }
  /// The embedding of a finding's positive prompt, of length 1.
  HLIP_LAZY std::vector<double> positive_embedding(std::size_t finding) const {
    std::vector<double> column;
    for (std::size_t e = 0; e < static_cast<std::size_t>(dim_); ++e)
      column.push_back(weights_[e * 2 * classes_.size() + 2 * finding + 1]);
    return column;
  }

  /// P(positive) of every finding for L2-normalised image features.
  /// @param features row-major (studies, dim), float or double; @return row-major (studies,
  /// classes)
  template <class Features> std::vector<double> probabilities(const Features& features) const {
    const std::vector<double> values(features.data(), features.data() + features.size());
    const auto logits = zero_shot_logits(values, weights_, dim_, scale_);
    const auto pairs = row_softmax(logits, 2);
    std::vector<double> positive;
    for (std::size_t i = 1; i < pairs.size(); i += 2) positive.push_back(pairs[i]);
    return positive;
  }

 private:
  std::vector<ZeroShotClass> classes_;
  std::vector<double> weights_;
  std::int64_t dim_ = 0;
  double scale_ = 1;
};

HLIP_END
