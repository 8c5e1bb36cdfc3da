// A table with a row for each picture, beside the features of these pictures: which rows belong
// together, which are for training, what is known of each. Needs libcsv and nlohmann_json.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/data/problems.hpp>
#include <hlip/eval/auc.hpp>
#include <hlip/eval/feature_file.hpp>
#include <hlip/io/csv.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Which columns say what. Names that are given must be there.
struct PictureColumns {
  std::string image = "image";
  std::string subject;          ///< empty: "subject" or "patient", whichever is there
  std::string split = "split";  ///< need not be there
};

namespace detail {
/// A column as messages name it, where no line is at fault.
inline std::string column_place(std::string_view name) {
  return "column " + visible_text(cut_text(name, 60));
}
}  // namespace detail

struct PictureTable {
  CsvTable table;
  std::vector<std::string> images, subjects;                      ///< of each row
  int image_column = -1, subject_column = -1, split_column = -1;  ///< -1: there is none

  std::size_t rows() const { return images.size(); }
  /// Whether a column says which picture a row is, not what is known of it.
  bool is_key(int column) const {
    return column == image_column || column == subject_column || column == split_column;
  }
};

/// What the rows of a table say of pictures. Without a column of subjects every picture is a
/// subject of its own.
/// @param problems gets a message for each row at fault, which is left out; none: the first such
/// row is an error
/// @throws hlip::error naming file and line: a column that is not there, no rows, a picture without
/// a name or in two rows, a row without a subject
HLIP_LAZY PictureTable picture_table(CsvTable table, const PictureColumns& columns = {},
                                     Problems* problems = nullptr) {
  PictureTable t;
  t.table = std::move(table);
  const std::string& path = t.table.path();
  std::vector<std::string> required = {columns.image};
  if (!columns.subject.empty()) required.push_back(columns.subject);
  expect_columns(t.table, required);
  t.image_column = t.table.column(columns.image), t.split_column = t.table.find(columns.split);
  for (const std::string& name : {columns.subject, std::string("subject"), std::string("patient")})
    if (t.subject_column < 0 && !name.empty()) t.subject_column = t.table.find(name);
  if (t.table.rows() == 0) fail_file(path, "", "has a header, but no rows");
  Problems faulty;
  std::vector<std::size_t> sound;
  {
    FileProblems faults(problems ? *problems : faulty, path);
    std::map<std::string_view, std::size_t> lines;
    for (std::size_t r = 0; r < t.table.rows(); ++r) {
      const auto image = t.table.at(r, t.image_column),
                 subject = t.subject_column < 0 ? image : t.table.at(r, t.subject_column);
      const auto fault = [&](int column, const std::string& what) {
        if (!problems) fail_file(path, t.table.place(r, column), "{}", what);
        faults.add([&] { return fmt::format("{}: {}", t.table.place(r, column), what); });
      };
      if (image.empty()) {
        fault(t.image_column, "is empty, expected the name of a picture");
      } else if (const auto [first, added] = lines.emplace(image, t.table.line(r)); !added) {
        fault(t.image_column,
              fmt::format("{} is already in line {}", quote_text(image), first->second));
      } else if (subject.empty()) {
        fault(t.subject_column, "is empty, expected a subject");
      } else {
        t.images.emplace_back(image), t.subjects.emplace_back(subject);
        sound.push_back(r);
      }
    }
  }
  if (sound.size() < t.table.rows()) t.table.keep(sound);
  return t;
}

/// Reads a table of pictures, all of whose rows have to be sound: see picture_table.
HLIP_LAZY PictureTable read_picture_table(const std::string& path,
                                          const PictureColumns& columns = {}) {
  return picture_table(read_csv(path), columns);
}

