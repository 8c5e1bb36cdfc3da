// A collection of chest radiographs on disk: a table with a column of pictures, or a folder of
// them. Paths and labels only; the pictures stay unread. Needs libcsv.
#pragma once

#include <hlip/datasets/chest_xray/label_field.hpp>
#include <hlip/datasets/chest_xray/pictures.hpp>
#include <hlip/io/csv.hpp>

#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

HLIP_BEGIN

/// How a collection is read.
struct RadiographTableOptions {
  std::string image_column = "image";
  /// without: the table alone counts, for features of pictures that lie elsewhere
  bool check_files = true;
};

/// The radiographs of a collection, in the order of its table, or of their paths.
struct RadiographTable {
  std::string path;                 ///< the table, or the folder
  std::vector<std::string> names;   ///< as the table has them, or relative to the folder
  std::vector<std::string> images;  ///< their files
  /// every fault found: rows that name no picture, or one twice; pictures that are not there (one
  /// message for all of them). What is at fault is left out.
  Problems problems;
  CsvTable table;                 ///< empty for a folder
  std::vector<std::size_t> rows;  ///< of the table, one for each picture; none for a folder

  std::size_t size() const { return images.size(); }
  /// Whether the table has a column of this name; a folder has none.
  bool has(std::string_view column) const { return table.find(column) >= 0; }
  /// The field of picture i. @throws hlip::error naming the column when it is absent
  std::string_view text(std::size_t i, std::string_view column) const {
    const int at = column_of(column);
    return table.at(rows[i], at);
  }
  /// Index of a column in `table`. @throws hlip::error naming it when it is absent
  int column_of(std::string_view column) const {
    if (table.columns().empty())
      fail_file(path, "", "is a folder of pictures and has no column {}; a table is wanted",
                quote_text(column));
    return table.column(column);
  }
};

namespace detail {

/// Leaves the pictures that are there; of the others one message says how many and which.
HLIP_LAZY void leave_out_absent(RadiographTable& all) {
  std::vector<char> there(all.size());
#pragma omp parallel for schedule(dynamic, 64)
  for (std::size_t i = 0; i < there.size(); ++i) there[i] = is_file(all.images[i]);
  const auto absent = static_cast<std::size_t>(std::count(there.begin(), there.end(), 0));
  if (absent == 0) return;
  constexpr std::size_t most = 3;
  std::string first;
  std::size_t kept = 0, listed = 0;
  for (std::size_t i = 0; i < there.size(); ++i) {
    if (!there[i]) {
      if (listed++ < most) first += (first.empty() ? "" : ", ") + quote_text(all.names[i]);
      continue;
    }
    if (kept != i) {
      all.names[kept] = std::move(all.names[i]);
      all.images[kept] = std::move(all.images[i]);
      all.rows[kept] = all.rows[i];
    }
    ++kept;
  }
  all.names.resize(kept), all.images.resize(kept), all.rows.resize(kept);
  all.problems.push_back(
      fmt::format("{}: {} of {} pictures {} not there: {}{}; paths count from the table's folder",
                  all.path, absent, there.size(), absent == 1 ? "is" : "are", first,
                  absent > most ? fmt::format(" and {} more", absent - most) : ""));
  all.problems.unlisted += absent - 1;
}

}  // namespace detail

/// Reads where the radiographs of a collection lie.
/// @param path a CSV table with a column of pictures, whose paths count from the table's folder,
/// and any others; or a folder: all .png, .jpg, .jpeg and .dcm below it, sorted
/// @return what is there, and every problem found; a caller that tolerates no faults calls
/// `expect_no_problems`
/// @throws hlip::error when the table or the folder cannot be read, the column is absent, or there
/// is no picture
HLIP_LAZY RadiographTable read_radiograph_table(const std::string& path,
                                                const RadiographTableOptions& options = {}) {
  RadiographTable all;
  all.path = path;
  while (all.path.size() > 1 && all.path.ends_with('/')) all.path.pop_back();
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    all.names = pictures_below(all.path, all.problems);
    for (const auto& name : all.names) all.images.push_back(all.path + "/" + name);
    if (all.names.empty() && all.problems.empty())
      fail_file(path, "", "holds no radiographs (.png, .jpg, .jpeg or .dcm)");
    return all;
  }
  all.table = read_csv(all.path, {options.image_column});
  if (all.table.rows() == 0) fail_file(path, "", "names no radiographs, it has a header only");
  const int column = all.table.find(options.image_column);
  const auto slash = all.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : all.path.substr(0, slash + 1);
  std::unordered_map<std::string_view, std::size_t> first_line;
  {
    FileProblems faults(all.problems, all.path);
    for (std::size_t r = 0; r < all.table.rows(); ++r) {
      const auto name = all.table.at(r, column);
      const auto fault = [&](const std::string& what) {
        faults.add([&] { return fmt::format("{}: {}", all.table.place(r, column), what); });
      };
      if (name.empty()) {
        fault("is empty, expected a path");
        continue;
      }
      const auto [at, added] = first_line.emplace(name, all.table.line(r));
      if (!added) {
        fault(fmt::format("{} is already in line {}", quote_text(name), at->second));
        continue;
      }
      all.names.emplace_back(name);
      all.images.push_back((name.starts_with('/') ? "" : folder) + std::string(name));
      all.rows.push_back(r);
    }
  }
  if (options.check_files) detail::leave_out_absent(all);
  return all;
}

