// Scores of studies as a CSV that is written once and evaluated as often as one likes, and the
// tables of labels beside it. Needs libcsv.
#pragma once

#include <hlip/data/problems.hpp>
#include <hlip/eval/bare_name.hpp>
#include <hlip/eval/table_text.hpp>
#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/io/csv.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One number for each study and column.
struct ScoreTable {
  std::vector<std::string> columns, studies;
  std::vector<double> values;  ///< row-major (studies, columns)

  /// CSV: "study" and the columns; numbers that read back exactly.
  HLIP_LAZY std::string to_csv() const {
    std::string text = "study";
    for (const auto& c : columns) (text += ',') += csv_field(c);
    text += '\n';
    for (std::size_t i = 0; i < studies.size(); ++i) {
      text += csv_field(studies[i]);
      for (std::size_t c = 0; c < columns.size(); ++c)
        (text += ',') += detail::csv_number(values[i * columns.size() + c]);
      text += '\n';
    }
    return text;
  }
};

/// Reads scores: the first column names the study (also "recon", as the reference writes it),
/// others are found by name.
/// @param name makes a study's name comparable, for example bare_name
/// @throws hlip::error with the line for fields that are no finite numbers and studies given twice
template <class Name>
ScoreTable read_score_table(const std::string& path, const std::vector<std::string>& columns,
                            Name name) {
  const CsvTable table = read_csv(path, columns);
  ScoreTable out{columns, {}, {}};
  std::unordered_map<std::string, std::size_t> lines;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    out.studies.push_back(name(table.at(r, 0)));
    if (const auto [first, added] = lines.emplace(out.studies.back(), table.line(r)); !added)
      fail_file(path, table.place(r, 0), "{} is already in line {}", quote_text(out.studies.back()),
                first->second);
    for (const auto& c : columns) {
      out.values.push_back(table_number<double>(table, r, table.column(c)));
      if (!std::isfinite(out.values.back()))
        fail_file(path, table.place(r, table.column(c)), "is {}, expected a number",
                  quote_text(table.at(r, table.column(c))));
    }
  }
  return out;
}

/// 0 or 1 for each study and column.
struct LabelTable {
  std::vector<std::string> columns, studies;
  std::vector<std::int64_t> values;  ///< row-major (studies, columns)
  std::unordered_map<std::string, std::size_t> row_of;

  std::span<const std::int64_t> row(std::size_t i) const {
    return std::span(values).subspan(i * columns.size(), columns.size());
  }
};

/// Reads labels: 0, 1, 0.0 or 1.0. @param key column that names the study; @param columns wanted,
/// each a name or several to look for
/// @param problems gets a message with the line for other values and studies given twice, as
/// FileProblems lists them; such rows are left out
/// @throws hlip::error when a column is absent
template <class Name>
LabelTable label_rows(const CsvTable& table, const std::string& path, const std::string& key,
                      const std::vector<std::vector<std::string>>& columns, Name name,
                      Problems& problems) {
  LabelTable out;
  std::vector<int> at;
  for (const auto& names : columns) {
    int found = -1;
    for (const auto& n : names)
      if (found < 0) found = table.find(n);
    if (found < 0) fail_file(path, "line 1", "column {} is absent", names.front());
    at.push_back(found);
    out.columns.push_back(names.front());
  }
  const int id = table.column(key);
  FileProblems faults(problems, path);
  std::unordered_map<std::string, std::size_t> lines;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const std::size_t before = faults.count();
    std::string study = name(table.at(r, id));
    const auto [first, added] = lines.emplace(study, table.line(r));
    if (const std::size_t line = first->second; !added)
      faults.add([&] {
        return fmt::format("{}: {} is already in line {}", table.place(r, id), quote_text(study),
                           line);
      });
    std::vector<std::int64_t> row;
    for (const int c : at) {
      const auto text = table.at(r, c);
      row.push_back(text == "1" || text == "1.0");
      if (row.back() == 0 && text != "0" && text != "0.0")
        faults.add([&] {
          return fmt::format("{}: is {}, expected 0 or 1", table.place(r, c), quote_text(text));
        });
    }
    if (faults.count() > before) continue;
    out.row_of.emplace(study, out.studies.size());
    out.studies.push_back(std::move(study));
    out.values.insert(out.values.end(), row.begin(), row.end());
  }
  return out;
}

/// The labels of a file, as label_rows. @throws hlip::error with the line of its first fault
template <class Name>
LabelTable read_label_table(const std::string& path, const std::string& key,
                            const std::vector<std::vector<std::string>>& columns, Name name) {
  Problems problems;
  LabelTable out = label_rows(read_csv(path, {key}), path, key, columns, name, problems);
  if (!problems.empty()) throw error(problems.front());
  return out;
}

/// The labels of the studies of a table of scores, row-major in its order. @throws hlip::error
/// naming a study without labels
HLIP_LAZY std::vector<std::int64_t> labels_of(const ScoreTable& scores, const LabelTable& labels,
                                              const std::string& path) {
  std::vector<std::int64_t> out;
  for (const auto& s : scores.studies) {
    const auto row = labels.row_of.find(s);
    if (row == labels.row_of.end())
      fail_file(path, "", "study {} has scores but no row of labels", quote_text(s));
    const auto values = labels.row(row->second);
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

/// Reads what ZeroShotTable::to_csv writes: nothing is computed again. @throws hlip::error naming
/// line and fault
HLIP_LAZY ZeroShotTable read_zero_shot_table(const std::string& path) {
  std::vector<std::string> wanted = {"finding", "positives", "negatives", "auc_low", "auc_high"};
  for (const auto name : BinaryMetrics::names) wanted.emplace_back(name);
  const CsvTable table = read_csv(path, wanted);
  std::vector<ZeroShotTable::Row> rows;
  // An empty field is an undefined value
  const auto number = [&](std::size_t r, const std::string& column) {
    const int c = table.column(column);
    return table.at(r, c).empty() ? not_a_number : table_number<double>(table, r, c);
  };
  for (std::size_t r = 0; r < table.rows(); ++r) {
    ZeroShotTable::Row row{std::string(table.at(r, table.column("finding"))),
                           {},
                           {number(r, "auc_low"), number(r, "auc_high")}};
    for (std::size_t k = 0; k < BinaryMetrics::columns; ++k)
      row.metrics.value(k) = number(r, std::string(BinaryMetrics::names[k]));
    if (r + 1 == table.rows()) {
      if (row.name != "mean")
        fail_file(path, table.place(r, 0), "is {}, expected a last row \"mean\"; is the file cut?",
                  quote_text(row.name));
      return ZeroShotTable(std::move(rows), row.metrics.values(), row.auc_interval);
    }
    row.metrics.positives = table_number<std::int64_t>(table, r, table.column("positives"));
    row.metrics.negatives = table_number<std::int64_t>(table, r, table.column("negatives"));
    rows.push_back(std::move(row));
  }
  fail_file(path, "", "holds no table");
}

HLIP_END
