// Precision against recall: the curve, and the area under it as step-wise average precision, which
// is what "AUPRC" means here.
// Source: scikit-learn, average_precision_score and precision_recall_curve.
#pragma once

#include <hlip/eval/auc.hpp>

HLIP_BEGIN

/// Step-wise average precision of scores that are sorted once, for any multiplicities.
class AveragePrecision {
 public:
  /// @param scores higher means more likely positive; @param labels 0 or 1
  /// @throws hlip::error if the lengths differ, a score is NaN or a label is neither 0 nor 1
  AveragePrecision(std::span<const double> scores, std::span<const std::int64_t> labels)
      : ranked_("average_precision", scores, labels) {}

  std::size_t size() const { return ranked_.size(); }

  /// The sum over falling thresholds of (gain in recall) x (precision there), tied scores being one
  /// threshold: no straight lines between points, which would flatter.
  /// @return NaN if there is no positive; 1 if there is no negative
  HLIP_LAZY double value() const { return sum({}); }
  /// The same with sample i counted weights[i] times.
  HLIP_LAZY double value(std::span<const std::int64_t> weights) const {
    ranked_.check_weights(weights);
    return sum(weights);
  }

 private:
  HLIP_LAZY double sum(std::span<const std::int64_t> weights) const {
    std::int64_t positives = 0, all = 0;
    double area = 0;
    ranked_.for_each_score(weights, [&](std::int64_t tied_positives, std::int64_t tied_negatives) {
      positives += tied_positives, all += tied_positives + tied_negatives;
      if (tied_positives > 0)
        area += static_cast<double>(tied_positives) * static_cast<double>(positives) /
                static_cast<double>(all);
    });
    return positives == 0 ? not_a_number : area / static_cast<double>(positives);
  }

  detail::RankedSamples ranked_;
};

/// AUPRC as step-wise average precision, exact with ties.
/// @return NaN if there is no positive
/// @throws hlip::error on NaN scores, other labels than 0 and 1, or lengths that differ
HLIP_LAZY double average_precision(std::span<const double> scores,
                                   std::span<const std::int64_t> labels) {
  return AveragePrecision(scores, labels).value();
}

/// Precision and recall of "score >= threshold", for every score that occurs, rising; behind them
/// the point (1, 0), to which no threshold belongs.
struct PrecisionRecallCurve {
  std::vector<double> precision, recall;  ///< one more than there are thresholds
  std::vector<double> threshold;
};

/// The whole curve, no point left out.
/// @return recall is NaN throughout if there is no positive
/// @throws hlip::error on NaN scores, other labels than 0 and 1, or lengths that differ
HLIP_LAZY PrecisionRecallCurve precision_recall_curve(std::span<const double> scores,
                                                      std::span<const std::int64_t> labels) {
  const detail::RankedSamples ranked("precision_recall_curve", scores, labels);
  auto left = static_cast<double>(scores.size());
  const auto positives = static_cast<double>(std::count(labels.begin(), labels.end(), 1));
  double hits = positives;
  PrecisionRecallCurve curve;
  bool first_of_tie = true;
  for (const auto& e : ranked.entries()) {
    if (first_of_tie) {
      curve.threshold.push_back(scores[e.index]);
      curve.precision.push_back(hits / left);
      curve.recall.push_back(positives > 0 ? hits / positives : not_a_number);
    }
    left -= 1, hits -= e.positive ? 1 : 0;
    first_of_tie = e.last_of_tie;
  }
  curve.precision.push_back(1), curve.recall.push_back(0);
  return curve;
}

HLIP_END
