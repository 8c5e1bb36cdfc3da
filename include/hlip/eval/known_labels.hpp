// Labels of findings of which some are not known: of each finding the pictures that count, and the
// mean over findings of what is measured on these.
#pragma once

#include <hlip/eval/average_precision.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

/// The pictures whose label of one finding is known.
struct KnownLabels {
  std::vector<std::size_t> pictures;  ///< rising
  std::vector<std::int64_t> labels;   ///< of these, 0 or 1
  std::int64_t positives = 0, negatives = 0;

  /// @param all row-major (pictures, findings), 0, 1, or NaN where it is not known
  /// @param finding which of them, from 0
  /// @throws hlip::error if the sizes do not fit or a label is something else
  HLIP_LAZY KnownLabels(std::span<const double> all, std::size_t finding, std::size_t findings) {
    expect(finding < findings && all.size() % findings == 0, "known_labels",
           "{} labels, expected rows of {} findings, of which {} is one", all.size(), findings,
           finding);
    for (std::size_t i = finding; i < all.size(); i += findings) {
      if (std::isnan(all[i])) continue;
      expect(all[i] == 0 || all[i] == 1, "known_labels", "label {} is {}, expected 0, 1 or NaN", i,
             all[i]);
      pictures.push_back(i / findings), labels.push_back(all[i] == 1 ? 1 : 0);
      ++(all[i] == 1 ? positives : negatives);
    }
    finding_ = finding, findings_ = findings;
  }

  /// Whether there are pictures with the finding and without it: otherwise nothing can be learned
  /// from them, nor measured on them.
  bool both() const { return positives > 0 && negatives > 0; }

  /// What is said of this finding in these pictures. @param all row-major as the labels
  /// @throws hlip::error if there are fewer
  HLIP_LAZY std::vector<double> scores(std::span<const double> all) const {
    std::vector<double> own;
    for (const std::size_t i : pictures) {
      expect(i * findings_ + finding_ < all.size(), "known_labels",
             "{} scores, expected {} for each of the pictures that have labels", all.size(),
             findings_);
      own.push_back(all[i * findings_ + finding_]);
    }
    return own;
  }

 private:
  std::size_t finding_ = 0, findings_ = 1;
};

/// Macro AUPRC: the mean over findings of the average precision on the pictures whose label is
/// known. A finding of which these have one label alone counts in no mean.
/// @param scores row-major (pictures, findings), higher means more likely; @param labels the same,
/// 0, 1, or NaN where it is not known
/// @return NaN if no finding has both labels
/// @throws hlip::error if the sizes do not fit, a score is NaN or a label something else
HLIP_LAZY double macro_average_precision(std::span<const double> scores,
                                         std::span<const double> labels, std::size_t findings) {
  expect(findings > 0 && scores.size() == labels.size(), "macro_average_precision",
         "{} scores and {} labels of {} findings", scores.size(), labels.size(), findings);
  std::vector<double> of_findings;
  for (std::size_t k = 0; k < findings; ++k) {
    const KnownLabels known(labels, k, findings);
    of_findings.push_back(known.both() ? average_precision(known.scores(scores), known.labels)
                                       : not_a_number);
  }
  return mean_without_nan(of_findings);
}

HLIP_END