/// The class tokens of the pictures of a table, row-major (rows, C), in the order of its rows.
/// @param path of the features, for messages
/// @throws hlip::error naming the first picture that has no features, or whose name fits several
HLIP_LAZY std::vector<float> class_tokens_of(const FeatureFile& features, const std::string& path,
                                             const PictureTable& table) {
  const FeatureNames names(features.files);
  std::vector<float> out;
  out.reserve(table.rows() * static_cast<std::size_t>(features.width));
  std::size_t missing = 0, first = 0;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const auto row = names.find(table.images[r]);
    if (row == FeatureNames::ambiguous)
      fail_file(path, "files",
                "several names end like {}, line {} of {}; the table has to tell "
                "them apart",
                quote_text(table.images[r]), table.table.line(r), table.table.path());
    if (row == FeatureNames::absent) {
      if (missing++ == 0) first = r;
      continue;
    }
    const auto token = features.cls_of(static_cast<std::size_t>(row));
    out.insert(out.end(), token.begin(), token.end());
  }
  if (missing > 0)
    fail_file(
        table.table.path(), table.table.place(first, table.image_column),
        "{} has no features in {}{}", quote_text(table.images[first]), path,
        missing > 1 ? fmt::format(", nor have {} other pictures of the table", missing - 1) : "");
  return out;
}

enum class Split { train, valid, test };

/// The split of each row: what its column says, or, without such a column, of all subjects a
/// share for testing, one for validation and the others for training, drawn by the seed.
/// @throws hlip::error with the line for another word than train, valid, val or test, and if
/// nothing is left to train or to test
HLIP_LAZY std::vector<Split> splits_of(const PictureTable& t, double test_fraction,
                                       std::uint64_t seed, double valid_fraction = 0) {
  std::vector<Split> splits;
  const std::string& path = t.table.path();
  if (t.split_column >= 0) {
    for (std::size_t r = 0; r < t.rows(); ++r) {
      const auto word = t.table.at(r, t.split_column);
      if (word != "train" && word != "valid" && word != "val" && word != "test")
        fail_file(path, t.table.place(r, t.split_column), "is {}, expected train, valid or test",
                  quote_text(word));
      splits.push_back(word == "train"  ? Split::train
                       : word == "test" ? Split::test
                                        : Split::valid);
    }
  } else {
    const std::set<std::string> all(t.subjects.begin(), t.subjects.end());
    std::vector<std::string> order(all.begin(), all.end());
    RandomStream({seed, 0x59717u, 0}).shuffle(order);
    const auto share = [&](double fraction) {
      return std::llround(fraction * static_cast<double>(order.size()));
    };
    const auto tested = order.begin() + share(test_fraction);
    const std::set<std::string> test(order.begin(), tested),
        valid(tested,
              tested + std::min<std::ptrdiff_t>(share(valid_fraction), order.end() - tested));
    for (const auto& subject : t.subjects)
      splits.push_back(test.contains(subject)    ? Split::test
                       : valid.contains(subject) ? Split::valid
                                                 : Split::train);
  }
  for (const auto& [split, name] : {std::pair{Split::train, "train"}, {Split::test, "test"}})
    if (std::find(splits.begin(), splits.end(), split) == splits.end())
      fail_file(path, "", "no picture is left to {}", name);
  return splits;
}

/// How many subjects have pictures both to train and to test: what is measured on them is not what
/// is true of new subjects.
HLIP_LAZY std::size_t subjects_in_both(const PictureTable& t, const std::vector<Split>& splits) {
  std::set<std::string_view> trained, both;
  for (std::size_t r = 0; r < t.rows(); ++r)
    if (splits[r] == Split::train) trained.insert(t.subjects[r]);
  for (std::size_t r = 0; r < t.rows(); ++r)
    if (splits[r] == Split::test && trained.contains(t.subjects[r])) both.insert(t.subjects[r]);
  return both.size();
}

/// Of some rows those of a share of their subjects, at least one subject: the first of an order
/// drawn by the seed, so that a smaller share is a part of a larger one.
/// @param rows rising, of the table whose subjects these are; @param share above 0, at most 1
HLIP_LAZY std::vector<std::size_t> rows_of_share(const std::vector<std::size_t>& rows,
                                                 const std::vector<std::string>& subjects,
                                                 double share, std::uint64_t seed) {
  expect(share > 0 && share <= 1, "rows_of_share", "share {}, expected above 0, at most 1", share);
  std::set<std::string_view> all, kept;
  for (const std::size_t r : rows) all.insert(subjects.at(r));
  std::vector<std::string_view> order(all.begin(), all.end());
  RandomStream({seed, 0x5A4E0u, 0}).shuffle(order);
  const auto wanted = std::llround(share * static_cast<double>(order.size()));
  for (const auto subject : order)
    if (kept.empty() || std::cmp_less(kept.size(), wanted)) kept.insert(subject);
  std::vector<std::size_t> out;
  for (const std::size_t r : rows)
    if (kept.contains(subjects[r])) out.push_back(r);
  return out;
}

