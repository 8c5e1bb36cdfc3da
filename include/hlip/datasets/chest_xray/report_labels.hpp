// Labels that a labeller of reports has written, as CheXpert's and CheXbert do: a table with a
// column for each finding. Needs libcsv.
#pragma once

#include <hlip/data/problems.hpp>
#include <hlip/datasets/chest_xray/label_field.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/io/csv.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// The 14 columns of CheXpert's labeller, in CheXbert's order.
/// Source: Irvin et al., "CheXpert", 2019; Smit et al., "CheXbert", 2020.
inline constexpr std::array<std::string_view, 14> chexpert_findings = {"Enlarged Cardiomediastinum",
                                                                       "Cardiomegaly",
                                                                       "Lung Opacity",
                                                                       "Lung Lesion",
                                                                       "Edema",
                                                                       "Consolidation",
                                                                       "Pneumonia",
                                                                       "Atelectasis",
                                                                       "Pneumothorax",
                                                                       "Pleural Effusion",
                                                                       "Pleural Other",
                                                                       "Fracture",
                                                                       "Support Devices",
                                                                       "No Finding"};

/// What a labeller says of reports, in the order of its table.
struct ReportLabels {
  std::string path;
  std::vector<std::string> findings;
  std::vector<Mention> mentions;  ///< row-major (reports, findings)

  std::size_t size() const { return findings.empty() ? 0 : mentions.size() / findings.size(); }
};

namespace detail {
inline Mention mention_of(float label) {
  return label == 1    ? Mention::positive
         : label == 0  ? Mention::negative
         : label == -1 ? Mention::uncertain
                       : Mention::blank;
}
}  // namespace detail

/// The labels of a table: 1 (positive), 0 (negative), -1 (uncertain) or nothing (blank), also as
/// "1.0". Other columns, such as "Report Impression", "Reports" or "study_id", are passed over.
/// @param findings the columns that are wanted, in this order
/// @throws hlip::error naming columns that are absent, and fields that hold anything else with
/// their lines
HLIP_LAZY ReportLabels report_labels(
    const CsvTable& table, std::span<const std::string_view> findings = chexpert_findings) {
  ReportLabels labels;
  labels.path = table.path();
  labels.findings.assign(findings.begin(), findings.end());
  expect_columns(table, labels.findings);
  std::vector<int> columns;
  for (const auto name : findings) columns.push_back(table.column(name));
  labels.mentions.reserve(table.rows() * columns.size());
  Problems problems;
  {
    FileProblems faults(problems, table.path());
    for (std::size_t row = 0; row < table.rows(); ++row)
      for (const int column : columns) {
        float label = 0;
        if (!parse_label_field(table.at(row, column), label))
          faults.add([&] {
            return fmt::format("{}: is {}, expected 1, 0, -1 or nothing", table.place(row, column),
                               quote_text(table.at(row, column)));
          });
        labels.mentions.push_back(detail::mention_of(label));
      }
  }
  expect_no_problems(problems, table.path(), "labels");
  return labels;
}

/// Reads a table of labels; see report_labels.
/// @throws hlip::error when the table cannot be read as well
HLIP_LAZY ReportLabels read_report_labels(
    const std::string& path, std::span<const std::string_view> findings = chexpert_findings) {
  return report_labels(read_csv(path), findings);
}

/// F1 of the labels of generated reports against those of the reports they stand for, row by row: a
/// finding is there if its mention is positive.
/// @param uncertain_too whether an uncertain mention counts as positive (as negative otherwise)
/// @throws hlip::error if the findings or the numbers of reports differ
/// Source: the macro-F1 over 14 labels of report generation; `per_label` is in the order of the
/// findings.
HLIP_LAZY LabelF1 report_label_f1(const ReportLabels& reference, const ReportLabels& hypothesis,
                                  bool uncertain_too = false) {
  expect(reference.findings == hypothesis.findings, "report_label_f1",
         "labels of {} and {} are of different findings, or in another order",
         quote_text(reference.path, 200), quote_text(hypothesis.path, 200));
  expect(reference.size() == hypothesis.size(), "report_label_f1",
         "{} has {} reports and {} has {}, expected as many, in the same order",
         quote_text(reference.path, 200), reference.size(), quote_text(hypothesis.path, 200),
         hypothesis.size());
  return label_f1(positive_mentions(reference.mentions, uncertain_too),
                  positive_mentions(hypothesis.mentions, uncertain_too),
                  static_cast<std::int64_t>(reference.findings.size()));
}

HLIP_END
