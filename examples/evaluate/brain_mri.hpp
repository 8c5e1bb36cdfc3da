// Set brain-mri: studies of one's own in the layout of train_brain_mri, with findings of one's own.
#pragma once

#include "options.hpp"
#include "prompt_scores.hpp"
#include "results.hpp"
#include "scans.hpp"
#include "scores.hpp"

#include <hlip/data/problems.hpp>
#include <hlip/datasets/brain_mri/dataset.hpp>
#include <hlip/datasets/brain_mri/prompts.hpp>
#include <hlip/datasets/public/studies.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/io/csv.hpp>

#include <string>
#include <utility>
#include <vector>

namespace evaluate {

/// The scans of the studies that have labels.
inline ScanFiles brain_mri_files(const Options& o, const LabelTable& labels) {
  BrainDataset data = read_brain_mri(
      o.data_root, o.studies,
      {.split = o.split, .need_reports = false, .check = VolumeCheck::header});
  expect_no_problems(data.problems, data.root, data.split);
  std::erase_if(data.studies, [&](const BrainStudy& s) { return !labels.row_of.contains(s.name); });
  if (data.studies.empty())
    fail_file(o.studies, "", "holds no study that {} has labels of", o.labels);
  ScanFiles found;
  for (const auto& study : data.studies) {
    found.studies.push_back(study.name);
    found.files.emplace_back();
    for (const auto& scan : study.scans) found.files.back().push_back(scan.path);
  }
  return found;
}

/// Studies as train_brain_mri takes them for its last evaluation, which this repeats without
/// training. Every column of the labels is a finding.
inline int run_brain_mri(const Options& o) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  const CsvTable table = read_csv(o.labels, {"study"});
  for (const auto& c : table.columns())
    if (c != "study") names.push_back(c), columns.push_back({c});
  if (names.empty())
    fail_file(o.labels, "", "has no column beside study, expected one for each finding");
  const auto labels = read_label_table(o.labels, "study", columns, as_it_is);
  const Find find = [&](const Model& m) {
    auto found = brain_mri_files(o, labels);
    return scan_studies(std::move(found), scan_preparation(o, m, false, RawScans::prepare));
  };
  const auto scores = obtain_scores(o, names, as_it_is, find, pair_scores(brain_prompts(names)));
  say_unscored(labels.studies.size(), scores.studies.size());
  report_findings(o, "brain MRI", scores, names, scores.values,
                  labels_of(scores, labels, o.labels));
  return scores.finish();
}

}  // namespace evaluate
