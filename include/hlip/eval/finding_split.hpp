// The findings of one split of a table of pictures, and which of them cannot be learned. Needs
// libcsv and nlohmann_json.
#pragma once

#include <hlip/eval/known_labels.hpp>
#include <hlip/eval/picture_table.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// The pictures of one split, and what is known of them.
struct FindingSplit {
  std::vector<std::size_t> rows;  ///< of the table, rising
  std::vector<double> labels;     ///< row-major (rows, findings), 0, 1, or NaN: not known
};

/// @param splits of each row of the table, as splits_of gives them; @param findings as
/// read_findings gives them, of the same table
HLIP_LAZY FindingSplit finding_split(const std::vector<Split>& splits, Split split,
                                     const std::vector<FindingLabels>& findings) {
  FindingSplit part;
  for (std::size_t r = 0; r < splits.size(); ++r) {
    if (splits[r] != split) continue;
    part.rows.push_back(r);
    for (const auto& f : findings) part.labels.push_back(f.values[r]);
  }
  return part;
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
