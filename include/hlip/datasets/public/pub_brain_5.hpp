// Pub-Brain-5: four detections against normal studies, tumours told apart, diseases told apart.
// Source: reference document HLIP §7.2.
#pragma once

#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/table_text.hpp>
#include <hlip/eval/zero_shot.hpp>

#include <array>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Columns of the table of labels, and with it the order of prompts and logits.
inline constexpr std::array<std::string_view, 5> pub_brain_5_classes = {
    "Normal", "Stroke", "Glioma", "Meningioma", "Metastasis"};

/// Slices that the published evaluation brings each scan to: 144 in June 2025, 48 for the models
/// that came later (…_scan_study_…).
/// @param model name of its configuration
constexpr std::int64_t pub_brain_5_slices(std::string_view model) {
  return model.find("_scan_study_") == model.npos ? 144 : 48;
}

inline std::vector<std::string> pub_brain_5_prompts() {
  std::vector<std::string> out;
  for (const char* words :
       {"No significant abnormalities", "Acute stroke", "Glioma", "Meningioma", "Metastasis"})
    out.push_back("This MRI study shows: " + std::string(words) + ".");
  return out;
}

/// One task: the classes to choose among, and the studies that take part: those whose path has one
/// of these words in it.
struct PubBrainTask {
  std::string_view name;
  std::vector<std::size_t> classes;
  std::vector<std::string_view> sources;  ///< none: all studies

  bool takes(std::string_view study) const {
    return sources.empty() || std::any_of(sources.begin(), sources.end(), [&](std::string_view s) {
             return study.find(s) != study.npos;
           });
  }
};

inline std::vector<PubBrainTask> pub_brain_5_tasks() {
  return {{"stroke", {0, 1}, {"stroke", "open_bhb"}},
          {"glioma", {0, 2}, {"glioma", "open_bhb"}},
          {"meningioma", {0, 3}, {"meningioma", "open_bhb"}},
          {"metastasis", {0, 4}, {"metastasis", "nyu_mets", "ucsf_mets", "open_bhb"}},
          {"tumor", {2, 3, 4}, {"brats23", "nyu_mets", "ucsf_mets"}},
          {"disease", {0, 1, 2, 3, 4}, {}}};
}

/// What one task came to. Without studies of a class the detections have no metrics (NaN); of
/// several classes the absent ones are left out.
struct PubBrainResult {
  std::string name;
  std::vector<std::int64_t> counts;  ///< studies of each class of the task
  /// of the arg-max; of several classes the macro average, one against the rest
  double balanced_accuracy = not_a_number, auc = not_a_number;
  Interval balanced_accuracy_interval, auc_interval;
  /// detections only
  double weighted_f1 = not_a_number, recall = not_a_number, precision = not_a_number;

  std::int64_t studies() const {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  }
  /// As interval_note, of either interval.
  std::string note() const {
    if (!std::isnan(auc) && std::count(counts.begin(), counts.end(), 1) > 0)
      return "one study of a class: too narrow";
    return balanced_accuracy_interval.without_width() || auc_interval.without_width()
               ? "no width: too narrow"
               : "";
  }
};