/// A fold for each row, all rows of a subject in one; subjects are dealt out in an order drawn by
/// the seed, each to the fold that has the fewest pictures.
/// @throws hlip::error when there are fewer subjects than folds
HLIP_LAZY std::vector<std::int64_t> subject_folds(const std::vector<std::string>& subjects,
                                                  std::int64_t folds, std::uint64_t seed) {
  std::map<std::string_view, std::int64_t> pictures;
  for (const auto& s : subjects) ++pictures[s];
  expect(folds >= 2 && static_cast<std::int64_t>(pictures.size()) >= folds, "folds",
         "{} folds of {} subjects, expected 2 or more, each with a subject", folds,
         pictures.size());
  std::vector<std::string_view> order;
  for (const auto& [subject, count] : pictures) order.push_back(subject);
  RandomStream({seed, 0xF01Du, 0}).shuffle(order);
  std::vector<std::int64_t> filled(static_cast<std::size_t>(folds));
  std::map<std::string_view, std::int64_t> fold_of;
  for (const auto subject : order) {
    const auto least = std::min_element(filled.begin(), filled.end());
    *least += pictures[subject], fold_of[subject] = least - filled.begin();
  }
  std::vector<std::int64_t> out;
  for (const auto& s : subjects) out.push_back(fold_of[s]);
  return out;
}

/// What is known of one finding: 1, 0, or NaN where it is not known.
struct FindingLabels {
  std::string name;
  std::vector<double> values;  ///< of each row
};

namespace detail {
/// 0, 1, or NaN for an unknown label: an empty field, nan, or -1, by which CheXpert's tables say
/// uncertain. @return whether it is one of these
inline bool read_finding(std::string_view text, double& value) {
  value = text == "1" || text == "1.0" ? 1 : text == "0" || text == "0.0" ? 0 : not_a_number;
  return !std::isnan(value) || text.empty() || text == "nan" || text == "NaN" || text == "-1" ||
         text == "-1.0";
}
}  // namespace detail

/// The findings of a table. @param columns their names; empty: every column whose fields are all
/// 0, 1 or unknown
/// @throws hlip::error for a column that is not there or holds something else, with the line, and
/// for one whose known labels are all equal
HLIP_LAZY std::vector<FindingLabels> read_findings(const PictureTable& t,
                                                   const std::vector<std::string>& columns) {
  const std::string& path = t.table.path();
  expect_columns(t.table, columns);
  std::vector<FindingLabels> findings;
  for (const auto& name : columns.empty() ? t.table.columns() : columns) {
    const int c = t.table.column(name);
    if (columns.empty() && t.is_key(c)) continue;
    if (std::count(columns.begin(), columns.end(), name) > 1)
      fail("findings", "column {} is asked for twice", quote_text(name));
    FindingLabels finding{name, std::vector<double>(t.rows())};
    std::size_t r = 0;
    while (r < t.rows() && detail::read_finding(t.table.at(r, c), finding.values[r])) ++r;
    if (r < t.rows() && columns.empty()) continue;
    if (r < t.rows())
      fail_file(path, t.table.place(r, c), "is {}, expected 0, 1 or, if it is not known, nothing",
                quote_text(t.table.at(r, c)));
    const auto count = [&](double v) {
      return std::count(finding.values.begin(), finding.values.end(), v);
    };
    if (count(0) == 0 || count(1) == 0)
      fail_file(path, detail::column_place(name),
                "{} labels are 1 and {} are 0: all are of one class; --columns can leave it out",
                count(1), count(0));
    findings.push_back(std::move(finding));
  }
  if (findings.empty())
    fail_file(path, "", "has no column of findings, whose fields are all 0, 1 or empty");
  return findings;
}

HLIP_END
