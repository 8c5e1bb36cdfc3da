// Results: tables on the screen, metrics.csv and metrics.json.
#pragma once

#include "options.hpp"
#include "scores.hpp"

#include <hlip/eval/auc_table.hpp>
#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace evaluate {

inline Json json_number(double v) { return std::isnan(v) ? Json() : Json(v); }
inline Json json_note(const std::string& note) { return note.empty() ? Json() : Json(note); }

/// What every result says about itself.
inline Json about(const Options& o, const std::string& dataset, const Scored& scored) {
  Json j;
  j["dataset"] = dataset;
  j["studies"] = scored.studies.size();
  j["failed"] = scored.failed;
  j["scores"] = o.scores.empty() ? o.out + "/scores.csv" : o.scores;
  j["intervals"] = {{"method", "percentile bootstrap over studies"},
                    {"resamples", o.bootstrap.resamples},
                    {"confidence", o.bootstrap.confidence},
                    {"seed", o.bootstrap.seed}};
  return j;
}

/// The mean AUC of a table, with its interval.
template <class Table> Json json_macro_auc(const Table& table) {
  return {{"value", json_number(table.macro_auc())},
          {"low", json_number(table.macro_interval().low)},
          {"high", json_number(table.macro_interval().high)},
          {"interval_note", json_note(interval_note(table.macro_interval()))}};
}

inline void write_results(const Options& o, const std::string& csv, const Json& json) {
  atomic_write(o.out + "/metrics.csv", csv);
  atomic_write(o.out + "/metrics.json", json.dump(2) + "\n");
  fmt::print(
      "written: {0}/metrics.csv, {0}/metrics.json{1}\nFor research only: not a medical device.\n",
      o.out, o.scores.empty() ? ", and scores.csv to score again without a model" : "");
}

/// The table of yes/no findings of chest CT.
inline void report_findings(const Options& o, const std::string& dataset, const Scored& scored,
                            std::span<const std::string> names, std::span<const double> scores,
                            std::span<const std::int64_t> labels) {
  const ZeroShotTable table(names, scores, labels, o.bootstrap);
  Json j = about(o, dataset, scored);
  j["macro_auc"] = json_macro_auc(table);
  j["notes"] = {
      "fitted_*: at a threshold fitted on these same test labels, which is optimistic; "
      "fitted_accuracy is plain accuracy, which the reference prints as \"acc (balanced)\"",
      "findings whose labels are all equal have no metrics (null) and count in no mean: see "
      "left_out"};
  j["left_out"] = table.left_out();
  for (std::size_t k = 0; k < BinaryMetrics::columns; ++k)
    j["means"][std::string(BinaryMetrics::names[k])] = json_number(table.means()[k]);
  for (const auto& r : table.rows()) {
    Json f = {{"finding", r.name},
              {"positives", r.metrics.positives},
              {"negatives", r.metrics.negatives},
              {"auc_low", json_number(r.auc_interval.low)},
              {"auc_high", json_number(r.auc_interval.high)},
              {"interval_note", json_note(r.note())}};
    for (std::size_t k = 0; k < BinaryMetrics::columns; ++k)
      f[std::string(BinaryMetrics::names[k])] = json_number(r.metrics.values()[k]);
    j["findings"].push_back(std::move(f));
  }
  fmt::print("{}", table.to_text(true));
  write_results(o, table.to_csv(), j);
  fmt::print("{}\n", table.last_line());
}

inline void report_ranking(const Options& o, const std::string& dataset, const Scored& scored,
                           const AucTable& table) {
  Json j = about(o, dataset, scored);
  j["macro_auc"] = json_macro_auc(table);
  j["left_out"] = table.left_out();
  for (const auto& r : table.rows())
    j["findings"].push_back({{"finding", r.name},
                             {"positives", r.positives},
                             {"negatives", r.negatives},
                             {"auc", json_number(r.auc)},
                             {"auc_low", json_number(r.interval.low)},
                             {"auc_high", json_number(r.interval.high)},
                             {"interval_note", json_note(r.note())}});
  fmt::print("{}", table.to_text());
  write_results(o, table.to_csv(), j);
  fmt::print("{}\n", table.last_line());
}

}  // namespace evaluate