/// Scores one task: softmax over the task's logits.
/// @param studies their paths; @param logits row-major (studies, 5); @param labels index of the
/// class of each study
/// @throws hlip::error when a study that takes part is of none of the task's classes
HLIP_LAZY PubBrainResult score_pub_brain_task(const PubBrainTask& task,
                                              std::span<const std::string> studies,
                                              std::span<const double> logits,
                                              std::span<const std::size_t> labels,
                                              const BootstrapOptions& options = {}) {
  constexpr std::size_t width = pub_brain_5_classes.size();
  expect(logits.size() == studies.size() * width && labels.size() == studies.size(), "pub_brain_5",
         "{} studies, {} logits and {} labels", studies.size(), logits.size(), labels.size());
  const std::size_t K = task.classes.size();
  std::vector<double> own;
  std::vector<std::size_t> truth;
  PubBrainResult out{std::string(task.name),
                     std::vector<std::int64_t>(K),
                     not_a_number,
                     not_a_number,
                     {},
                     {},
                     not_a_number,
                     not_a_number,
                     not_a_number};
  for (std::size_t i = 0; i < studies.size(); ++i) {
    if (!task.takes(studies[i])) continue;
    const auto at = std::find(task.classes.begin(), task.classes.end(), labels[i]);
    if (at == task.classes.end())
      fail("pub_brain_5", "task {}: study {} is labelled {}, which is not among its classes",
           task.name, studies[i], labels[i] < width ? pub_brain_5_classes[labels[i]] : "nothing");
    truth.push_back(static_cast<std::size_t>(at - task.classes.begin()));
    ++out.counts[truth.back()];
    for (const auto c : task.classes) own.push_back(logits[i * width + c]);
  }
  if (truth.empty()) return out;
  const auto p = row_softmax(own, static_cast<std::int64_t>(K));
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < truth.size(); ++i)
    chosen.push_back(static_cast<std::size_t>(
                         std::max_element(p.begin() + static_cast<std::ptrdiff_t>(i * K),
                                          p.begin() + static_cast<std::ptrdiff_t>((i + 1) * K)) -
                         p.begin()) -
                     i * K);
  std::vector<RocAuc> aucs;
  std::vector<double> column(truth.size());
  std::vector<std::int64_t> is_class(truth.size());
  // Of two classes the second is the finding, the other its mirror image
  for (std::size_t c = K == 2 ? 1 : 0; c < K; ++c) {
    for (std::size_t i = 0; i < truth.size(); ++i)
      column[i] = p[i * K + c], is_class[i] = truth[i] == c;
    aucs.emplace_back(column, is_class);
  }
  const bool defined = K > 2 || (out.counts[0] > 0 && out.counts[1] > 0);
  if (!defined) return out;

  const auto both = [&](auto weight, std::span<double> to) {
    std::vector<double> hits(K), all(K), recalls, values;
    for (std::size_t i = 0; i < truth.size(); ++i) {
      all[truth[i]] += static_cast<double>(weight(i));
      if (chosen[i] == truth[i]) hits[truth[i]] += static_cast<double>(weight(i));
    }
    for (std::size_t c = 0; c < K; ++c)
      recalls.push_back(all[c] == 0 ? not_a_number : hits[c] / all[c]);
    to[0] = mean_without_nan(recalls);
    if (K == 2 && (all[0] == 0 || all[1] == 0)) to[0] = not_a_number;
  };
  const auto auc_of = [&](auto&&... weights) {
    std::vector<double> values;
    for (const auto& a : aucs) values.push_back(a.value(weights...));
    return mean_without_nan(values);
  };
  std::array<double, 2> value{};
  both([](std::size_t) { return 1; }, value);
  out.balanced_accuracy = value[0];
  out.auc = auc_of();
  const auto intervals = bootstrap_intervals(
      static_cast<std::int64_t>(truth.size()), 2,
      [&](std::span<const std::int64_t> weights, std::span<double> to) {
        both([&](std::size_t i) { return weights[i]; }, to);
        to[1] = auc_of(weights);
      },
      options);
  out.balanced_accuracy_interval = intervals[0];
  out.auc_interval = intervals[1];
  if (K == 2) {
    BinaryCounts n;
    for (std::size_t i = 0; i < truth.size(); ++i)
      ++(truth[i] ? (chosen[i] ? n.true_positive : n.false_negative)
                  : (chosen[i] ? n.false_positive : n.true_negative));
    out.weighted_f1 = n.weighted_f1(), out.recall = n.recall(), out.precision = n.precision();
  }
  return out;
}

/// CSV with a header line; undefined values are empty fields.
HLIP_LAZY std::string pub_brain_csv(const std::vector<PubBrainResult>& results) {
  using detail::csv_number;
  std::string text =
      "task,studies,balanced_accuracy,balanced_accuracy_low,balanced_accuracy_high,auc,auc_low,auc_"
      "high,weighted_f1,recall,precision,interval_note\n";
  for (const auto& r : results)
    text += fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{}\n", r.name, r.studies(),
        csv_number(r.balanced_accuracy), csv_number(r.balanced_accuracy_interval.low),
        csv_number(r.balanced_accuracy_interval.high), csv_number(r.auc),
        csv_number(r.auc_interval.low), csv_number(r.auc_interval.high), csv_number(r.weighted_f1),
        csv_number(r.recall), csv_number(r.precision), csv_field(r.note()));
  return text;
}

/// Aligned table for a console.
HLIP_LAZY std::string pub_brain_text(const std::vector<PubBrainResult>& results) {
  using detail::table_cell, detail::table_range;
  bool marked = false;
  std::string text = fmt::format("{:<11} {:>7}  {:>7}  {:^13}  {:>6}  {:^13}  {:>6} {:>6} {:>6}\n",
                                 "task", "studies", "bal.acc", "CI", "AUC", "CI", "wF1", "recall",
                                 "prec");
  for (const auto& r : results) {
    const std::string_view mark = mark_of(r.note());
    text += fmt::format(
        "{:<11} {:>7}  {:>7}  {:^13}  {:>6}  {:^13}  {:>6} {:>6} {:>6}\n", r.name, r.studies(),
        table_cell(r.balanced_accuracy),
        table_range(r.balanced_accuracy_interval.low, r.balanced_accuracy_interval.high, mark),
        table_cell(r.auc), table_range(r.auc_interval.low, r.auc_interval.high, mark),
        table_cell(r.weighted_f1), table_cell(r.recall), table_cell(r.precision));
    marked = marked || !mark.empty();
  }
  return marked ? text + std::string(interval_mark_line) : text;
}

HLIP_END
