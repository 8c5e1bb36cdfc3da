// What generated reports are compared by: findings that a labeller's tables have, or that rules
// read, and facts of RadGraph. Needs libcsv and nlohmann_json.
#pragma once

#include <hlip/datasets/chest_xray/radgraph.hpp>
#include <hlip/datasets/chest_xray/report_labels.hpp>
#include <hlip/eval/report_scores.hpp>
#include <hlip/phantoms/radiograph_terms.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What other programs have read in the reports, row by row as these are; empty where nothing has.
struct ReadReports {
  std::string labels_reference, labels_generated;      ///< tables of CheXbert
  std::string radgraph_reference, radgraph_generated;  ///< files of RadGraph
};

namespace detail {

HLIP_LAZY void add_labels(std::vector<ReportContent>& reports, const std::string& path) {
  const ReportLabels labels = read_report_labels(path);
  if (labels.size() != reports.size())
    fail_file(path, "", "has labels of {} reports, there are {}", labels.size(), reports.size());
  const auto yes = positive_mentions(labels.mentions);
  const auto width = static_cast<std::ptrdiff_t>(labels.findings.size());
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const auto first = yes.begin() + static_cast<std::ptrdiff_t>(i) * width;
    reports[i].labels.assign(first, first + width);
  }
}

/// RadGraph's reports are called by their numbers from 0 on, or as the pictures.
HLIP_LAZY void add_facts(std::vector<ReportContent>& reports, const std::string& path,
                         const std::vector<std::string>& names, RadgraphNumbers& numbers) {
  RadgraphReports facts = read_radgraph(path, numbers);
  const bool numbered = facts.contains("0");
  if (numbered && facts.size() != reports.size())
    fail_file(path, "", "has facts of {} reports, there are {}", facts.size(), reports.size());
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const auto at = facts.find(numbered ? std::to_string(i) : names[i]);
    if (at == facts.end())
      fail_file(path, "",
                "has no report {}; expected those of all {} pictures, called 0, 1, … or "
                "as the pictures",
                quote_text(numbered ? std::to_string(i) : names[i]), reports.size());
    reports[i].facts = std::move(at->second);
  }
}

}  // namespace detail

/// Reports and what was generated for them, with their findings and facts. Where there are no
/// tables of labels, rules read the findings of phantom radiographs (radiograph_finding_terms).
/// @param names of the pictures  @throws hlip::error naming the file that does not fit
HLIP_LAZY ComparedReports compare_reports(const std::vector<std::string>& names,
                                          const std::vector<std::string>& references,
                                          const std::vector<std::string>& hypotheses,
                                          const ReadReports& read) {
  ComparedReports all;
  for (const auto& text : references) all.references.push_back({text});
  for (const auto& text : hypotheses) all.hypotheses.push_back({text});
  if (!read.labels_reference.empty()) {
    all.findings.assign(chexpert_findings.begin(), chexpert_findings.end());
    detail::add_labels(all.references, read.labels_reference);
    detail::add_labels(all.hypotheses, read.labels_generated);
  } else {
    const ReportLabeller labeller(radiograph_finding_terms());
    all.findings = labeller.names();
    for (auto* reports : {&all.references, &all.hypotheses})
      for (auto& r : *reports) r.labels = positive_mentions(labeller.mentions(r.text));
  }
  if (!read.radgraph_reference.empty()) {
    all.facts = true;
    RadgraphNumbers numbers;
    detail::add_facts(all.references, read.radgraph_reference, names, numbers);
    detail::add_facts(all.hypotheses, read.radgraph_generated, names, numbers);
  }
  return all;
}

HLIP_END
