// The tables that `evaluate` reads beside those of CT-RATE: which set a table is of, and whether it
// is sound. Needs libcsv and nlohmann_json.
#pragma once

#include <hlip/datasets/inspect.hpp>
#include <hlip/datasets/public/head_ct_prompts.hpp>
#include <hlip/datasets/public/pub_brain_5.hpp>
#include <hlip/datasets/public/rad_chestct.hpp>
#include <hlip/eval/score_table.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Columns to look for, each under one of several names.
using TableColumns = std::vector<std::vector<std::string>>;

/// The 15 labels of Rad-ChestCT by CT-RATE's names or the set's own; later tables hold the two
/// calcifications merged.
inline TableColumns rad_chestct_label_columns() {
  TableColumns columns;
  for (const auto& c : rad_chestct_columns) {
    columns.push_back({std::string(c.name), std::string(c.source)});
    if (c.source == "calcification") columns.back().emplace_back("Calcification");
  }
  return columns;
}

inline TableColumns pub_brain_5_label_columns() {
  TableColumns columns;
  for (const auto c : pub_brain_5_classes) columns.push_back({std::string(c)});
  return columns;
}

/// The labels of RSNA or CQ500.
inline TableColumns ranking_label_columns(const RankingPrompts& prompts) {
  TableColumns columns;
  for (const auto& f : prompts.findings) columns.push_back({f.column});
  return columns;
}

namespace detail {

inline bool has_columns(const CsvTable& table, const TableColumns& columns) {
  return std::all_of(columns.begin(), columns.end(), [&](const auto& names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& n) { return table.find(n) >= 0; });
  });
}

/// All columns but the one of studies.
inline TableColumns other_columns(const CsvTable& table, int key) {
  TableColumns columns;
  for (int c = 0; c < static_cast<int>(table.columns().size()); ++c)
    if (c != key) columns.push_back({table.columns()[static_cast<std::size_t>(c)]});
  return columns;
}

inline void inspect_labels(const CsvTable& table, const std::string& path, const std::string& set,
                           const std::string& key, const TableColumns& columns,
                           FileReport& report) {
  const LabelTable labels = label_rows(
      table, path, key, columns, [](std::string_view s) { return std::string(s); },
      report.problems);
  report.rows = labels.studies.size();
  report.summary = fmt::format("{}, {} stud{}", set, table.rows(), table.rows() == 1 ? "y" : "ies");
  if (report.rows != table.rows()) report.summary += fmt::format(", {} of them sound", report.rows);
  for (std::size_t c = 0; c < labels.columns.size(); ++c) {
    std::int64_t positives = 0;
    for (std::size_t i = 0; i < report.rows; ++i) positives += labels.row(i)[c];
    report.details.push_back(
        fmt::format("{}: {} of {}", labels.columns[c], positives, report.rows));
  }
}

/// Numbers in every column but the first.
inline void inspect_scores(const CsvTable& table, FileReport& report, const std::string& path) {
  std::vector<std::string> columns;
  for (const auto& names : other_columns(table, 0)) columns.push_back(names.front());
  const ScoreTable scores = read_score_table(path, columns,
                                             [](std::string_view s) { return std::string(s); });
  report.rows = scores.studies.size();
  report.summary = fmt::format("table of scores, {} column{} of {} stud{}", columns.size(),
                               columns.size() == 1 ? "" : "s", report.rows,
                               report.rows == 1 ? "y" : "ies");
}

/// Whether a number is neither 0 nor 1 by its decimals: scores, and no labels.
inline bool looks_like_scores(const CsvTable& table) {
  for (std::size_t r = 0; r < table.rows(); ++r)
    for (int c = 1; c < static_cast<int>(table.columns().size()); ++c)
      if (const auto text = table.at(r, c); text.size() > 2 && text != "0.0" && text != "1.0" &&
                                            text.find_first_not_of("+-.0123456789e") == text.npos)
        return true;
  return false;
}

}  // namespace detail

/// Looks into a table as `evaluate` would read it: the labels of Rad-ChestCT, Pub-Brain-5, RSNA,
/// CQ500 or of studies of one's own (column "study"), and scores ("study", or "recon" as the
/// reference writes them).
/// @param report gets what was found  @return false, with the report as it was, for a table that is
/// none of these
/// @throws hlip::error when the file cannot be read or is cut
inline bool inspect_evaluation_table(const std::string& path, FileReport& report) {
  using namespace detail;
  const CsvTable table = read_csv(path);
  const auto has = [&](std::string_view name) { return table.find(name) >= 0; };
  if (has("VolumeName") || table.columns().size() < 2) return false;
  if (has("NoteAcc_DEID")) {
    inspect_labels(table, path, "Rad-ChestCT table of labels", "NoteAcc_DEID",
                   rad_chestct_label_columns(), report);
  } else if (table.columns().front() == "recon" ||
             (table.columns().front() == "study" && looks_like_scores(table))) {
    inspect_scores(table, report, path);
  } else if (has("study")) {
    const std::pair<const char*, TableColumns> sets[] = {
        {"Pub-Brain-5 table of labels", pub_brain_5_label_columns()},
        {"RSNA table of labels", ranking_label_columns(rsna_prompts())},
        {"CQ500 table of labels", ranking_label_columns(cq500_prompts())}};
    for (const auto& [set, columns] : sets)
      if (has_columns(table, columns)) {
        inspect_labels(table, path, set, "study", columns, report);
        return true;
      }
    inspect_labels(table, path, "table of labels", "study",
                   other_columns(table, table.find("study")), report);
  } else {
    return false;
  }
  return true;
}

/// As inspect_file, of any table: those of CT-RATE, and those of inspect_evaluation_table.
inline FileReport inspect_table_file(const std::string& path) {
  return detail::reported(path, [&](FileReport& report) {
    if (!inspect_evaluation_table(path, report)) detail::inspect_table(path, report);
  });
}

HLIP_END
