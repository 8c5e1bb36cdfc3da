// The ROC curve as points to draw.
#pragma once

#include <hlip/eval/auc.hpp>

#include <utility>

HLIP_BEGIN

/// (false positive rate, true positive rate) from (0, 0) to (1, 1), one point for every score that
/// occurs: tied samples are one straight step. The area under the straight lines between them is
/// roc_auc.
/// @return empty if there is no positive or no negative
/// @throws hlip::error on NaN scores, other labels than 0 and 1, or lengths that differ
inline std::vector<std::pair<double, double>> roc_curve(std::span<const double> scores,
                                                        std::span<const std::int64_t> labels) {
  const detail::RankedSamples ranked("roc_curve", scores, labels);
  const auto positives = std::count(labels.begin(), labels.end(), 1),
             negatives = static_cast<std::ptrdiff_t>(labels.size()) - positives;
  if (positives == 0 || negatives == 0) return {};
  std::vector<std::pair<double, double>> points = {{0.0, 0.0}};
  std::int64_t hits = 0, alarms = 0;
  ranked.for_each_score({}, [&](std::int64_t tied_positives, std::int64_t tied_negatives) {
    hits += tied_positives, alarms += tied_negatives;
    points.emplace_back(static_cast<double>(alarms) / static_cast<double>(negatives),
                        static_cast<double>(hits) / static_cast<double>(positives));
  });
  return points;
}

HLIP_END
