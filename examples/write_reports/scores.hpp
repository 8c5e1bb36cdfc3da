// Pictures with their reports and what was written of them: as a table, and as scores.
#pragma once

#include "options.hpp"

#include <hlip/core/derangement.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace write_reports {

/// Rows of reports.csv; `reports` is empty where a picture has none.
struct Written {
  std::vector<std::string> names, reports, generated;
};

inline void make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) fail_file(folder, "", "cannot be made: {}", failed.message());
}

inline void write_table(const std::string& folder, const Written& all) {
  std::string csv = "image,generated,report\n";
  for (std::size_t i = 0; i < all.names.size(); ++i)
    csv += csv_row(std::vector<std::string>{all.names[i], all.generated[i], all.reports[i]});
  atomic_write(folder + "/reports.csv", csv);
}

/// Before anything is written: what is asked of scores needs reports.
inline void expect_reports(const ScoreOptions& o, const Written& all) {
  const bool asked = o.shuffle_images || !o.read.labels_reference.empty() ||
                     !o.read.radgraph_reference.empty();
  const auto have = std::count_if(all.reports.begin(), all.reports.end(), [](const auto& text) {
    return !white_space_words(text).empty();
  });
  if (asked && have < 2)
    fail("scores",
         "{} of {} pictures have a report to compare with, expected two or more (hint: "
         "a table with a column of reports, --report-column)",
         have, all.reports.size());
}

/// Prints the scores of the rows that have a report, and writes them to scores.csv.
inline void write_scores(const ScoreOptions& o, const Written& all) {
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < all.names.size(); ++i)
    if (!white_space_words(all.reports[i]).empty()) kept.push_back(i);
  if (const auto without = all.names.size() - kept.size(); without > 0)
    fmt::print("{} of {} pictures have no report to compare with\n", without, all.names.size());
  if (kept.empty()) return;
  // what others have read is of all rows
  const ComparedReports compared =
      compare_reports(all.names, all.reports, all.generated, o.read).subset(kept);
  const auto scores = score_reports(compared, o.bootstrap);
  std::vector<ReportScore> control;
  if (o.shuffle_images)
    control = score_reports(compared.with_hypotheses_of(derangement(kept.size(), o.shuffle_seed)),
                            o.bootstrap);
  fmt::print("{}", report_score_text(scores, control));
  atomic_write(o.out + "/scores.csv", report_score_csv(scores, control));
  const auto label = static_cast<std::size_t>(2);
  fmt::print("For research only: not a medical device.\nlabel F1 {}{}, {} reports\n",
             report_score_cell(scores[label]),
             control.empty() ? "" : ", of other pictures " + report_score_cell(control[label]),
             kept.size());
}

/// Scores of a table.
inline int score(const ScoreTableOptions& o) {
  const CsvTable table = read_csv(
      o.file, {o.table.image_column, o.table.report_column, o.generated_column});
  Written all;
  const auto column = [&](const std::string& name, std::vector<std::string>& texts) {
    for (std::size_t r = 0; r < table.rows(); ++r)
      texts.emplace_back(table.at(r, table.column(name)));
  };
  column(o.table.image_column, all.names), column(o.table.report_column, all.reports);
  column(o.generated_column, all.generated);
  expect_reports(o, all);
  make_folder(o.out);
  write_scores(o, all);
  return 0;
}

}  // namespace write_reports
