// Area under the ROC curve, exact with ties, for samples and for resampled (weighted) samples.
#pragma once

#include <hlip/core/check.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

HLIP_BEGIN

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

namespace detail {
/// Scores must be numbers and labels 0 or 1, as many as there are scores.
HLIP_LAZY void check_scores(std::string_view where, std::span<const double> scores,
                            std::span<const std::int64_t> labels) {
  expect(scores.size() == labels.size(), where, "{} scores, but {} labels", scores.size(),
         labels.size());
  for (std::size_t i = 0; i < scores.size(); ++i) {
    expect(!std::isnan(scores[i]), where, "score {} is not a number", i);
    expect(labels[i] == 0 || labels[i] == 1, where, "label {} is {}, expected 0 or 1", i,
           labels[i]);
  }
}

/// Scores in rising order with their labels: sorted once, asked for any multiplicities, which is
/// what a bootstrap needs.
class RankedSamples {
 public:
  struct Entry {
    std::size_t index;
    bool positive;
    bool last_of_tie;
  };

  /// @param scores higher means more likely positive; @param labels 0 or 1
  /// @throws hlip::error if the lengths differ, a score is NaN or a label is neither 0 nor 1
  HLIP_LAZY RankedSamples(std::string_view where, std::span<const double> scores,
                          std::span<const std::int64_t> labels)
      : where_(where) {
    check_scores(where, scores, labels);
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return scores[a] < scores[b]; });
    for (std::size_t i = 0; i < order.size(); ++i)
      entries_.push_back({order[i], labels[order[i]] == 1,
                          i + 1 == order.size() || scores[order[i]] < scores[order[i + 1]]});
  }
  std::size_t size() const { return entries_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  HLIP_LAZY void check_weights(std::span<const std::int64_t> weights) const {
    expect(weights.size() == entries_.size(), where_, "{} weights, but {} samples", weights.size(),
           entries_.size());
  }
  /// Calls step(positives, negatives) for every score that occurs, from the highest: how many
  /// samples of each kind have it.
  /// @param weights how often sample i counts; empty: every one once
  template <class Step>
  void for_each_score(std::span<const std::int64_t> weights, Step step) const {
    std::int64_t positives = 0, negatives = 0;
    for (std::size_t i = entries_.size(); i-- > 0;) {
      const Entry& e = entries_[i];
      (e.positive ? positives : negatives) += weights.empty() ? 1 : weights[e.index];
      if (i > 0 && !entries_[i - 1].last_of_tie) continue;
      step(positives, negatives);
      positives = negatives = 0;
    }
  }

 private:
  std::string_view where_;
  std::vector<Entry> entries_;
};
}  // namespace detail

/// The area under the ROC curve of scores that are sorted once, for any multiplicities.
class RocAuc {
 public:
  /// @param scores higher means more likely positive; @param labels 0 or 1
  /// @throws hlip::error if the lengths differ, a score is NaN or a label is neither 0 nor 1
  RocAuc(std::span<const double> scores, std::span<const std::int64_t> labels)
      : ranked_("roc_auc", scores, labels) {}

  std::size_t size() const { return ranked_.size(); }

  /// AUC with every sample counted once: the share of (positive, negative) pairs in the right
  /// order, ties one half.
  /// @return NaN if there is no positive or no negative
  HLIP_LAZY double value() const { return sum({}); }

  /// AUC with sample i counted weights[i] times.
  /// @return NaN if no positive or no negative has weight
  HLIP_LAZY double value(std::span<const std::int64_t> weights) const {
    ranked_.check_weights(weights);
    return sum(weights);
  }

 private:
  // Whole numbers throughout, so the result is the correctly rounded one.
  HLIP_LAZY double sum(std::span<const std::int64_t> weights) const {
    std::int64_t positives = 0, negatives = 0, twice_wins = 0;
    ranked_.for_each_score(weights, [&](std::int64_t tied_positives, std::int64_t tied_negatives) {
      twice_wins += tied_negatives * (2 * positives + tied_positives);
      positives += tied_positives, negatives += tied_negatives;
    });
    if (positives == 0 || negatives == 0) return not_a_number;
    return static_cast<double>(twice_wins) /
           (2.0 * static_cast<double>(positives) * static_cast<double>(negatives));
  }

  detail::RankedSamples ranked_;
};

/// ROC AUC, exact with ties.
/// @return NaN if there is no positive or no negative
/// @throws hlip::error on NaN scores, other labels than 0 and 1, or lengths that differ
/// Source: Mann and Whitney 1947; Hanley and McNeil, Radiology 1982.
HLIP_LAZY double roc_auc(std::span<const double> scores, std::span<const std::int64_t> labels) {
  return RocAuc(scores, labels).value();
}

/// Mean of the values that are numbers; NaN if none is.
inline double mean_without_nan(std::span<const double> values) {
  double sum = 0;
  std::int64_t count = 0;
  for (const double v : values)
    if (!std::isnan(v)) sum += v, ++count;
  return count == 0 ? not_a_number : sum / static_cast<double>(count);
}

/// Macro average of the one-versus-rest AUCs of a multi-class problem; classes absent from the
/// labels are left out.
/// @param scores row-major (samples, classes); @param labels class of each sample
HLIP_LAZY double macro_roc_auc(std::span<const double> scores, std::span<const std::int64_t> labels,
                               std::int64_t classes) {
  expect(classes > 0 && scores.size() == labels.size() * static_cast<std::size_t>(classes),
         "macro_roc_auc", "{} scores, expected {} samples x {} classes", scores.size(),
         labels.size(), classes);
  std::vector<double> column(labels.size()), aucs;
  std::vector<std::int64_t> own(labels.size());
  for (std::int64_t c = 0; c < classes; ++c) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      column[i] = scores[i * static_cast<std::size_t>(classes) + static_cast<std::size_t>(c)];
      own[i] = labels[i] == c;
    }
    aucs.push_back(roc_auc(column, own));
  }
  return mean_without_nan(aucs);
}

HLIP_END
