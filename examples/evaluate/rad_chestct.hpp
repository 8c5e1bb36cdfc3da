// Set rad-chestct: volumes as published or prepared, and two findings that its labels merge.
#pragma once

#include "chest_ct.hpp"
#include "options.hpp"
#include "prompt_scores.hpp"
#include "results.hpp"
#include "scores.hpp"
#include "studies.hpp"

#include <hlip/datasets/ct_rate/prompts.hpp>
#include <hlip/datasets/public/evaluation_tables.hpp>
#include <hlip/datasets/public/rad_chestct.hpp>
#include <hlip/datasets/public/studies.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/io/file.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string>

namespace evaluate {

/// As published (<id>.npz), or prepared: the published preparation leaves <id>/<id>.pt, the
/// published evaluation looks for <id>.pt.
inline std::string rad_chestct_file(const std::string& root, const std::string& id) {
  for (const std::string& prepared :
       {fmt::format("{}/{}.pt", root, id), fmt::format("{0}/{1}/{1}.pt", root, id)})
    if (is_file(prepared)) return prepared;
  return fmt::format("{}/{}.npz", root, id);
}

inline int run_rad_chestct(const Options& o) {
  const auto labels = read_label_table(o.labels, "NoteAcc_DEID", rad_chestct_label_columns(), bare);
  const auto& names = labels.columns;
  const Find find = [&](const Model& m) {
    Studies s;
    std::string absent;
    for (const auto& id : labels.studies)
      if (const auto path = rad_chestct_file(o.data_root, id); is_file(path)) s.names.push_back(id);
      else if (absent.empty()) absent = path;
    if (!absent.empty() && !o.allow_absent)
      fail_file(absent, "", "is absent, and {} of {} in all; hint: --allow-absent",
                labels.studies.size() - s.names.size(), labels.studies.size());
    expect_ct_model(m);
    s.load = [root = o.data_root, ids = s.names, preset = m.preset](index_t i, Warnings& w) {
      return one_scan(plausible_input(
          read_rad_chestct(rad_chestct_file(root, ids[static_cast<std::size_t>(i)])), preset, w));
    };
    return s;
  };
  const auto classes = rad_chestct_prompts(prompt_template(o.prompts));
  const auto scores = obtain_scores(o, names, bare, find, pair_scores(classes));
  say_unscored(labels.studies.size(), scores.studies.size());
  const MergedCalcification merged(scores.values, labels_of(scores, labels, o.labels));
  report_findings(o, "Rad-ChestCT", scores, merged.names, merged.scores, merged.labels);
  return scores.finish();
}

}  // namespace evaluate
