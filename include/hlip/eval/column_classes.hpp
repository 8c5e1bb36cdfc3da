// Columns of a table of pictures as classes to predict: words as they are, numbers cut into ranges.
// Needs libcsv and nlohmann_json.
#pragma once

#include <hlip/eval/number_ranges.hpp>
#include <hlip/eval/picture_table.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How numbers of columns are cut.
struct BinRules {
  static constexpr std::size_t most_values = 10;  ///< of more different numbers ranges are made

  std::vector<std::string> rules;  ///< as range_edges reads them; "NAME=RULE" is for one column
  std::string name = "bins";       ///< what messages call them, such as an option

  /// The rule of a column: its own, otherwise the last for all, otherwise "4"; and whether it is
  /// its own.
  HLIP_LAZY std::pair<std::string, bool> of(const std::string& column) const {
    std::string rule = "4";
    for (const auto& given : rules) {
      const auto equals = given.rfind('=');
      if (equals == given.npos) rule = given;
      else if (given.substr(0, equals) == column) return {given.substr(equals + 1), true};
    }
    return {rule, false};
  }
};

/// A column as classes. Rows where it says nothing are left out.
struct ColumnClasses {
  std::string name;
  std::vector<std::size_t> rows;     ///< of the table, rising
  std::vector<std::int64_t> labels;  ///< number of the class of each of these rows
  std::vector<std::string> classes;  ///< what the numbers mean
  bool cut = false;                  ///< whether classes are ranges of numbers

  /// The share of the most frequent class: the accuracy of always naming it.
  HLIP_LAZY double most_frequent() const {
    std::map<std::int64_t, std::size_t> counts;
    std::size_t most = 0;
    for (const auto label : labels) most = std::max(most, ++counts[label]);
    return static_cast<double>(most) / static_cast<double>(labels.size());
  }
  /// "<20, 20-40, >=40"
  HLIP_LAZY std::string class_list() const {
    std::string text;
    for (const auto& c : classes) text += (text.empty() ? "" : ", ") + c;
    return text;
  }
};

namespace detail {
/// Reads the column that `out` names. @return why it is not two or more classes, or nothing
HLIP_LAZY std::string read_classes(const PictureTable& t, const BinRules& bins,
                                   ColumnClasses& out) {
  const int c = t.table.column(out.name);
  std::vector<double> values;
  std::set<std::string, std::less<>> distinct;
  for (std::size_t r = 0; r < t.rows(); ++r) {
    const auto text = t.table.at(r, c);
    if (text.empty() || text == "nan" || text == "NaN" || text == "NA") continue;
    out.rows.push_back(r);
    distinct.emplace(text);
    if (const auto number = finite_number(text)) values.push_back(*number);
  }
  if (out.rows.empty()) return "says nothing of any picture";
  const auto [rule, own] = bins.of(out.name);
  const bool numbers = values.size() == out.rows.size();
  if (own && !numbers) return fmt::format("is not all numbers, which {} could cut", bins.name);
  if (numbers && (own || distinct.size() > BinRules::most_values)) {
    const auto edges = range_edges(rule, values, bins.name);
    out.cut = true, out.classes = range_names(edges);
    for (const double v : values) out.labels.push_back(range_of(v, edges));
  } else {
    if (distinct.size() > most_ranges)
      return fmt::format("has {} different values, expected numbers or at most {}", distinct.size(),
                         most_ranges);
    out.classes.assign(distinct.begin(), distinct.end());
    for (const std::size_t r : out.rows)
      out.labels.push_back(std::distance(distinct.begin(), distinct.find(t.table.at(r, c))));
  }
  const std::set<std::int64_t> used(out.labels.begin(), out.labels.end());
  if (used.size() < 2)
    return fmt::format("all {} labels are of one class, {}", out.labels.size(),
                       quote_text(out.classes[static_cast<std::size_t>(*used.begin())]));
  return "";
}
}  // namespace detail

/// Columns that were read, and those that could not be.
struct ClassColumns {
  std::vector<ColumnClasses> columns;
  std::vector<std::string> left_out;  ///< "column NAME is left out: WHY"
};

/// Reads columns as classes: up to 50 different words, or numbers, of which more than
/// BinRules::most_values are cut into ranges. Empty fields, nan and NA say nothing.
/// @param names of columns; empty: every one that can be read so and says more than which picture a
/// row is
/// @throws hlip::error for a column that is not there, one that is asked for (by a rule of its own,
/// too) and cannot be read so, and a rule that cuts nothing
HLIP_LAZY ClassColumns read_class_columns(const PictureTable& t,
                                          const std::vector<std::string>& names,
                                          const BinRules& bins = {}) {
  expect_columns(t.table, names);
  for (const auto& given : bins.rules)
    if (const auto equals = given.rfind('='); equals != given.npos)
      expect_columns(t.table, {given.substr(0, equals)});
  ClassColumns out;
  for (const auto& name : names.empty() ? t.table.columns() : names) {
    if (names.empty() && t.is_key(t.table.column(name))) continue;
    ColumnClasses column;
    column.name = name;
    const std::string fault = detail::read_classes(t, bins, column);
    if (fault.empty()) out.columns.push_back(std::move(column));
    else if (names.empty() && !bins.of(name).second)
      out.left_out.push_back(fmt::format("column {} is left out: {}", name, fault));
    else fail_file(t.table.path(), detail::column_place(name), "{}", fault);
  }
  return out;
}

/// A fold for each of the rows of a column, all pictures of a subject in one; see subject_folds.
/// @throws hlip::error naming the column when there are fewer subjects than folds, or the labels
/// outside of a fold are of one class
HLIP_LAZY std::vector<std::int64_t> subject_folds(const PictureTable& t,
                                                  const ColumnClasses& column, std::int64_t folds,
                                                  std::uint64_t seed) {
  std::vector<std::string> subjects;
  for (const std::size_t r : column.rows) subjects.push_back(t.subjects[r]);
  const std::set<std::string> all(subjects.begin(), subjects.end());
  const std::string place = detail::column_place(column.name);
  if (static_cast<std::int64_t>(all.size()) < folds)
    fail_file(t.table.path(), place, "{} subjects are too few for {} folds", all.size(), folds);
  auto fold_of = subject_folds(subjects, folds, seed);
  for (std::int64_t fold = 0; fold < folds; ++fold) {
    std::set<std::int64_t> learned;
    for (std::size_t i = 0; i < fold_of.size(); ++i)
      if (fold_of[i] != fold) learned.insert(column.labels[i]);
    if (learned.size() < 2)
      fail_file(t.table.path(), place, "without fold {} of {} all labels are of one class",
                fold + 1, folds);
  }
  return fold_of;
}

HLIP_END