/// Throws one error that lists all problems, when there are any.
inline void expect_no_problems(const RadiographTable& all) {
  expect_no_problems(all.problems, all.path, "radiographs");
}

/// Says on stderr what a table has at fault, which is left out. @param skip_bad without: throws as
/// expect_no_problems
inline void tell_left_out(const RadiographTable& all, bool skip_bad) {
  if (!skip_bad) expect_no_problems(all);
  for (const auto& problem : all.problems) fmt::print(stderr, "left out: {}\n", problem);
}

/// The pictures of one part of a collection, by the table's column `split`.
/// @param split what the column says of them; all pictures when empty, or without such a column
/// @return their numbers, rising
/// @throws hlip::error when there is none
HLIP_LAZY std::vector<std::size_t> pictures_of_split(const RadiographTable& all,
                                                     std::string_view split) {
  const bool chosen = !split.empty() && all.has("split");
  std::vector<std::size_t> pictures;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!chosen || all.text(i, "split") == split) pictures.push_back(i);
  if (pictures.empty() && chosen)
    fail_file(all.path, "split", "has no picture of {}", quote_text(split));
  if (pictures.empty()) fail_file(all.path, "", "has no picture that could be used");
  return pictures;
}

/// What becomes of labels of -1, which CheXpert's labeller gives findings that a report is unsure
/// of.
enum class UncertainLabels { missing, negative, positive };

/// Labels of the named columns: 0, 1, or NaN where the table has none.
/// @return (pictures, names), row-major
/// @throws hlip::error naming columns that are absent, and fields that hold anything but 0, 1, -1
/// or nothing with their lines
HLIP_LAZY std::vector<float> radiograph_labels(
    const RadiographTable& all, std::span<const std::string> names,
    UncertainLabels uncertain = UncertainLabels::missing) {
  std::vector<int> columns;
  for (const auto& name : names) columns.push_back(all.column_of(name));
  std::vector<float> labels;
  labels.reserve(all.size() * names.size());
  Problems problems;
  {
    FileProblems faults(problems, all.path);
    for (const std::size_t row : all.rows)
      for (const int column : columns) {
        float label = 0;
        if (!parse_label_field(all.table.at(row, column), label))
          faults.add([&] {
            return fmt::format("{}: is {}, expected 0, 1, -1 or nothing",
                               all.table.place(row, column), quote_text(all.table.at(row, column)));
          });
        if (label == -1)
          label = uncertain == UncertainLabels::negative ? 0
                  : uncertain == UncertainLabels::positive
                      ? 1
                      : std::numeric_limits<float>::quiet_NaN();
        labels.push_back(label);
      }
  }
  expect_no_problems(problems, all.path, "labels");
  return labels;
}

/// Columns that hold labels and nothing else: 0, 1, -1 or nothing in every row of the pictures, and
/// both 0 and 1 somewhere.
HLIP_LAZY std::vector<std::string> label_columns(const RadiographTable& all) {
  std::vector<std::string> names;
  for (std::size_t c = 0; c < all.table.columns().size(); ++c) {
    bool fits = true, negative = false, positive = false;
    for (std::size_t i = 0; fits && i < all.rows.size(); ++i) {
      float label = 0;
      fits = parse_label_field(all.table.at(all.rows[i], static_cast<int>(c)), label);
      negative = negative || label == 0, positive = positive || label == 1;
    }
    if (fits && negative && positive) names.push_back(all.table.columns()[c]);
  }
  return names;
}

HLIP_END
