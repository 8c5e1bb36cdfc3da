// Set pub-brain-5: every study is of one of five classes; each task chooses among some of them.
#pragma once

#include "options.hpp"
#include "prompt_scores.hpp"
#include "results.hpp"
#include "scans.hpp"
#include "scores.hpp"

#include <hlip/datasets/public/evaluation_tables.hpp>
#include <hlip/datasets/public/pub_brain_5.hpp>
#include <hlip/datasets/public/studies.hpp>
#include <hlip/datasets/study_json.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/io/json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evaluate {

/// Where a study of the table lies: the part of its path below "pub_brain_5/", below --data-root.
inline std::string below_root(const Options& o, const std::string& study) {
  constexpr std::string_view root = "pub_brain_5/";
  const auto at = study.find(root);
  const std::string inside = at == study.npos ? study : study.substr(at + root.size());
  if (!is_inside_name(inside))
    fail_file(o.labels, "column study", "{} leads out of the data folder", quote_text(study));
  return o.data_root + "/" + inside;
}

/// The column of the labels that is 1, for each study that has scores.
inline std::vector<std::size_t> classes_of(const Options& o, const ScoreTable& scores,
                                           const LabelTable& labels) {
  const auto onehot = labels_of(scores, labels, o.labels);
  const std::size_t columns = labels.columns.size();
  std::vector<std::size_t> classes;
  for (std::size_t i = 0; i < scores.studies.size(); ++i) {
    const auto row = std::span(onehot).subspan(i * columns, columns);
    if (std::count(row.begin(), row.end(), 1) != 1)
      fail_file(o.labels, "", "study {} has {} classes, expected one",
                quote_text(scores.studies[i]), std::count(row.begin(), row.end(), 1));
    classes.push_back(static_cast<std::size_t>(std::find(row.begin(), row.end(), 1) - row.begin()));
  }
  return classes;
}

inline void report_tasks(const Options& o, const Scored& scores,
                         const std::vector<PubBrainResult>& results) {
  Json j = about(o, "Pub-Brain-5", scores);
  j["notes"] = {
      "balanced_accuracy and auc of tumor and disease are means over the classes that occur; tasks "
      "whose studies are all of one class have no metrics (null)"};
  for (const auto& r : results)
    j["tasks"].push_back(
        {{"task", r.name},
         {"studies_of_each_class", r.counts},
         {"balanced_accuracy", json_number(r.balanced_accuracy)},
         {"balanced_accuracy_low", json_number(r.balanced_accuracy_interval.low)},
         {"balanced_accuracy_high", json_number(r.balanced_accuracy_interval.high)},
         {"auc", json_number(r.auc)},
         {"auc_low", json_number(r.auc_interval.low)},
         {"auc_high", json_number(r.auc_interval.high)},
         {"weighted_f1", json_number(r.weighted_f1)},
         {"recall", json_number(r.recall)},
         {"precision", json_number(r.precision)},
         {"interval_note", json_note(r.note())}});
  fmt::print("{}", pub_brain_text(results));
  write_results(o, pub_brain_csv(results), j);
}

inline int run_pub_brain_5(const Options& o) {
  const auto labels = read_label_table(o.labels, "study", pub_brain_5_label_columns(), as_it_is);
  const Find find = [&](const Model& m) {
    ScanFiles found{labels.studies, {}};
    for (const auto& s : labels.studies) found.files.push_back(scan_files(below_root(o, s)));
    return scan_studies(std::move(found), scan_preparation(o, m, true, RawScans::prepare_public));
  };
  const Score score = [](const Model& m, const Embeddings& e) {
    return prompt_logits(m, e, pub_brain_5_prompts(), 1, e.scale);
  };
  const auto scores = obtain_scores(o, labels.columns, as_it_is, find, score);
  say_unscored(labels.studies.size(), scores.studies.size());
  const auto classes = classes_of(o, scores, labels);
  std::vector<PubBrainResult> results;
  for (const auto& task : pub_brain_5_tasks())
    results.push_back(
        score_pub_brain_task(task, scores.studies, scores.values, classes, o.bootstrap));
  report_tasks(o, scores, results);
  return scores.finish();
}

}  // namespace evaluate
