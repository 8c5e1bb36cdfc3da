// Metrics of yes/no decisions, and those at a threshold fitted on the labels under test, named as
// what they are.
#pragma once

#include <hlip/eval/auc.hpp>

#include <array>
#include <iterator>

HLIP_BEGIN

/// The four cells of a yes/no table and what is read off them. Undefined values are NaN where a
/// class is absent.
struct BinaryCounts {
  std::int64_t true_positive = 0, false_positive = 0, true_negative = 0, false_negative = 0;

  std::int64_t positives() const { return true_positive + false_negative; }
  std::int64_t negatives() const { return true_negative + false_positive; }
  std::int64_t total() const { return positives() + negatives(); }

  double accuracy() const { return ratio(true_positive + true_negative, total(), not_a_number); }
  /// Sensitivity; NaN without positives.
  double recall() const { return ratio(true_positive, positives(), not_a_number); }
  /// NaN without negatives.
  double specificity() const { return ratio(true_negative, negatives(), not_a_number); }
  /// 0 if nothing was called positive.
  double precision() const { return ratio(true_positive, true_positive + false_positive, 0); }
  /// Mean of recall and specificity; NaN if a class is absent.
  double balanced_accuracy() const { return (recall() + specificity()) / 2; }
  /// F1 of both classes, weighted by how many samples each has.
  double weighted_f1() const {
    const double f_positive = ratio(2 * true_positive,
                                    2 * true_positive + false_positive + false_negative, 0);
    const double f_negative = ratio(2 * true_negative,
                                    2 * true_negative + false_positive + false_negative, 0);
    if (total() == 0) return not_a_number;
    return (f_positive * static_cast<double>(positives()) +
            f_negative * static_cast<double>(negatives())) /
           static_cast<double>(total());
  }

 private:
  static double ratio(std::int64_t a, std::int64_t b, double otherwise) {
    return b == 0 ? otherwise : static_cast<double>(a) / static_cast<double>(b);
  }
};

/// Counts decisions `score > threshold` against the labels.
/// @throws hlip::error on NaN scores, other labels than 0 and 1, or lengths that differ
HLIP_LAZY BinaryCounts count_binary(std::span<const double> scores,
                                    std::span<const std::int64_t> labels, double threshold = 0.5) {
  detail::check_scores("count_binary", scores, labels);
  BinaryCounts n;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const bool yes = scores[i] > threshold;
    if (labels[i] == 1) ++(yes ? n.true_positive : n.false_negative);
    else ++(yes ? n.false_positive : n.true_negative);
  }
  return n;
}

/// The threshold nearest to the ROC corner, chosen on the very labels that are then scored:
/// optimistic by construction. Of 100 evenly spaced values in [0, 1] the one with the smallest
/// sqrt((1-TPR)^2 + FPR^2); of equals the last.
/// @return NaN if there is no positive or no negative
/// Source: reference evaluation of HLIP.
HLIP_LAZY double threshold_fitted_on_labels(std::span<const double> scores,
                                            std::span<const std::int64_t> labels) {
  detail::check_scores("threshold_fitted_on_labels", scores, labels);
  constexpr int steps = 100;
  double best = std::numeric_limits<double>::infinity(), threshold = not_a_number;
  for (int k = 0; k < steps; ++k) {
    const double t = k + 1 == steps ? 1.0 : k * (1.0 / (steps - 1));
    const auto n = count_binary(scores, labels, t);
    if (n.positives() == 0 || n.negatives() == 0) return not_a_number;
    const double miss = 1 - n.recall(),
                 alarm = static_cast<double>(n.false_positive) / static_cast<double>(n.negatives());
    const double distance = std::sqrt(miss * miss + alarm * alarm);
    if (distance <= best) best = distance, threshold = t;
  }
  return threshold;
}

/// Everything reported for one yes/no class. The `fitted_` values are the reference's starred ones:
/// at a threshold fitted on the same labels; its "acc (balanced)" is plain accuracy and is called
/// so here.
struct BinaryMetrics {
  std::int64_t positives = 0, negatives = 0;
  /// score > 0.5
  double balanced_accuracy = not_a_number, weighted_f1 = not_a_number, recall = not_a_number,
         precision = not_a_number;
  double auc = not_a_number;
  double fitted_threshold = not_a_number, fitted_accuracy = not_a_number,
         fitted_weighted_f1 = not_a_number, fitted_recall = not_a_number,
         fitted_precision = not_a_number;

