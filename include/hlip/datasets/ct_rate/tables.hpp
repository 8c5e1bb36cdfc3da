// The three tables of CT-RATE, checked row by row. Faults are collected, each with its line and
// column, and bad rows left out. Needs libcsv.
#pragma once

#include <hlip/data/problems.hpp>
#include <hlip/datasets/ct_rate/names.hpp>
#include <hlip/io/csv.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

HLIP_BEGIN

/// A row of a reports table.
struct CtRateReport {
  CtRateName name;
  std::string impression, findings;
};
/// A row of a label table, in the order of ct_rate_labels.
struct CtRateLabels {
  CtRateName name;
  std::array<std::int8_t, ct_rate_labels.size()> present{};
};
/// A row of a metadata table: what turns stored values into HU, and the voxel size.
struct CtRateMetadata {
  CtRateName name;
  double slope = 1, intercept = 0;
  std::array<double, 3> spacing = {1, 1, 1};  ///< (D, H, W) in mm
};

namespace detail {

/// A finite number that fills the whole field, blanks aside.
HLIP_LAZY bool parse_number(std::string_view text, double& value) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

/// "[0.68359375, 0.68359375]" -> x, y
HLIP_LAZY bool parse_number_pair(std::string_view text, double& x, double& y) {
  const auto comma = text.find(',');
  if (!text.starts_with('[') || !text.ends_with(']') || comma == text.npos) return false;
  return parse_number(text.substr(1, comma - 1), x) &&
         parse_number(text.substr(comma + 1, text.size() - comma - 2), y);
}

inline bool plausible_spacing(double mm) { return mm > 0 && mm <= 1000; }

/// Checks for one table: names of volumes are sound and unique, fields parse.
class TableChecker {
 public:
  HLIP_LAZY TableChecker(const CsvTable& table, Problems& problems,
                         std::initializer_list<std::string_view> required)
      : table_(table), problems_(problems, table.path()) {
    std::vector<std::string> names(required.begin(), required.end());
    try {
      expect_columns(table, names);
    } catch (const error& e) {
      problems.push_back(e.what());
    }
    volume_ = table.find("VolumeName");
  }
  /// The row's volume name, or nothing after noting why.
  HLIP_LAZY std::optional<CtRateName> name(std::size_t row) {
    if (volume_ < 0) return {};
    const auto text = table_.at(row, volume_);
    auto name = parse_ct_rate_name(text);
    if (!name) {
      add(row, volume_, [](const auto& field) {
        return field + " is not a volume name (split_patient_study_reconstruction.nii.gz)";
      });
      return {};
    }
    const auto [it, inserted] = first_line_.emplace(name->volume, table_.line(row));
    if (inserted) return name;
    const std::size_t first = it->second;
    add(row, volume_,
        [&](const auto& field) { return fmt::format("{} is already in line {}", field, first); });
    return {};
  }
  /// A fault of a field. @param what says what about its quoted text: " is not a volume name"
  template <class What> void add(std::size_t row, int column, What what) {
    problems_.add([&] {
      return fmt::format("{}: {}", table_.place(row, column),
                         what(quote_text(table_.at(row, column))));
    });
  }

 private:
  const CsvTable& table_;
  FileProblems problems_;
  int volume_ = -1;
  std::unordered_map<std::string, std::size_t> first_line_;
};

}  // namespace detail

/// Rows of a reports table (VolumeName, Findings_EN, Impressions_EN, others ignored).
HLIP_LAZY std::vector<CtRateReport> ct_rate_reports(const CsvTable& table, Problems& problems) {
  detail::TableChecker check(table, problems, {"VolumeName", "Findings_EN", "Impressions_EN"});
  const int findings = table.find("Findings_EN"), impression = table.find("Impressions_EN");
  std::vector<CtRateReport> rows;
  for (std::size_t r = 0; r < table.rows(); ++r)
    if (auto name = check.name(r); name && findings >= 0 && impression >= 0)
      rows.push_back({std::move(*name), std::string(table.at(r, impression)),
                      std::string(table.at(r, findings))});
  return rows;
}

/// Rows of a label table: VolumeName and CT-RATE's 18 columns with 0 or 1, in any order.
HLIP_LAZY std::vector<CtRateLabels> ct_rate_label_rows(const CsvTable& table, Problems& problems) {
  detail::TableChecker check(table, problems, {"VolumeName"});
  std::array<int, ct_rate_labels.size()> column{};
  std::string missing;
  for (std::size_t k = 0; k < column.size(); ++k) {
    column[k] = table.find(ct_rate_labels[k]);
    if (column[k] < 0) missing += (missing.empty() ? "" : ", ") + std::string(ct_rate_labels[k]);
  }
  std::vector<CtRateLabels> rows;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    auto name = check.name(r);
    CtRateLabels row;
    bool ok = name.has_value() && missing.empty();
    for (std::size_t k = 0; k < column.size(); ++k) {
      if (column[k] < 0) continue;
      const auto text = table.at(r, column[k]);
      if (text == "0" || text == "1") {
        row.present[k] = text == "1";
        continue;
      }
      check.add(r, column[k],
                [](const auto& field) { return fmt::format("is {}, expected 0 or 1", field); });
      ok = false;
    }
    if (!ok) continue;
    row.name = std::move(*name);
    rows.push_back(std::move(row));
  }
  if (!missing.empty())
    problems.push_back(fmt::format("{}: line 1: label column {} is absent", table.path(), missing));
  return rows;
}

/// Rows of a metadata table (VolumeName, XYSpacing as "[x, y]", ZSpacing, RescaleSlope,
/// RescaleIntercept, others ignored).
HLIP_LAZY std::vector<CtRateMetadata> ct_rate_metadata(const CsvTable& table, Problems& problems) {
  detail::TableChecker check(
      table, problems, {"VolumeName", "XYSpacing", "ZSpacing", "RescaleSlope", "RescaleIntercept"});
  const int xy = table.find("XYSpacing"), z = table.find("ZSpacing"),
            slope = table.find("RescaleSlope"), intercept = table.find("RescaleIntercept");
  std::vector<CtRateMetadata> rows;
  if (xy < 0 || z < 0 || slope < 0 || intercept < 0) return rows;
  for (std::size_t r = 0; r < table.rows(); ++r) {
    auto name = check.name(r);
    CtRateMetadata row;
    bool ok = name.has_value();
    const auto expect_field = [&](bool good, int column, std::string_view wanted) {
      if (!good)
        check.add(r, column, [&](const auto& field) {
          return fmt::format("is {}, expected {}", field, wanted);
        });
      ok = ok && good;
    };
    auto& s = row.spacing;
    expect_field(detail::parse_number_pair(table.at(r, xy), s[2], s[1]) &&
                     detail::plausible_spacing(s[1]) && detail::plausible_spacing(s[2]),
                 xy, "two sizes in mm like [0.7, 0.7]");
    expect_field(detail::parse_number(table.at(r, z), s[0]) && detail::plausible_spacing(s[0]), z,
                 "a size in mm");
    expect_field(detail::parse_number(table.at(r, slope), row.slope) && row.slope != 0, slope,
                 "a number other than 0");
    expect_field(detail::parse_number(table.at(r, intercept), row.intercept), intercept,
                 "a number");
    if (!ok) continue;
    row.name = std::move(*name);
    rows.push_back(std::move(row));
  }
  return rows;
}

HLIP_END
