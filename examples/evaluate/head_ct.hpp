// Sets rsna and cq500: head CT, whose findings are ranked by prompts in several templates.
#pragma once

#include "options.hpp"
#include "prompt_scores.hpp"
#include "results.hpp"
#include "scans.hpp"
#include "scores.hpp"

#include <hlip/datasets/public/evaluation_tables.hpp>
#include <hlip/datasets/public/head_ct_prompts.hpp>
#include <hlip/datasets/public/studies.hpp>
#include <hlip/datasets/study_json.hpp>
#include <hlip/eval/auc_table.hpp>
#include <hlip/eval/score_table.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace evaluate {

/// RSNA: one study for each series of RSNA_<study>, named <study>/<series>. CQ500: all scans of all
/// series of a study.
inline ScanFiles head_ct_files(const Options& o, const std::vector<std::string>& studies,
                               bool rsna) {
  ScanFiles found;
  for (const auto& study : studies) {
    if (!is_inside_name(study))
      fail_file(o.labels, "column study", "{} leads out of the data folder", quote_text(study));
    const auto series = folders_in(fmt::format("{}/{}{}", o.data_root, rsna ? "RSNA_" : "", study));
    if (!rsna) found.studies.push_back(study), found.files.emplace_back();
    for (const auto& s : series) {
      auto scans = scan_files(s);
      if (rsna) {
        found.studies.push_back(study + "/" + std::filesystem::path(s).filename().string());
        found.files.push_back(std::move(scans));
      } else {
        found.files.back().insert(found.files.back().end(), scans.begin(), scans.end());
      }
    }
  }
  return found;
}

/// RSNA (one study for each series of RSNA_<study>) and CQ500 (all scans of all series of a study).
inline int run_head_ct(const Options& o, bool rsna) {
  const RankingPrompts prompts = rsna ? rsna_prompts() : cq500_prompts();
  const auto labels = read_label_table(o.labels, "study", ranking_label_columns(prompts), as_it_is);
  const auto& names = labels.columns;
  const Find find = [&](const Model& m) {
    auto found = head_ct_files(o, labels.studies, rsna);
    return scan_studies(std::move(found), scan_preparation(o, m, false, RawScans::refuse));
  };
  const Score score = [&](const Model& m, const Embeddings& e) {
    return prompt_logits(m, e, prompts.filled(), prompts.templates.size(), 1);
  };
  auto scores = obtain_scores(o, names, as_it_is, find, score);
  if (rsna)  // a series has the labels of its study
    for (auto& s : scores.studies) s = s.substr(0, s.find('/'));
  report_ranking(o, rsna ? "RSNA" : "CQ500", scores,
                 AucTable(names, scores.values, labels_of(scores, labels, o.labels), o.bootstrap));
  return scores.finish();
}

}  // namespace evaluate