  static constexpr std::size_t columns = 10;
  static constexpr std::array<std::string_view, columns> names = {"balanced_accuracy",
                                                                  "weighted_f1",
                                                                  "recall",
                                                                  "precision",
                                                                  "auc",
                                                                  "fitted_threshold",
                                                                  "fitted_accuracy",
                                                                  "fitted_weighted_f1",
                                                                  "fitted_recall",
                                                                  "fitted_precision"};
  /// The value of that name. @param k index among `names`
  double& value(std::size_t k) {
    double* const all[] = {&balanced_accuracy,
                           &weighted_f1,
                           &recall,
                           &precision,
                           &auc,
                           &fitted_threshold,
                           &fitted_accuracy,
                           &fitted_weighted_f1,
                           &fitted_recall,
                           &fitted_precision};
    static_assert(std::size(all) == columns);
    return *all[k];
  }
  /// The values in the order of `names`.
  std::array<double, columns> values() const {
    return {balanced_accuracy,
            weighted_f1,
            recall,
            precision,
            auc,
            fitted_threshold,
            fitted_accuracy,
            fitted_weighted_f1,
            fitted_recall,
            fitted_precision};
  }
};

/// All metrics of one class. Without positives or without negatives every one of them is NaN, so
/// that it drops out of means.
/// @param scores probability of the positive answer; @param labels 0 or 1
/// @throws hlip::error on NaN scores, other labels than 0 and 1, or lengths that differ
HLIP_LAZY BinaryMetrics binary_metrics(std::span<const double> scores,
                                       std::span<const std::int64_t> labels) {
  const auto n = count_binary(scores, labels);
  BinaryMetrics m;
  m.positives = n.positives(), m.negatives = n.negatives();
  if (m.positives == 0 || m.negatives == 0) return m;
  m.balanced_accuracy = n.balanced_accuracy(), m.weighted_f1 = n.weighted_f1(),
  m.recall = n.recall(), m.precision = n.precision();
  m.auc = roc_auc(scores, labels);
  m.fitted_threshold = threshold_fitted_on_labels(scores, labels);
  const auto f = count_binary(scores, labels, m.fitted_threshold);
  m.fitted_accuracy = f.accuracy(), m.fitted_weighted_f1 = f.weighted_f1(),
  m.fitted_recall = f.recall(), m.fitted_precision = f.precision();
  return m;
}

/// Unweighted means over classes in the order of BinaryMetrics::names; classes with NaN are left
/// out.
HLIP_LAZY std::array<double, BinaryMetrics::columns> mean_over_classes(
    std::span<const BinaryMetrics> classes) {
  std::array<double, BinaryMetrics::columns> means{};
  std::vector<double> column;
  for (std::size_t k = 0; k < means.size(); ++k) {
    column.clear();
    for (const auto& c : classes) column.push_back(c.values()[k]);
    means[k] = mean_without_nan(column);
  }
  return means;
}

/// Balanced accuracy of the arg-max over several classes: mean recall of the classes that occur.
/// @param scores row-major (samples, classes), of equal scores the first counts; @param labels
/// class of each sample
HLIP_LAZY double balanced_accuracy(std::span<const double> scores,
                                   std::span<const std::int64_t> labels, std::int64_t classes) {
  const auto width = static_cast<std::size_t>(classes);
  expect(classes > 0 && scores.size() == labels.size() * width, "balanced_accuracy",
         "{} scores, expected {} samples x {} classes", scores.size(), labels.size(), classes);
  std::vector<std::int64_t> hits(width), all(width);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    expect(labels[i] >= 0 && labels[i] < classes, "balanced_accuracy",
           "label {} is {}, expected less than {}", i, labels[i], classes);
    const auto row = scores.subspan(i * width, width);
    const auto chosen = std::max_element(row.begin(), row.end()) - row.begin();
    ++all[static_cast<std::size_t>(labels[i])];
    hits[static_cast<std::size_t>(labels[i])] += chosen == labels[i];
  }
  std::vector<double> recalls;
  for (std::size_t c = 0; c < width; ++c)
    recalls.push_back(all[c] == 0 ? not_a_number
                                  : static_cast<double>(hits[c]) / static_cast<double>(all[c]));
  return mean_without_nan(recalls);
}

HLIP_END
