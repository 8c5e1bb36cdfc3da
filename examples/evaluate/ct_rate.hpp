// Set ct-rate: the volumes as published, or as the published preparation left them.
#pragma once

#include "chest_ct.hpp"
#include "options.hpp"
#include "prompt_scores.hpp"
#include "results.hpp"
#include "scores.hpp"
#include "studies.hpp"

#include <hlip/data/problems.hpp>
#include <hlip/datasets/ct_rate/dataset.hpp>
#include <hlip/datasets/ct_rate/names.hpp>
#include <hlip/datasets/ct_rate/prompts.hpp>
#include <hlip/datasets/ct_rate/volume.hpp>
#include <hlip/datasets/public/studies.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/io/file.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evaluate {

/// The file of a CT-RATE volume in a tree that the published preparation made, or nothing.
inline std::string prepared_ct_file(const Options& o, const std::string& volume) {
  if (const auto name = parse_ct_rate_name(volume))
    for (const std::string& folder : {o.data_root + "/" + o.split, o.data_root})
      if (const auto path = fmt::format("{}/{}/{}/{}.pt", folder, name->patient, name->study,
                                        name->volume);
          is_file(path))
        return path;
  return "";
}

/// Volumes that the published preparation brought to HU and spacing, if there are any.
inline std::optional<Studies> prepared_ct(const Options& o, const Model& m,
                                          const std::vector<std::string>& volumes) {
  Studies s;
  std::vector<std::string> files;
  for (const auto& v : volumes)
    if (auto file = prepared_ct_file(o, v); !file.empty())
      s.names.push_back(v), files.push_back(std::move(file));
  if (files.empty()) return std::nullopt;
  if (o.already_hu)
    fail_file(files.front(), "", "is prepared, and in HU by that: --already-hu means nothing here");
  if (o.spacing_from != "table")
    fail_file(files.front(), "",
              "is prepared, and resampled by that: --spacing-from means nothing here");
  if (files.size() < volumes.size() && !o.allow_absent)
    fail_file(o.data_root, "", "holds {} of the {} labelled volumes as .pt; hint: --allow-absent",
              files.size(), volumes.size());
  s.load = [files = std::move(files), preset = m.preset](index_t i, Warnings& w) {
    return one_scan(
        plausible_input(read_prepared_ct(files[static_cast<std::size_t>(i)]), preset, w));
  };
  return s;
}

/// Volumes as published, those that have labels.
inline Studies published_ct(const Options& o, const Model& m, const LabelTable& labels) {
  CtRateOptions reading;
  reading.need_reports = false;
  reading.need_labels = o.labels.empty();
  reading.already_hu = o.already_hu;
  reading.allow_absent = o.allow_absent;
  auto data = read_ct_rate(o.data_root, o.split, reading);
  expect_no_problems(data.problems, o.data_root, o.split);
  if (data.absent > 0) fmt::print("note: {} volumes are not there\n", data.absent);
  const auto volumes = std::make_shared<std::vector<CtRateVolume>>();
  Studies s;
  for (const auto& study : data.studies)
    for (const auto& r : study.recons)
      if (labels.row_of.contains(r.name)) s.names.push_back(r.name), volumes->push_back(r);
  CtPreset preset = m.preset;
  preset.already_hu = o.already_hu;
  s.load = [volumes, preset, from_header = o.spacing_from == "header"](index_t i, Warnings& w) {
    CtScan scan = open_ct_rate_volume((*volumes)[static_cast<std::size_t>(i)], preset);
    if (from_header) scan.frame = CtScan(scan.stored, scan.slope, scan.intercept).frame;
    return one_scan(plausible_input(std::move(scan), preset, w));
  };
  return s;
}

/// The file of --labels, or that of the tree.
inline std::string ct_rate_labels_file(const Options& o) {
  if (!o.labels.empty()) return o.labels;
  for (const std::string& split : {o.split, std::string("validation")})
    if (const auto path = fmt::format("{}/multi_abnormality_labels/{}_predicted_labels.csv",
                                      o.data_root, split);
        is_file(path))
      return path;
  fail_file(o.data_root, "",
            "holds no multi_abnormality_labels/{}_predicted_labels.csv; hint: --labels FILE",
            o.split);
}

inline int run_ct_rate(Options o) {
  if (o.split.empty()) o.split = "valid";
  const auto classes = ct_rate_prompts(prompt_template(o.prompts));
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  for (const auto& c : classes) names.push_back(c.name), columns.push_back({c.label_column});
  const std::string path = ct_rate_labels_file(o);
  const auto labels = read_label_table(path, "VolumeName", columns, bare);
  const Find find = [&](const Model& m) {
    expect_ct_model(m);
    if (auto prepared = prepared_ct(o, m, labels.studies)) return *std::move(prepared);
    return published_ct(o, m, labels);
  };
  const auto scores = obtain_scores(o, names, bare, find, pair_scores(classes));
  say_unscored(labels.studies.size(), scores.studies.size());
  report_findings(o, "CT-RATE", scores, names, scores.values, labels_of(scores, labels, path));
  return scores.finish();
}

}  // namespace evaluate
