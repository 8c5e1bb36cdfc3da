// The findings of one split of a table of pictures, and which of them cannot be learned. Needs
// libcsv and nlohmann_json.
#pragma once

#include <hlip/eval/known_labels.hpp>
#include <hlip/eval/picture_table.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// The pictures of one split, and what is known of them.
struct FindingSplit {
  std::vector<std::size_t> rows;  ///< of the table, rising
  std::vector<double> labels;     ///< row-major (rows, findings), 0, 1, or NaN: not known
};

/// @param rows of the table, rising; @param findings as read_findings gives them
HLIP_LAZY FindingSplit finding_split(std::vector<std::size_t> rows,
                                     const std::vector<FindingLabels>& findings) {
  FindingSplit part{std::move(rows), {}};
  for (const std::size_t r : part.rows)
    for (const auto& f : findings) part.labels.push_back(f.values[r]);
  return part;
}
/// @param splits of each row of the table, as splits_of gives them; @param findings as
/// read_findings gives them, of the same table
HLIP_LAZY FindingSplit finding_split(const std::vector<Split>& splits, Split split,
                                     const std::vector<FindingLabels>& findings) {
  std::vector<std::size_t> rows;
  for (std::size_t r = 0; r < splits.size(); ++r)
    if (splits[r] == split) rows.push_back(r);
  return finding_split(std::move(rows), findings);
}

/// Findings that the training pictures all have, or none, cannot be learned: they lose their labels
/// among the tested pictures, so that they count in no mean.
/// @param path of the table, for messages; @param findings of both parts
/// @return the names of these findings
/// @throws hlip::error if no finding is left that has both labels in both parts
HLIP_LAZY std::vector<std::string> leave_out_unlearnable(const std::string& path,
                                                         const std::vector<FindingLabels>& findings,
                                                         const FindingSplit& train,
                                                         FindingSplit& test) {
  const std::size_t count = findings.size();
  std::vector<std::string> left_out;
  bool measurable = false;
  for (std::size_t k = 0; k < count; ++k) {
    if (!KnownLabels(train.labels, k, count).both()) {
      left_out.push_back(findings[k].name);
      for (std::size_t i = k; i < test.labels.size(); i += count) test.labels[i] = not_a_number;
    }
    measurable = measurable || KnownLabels(test.labels, k, count).both();
  }
  if (!measurable)
    fail_file(path, "",
              "no finding has both labels among the {} training and among the {} tested pictures: "
              "there is nothing to measure",
              train.rows.size(), test.rows.size());
  return left_out;
}

HLIP_END
