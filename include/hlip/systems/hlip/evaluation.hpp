// What is said and kept of the evaluations of a training run. Needs CLI11, nlohmann_json, libcsv
// and zlib.
#pragma once

#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/io/file.hpp>
#include <hlip/report/run_page.hpp>
#include <hlip/systems/hlip/options.hpp>
#include <hlip/systems/hlip/zero_shot.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What is said of every result on phantoms.
inline constexpr std::string_view synthetic_note =
    "The data are synthetic: geometric bodies and template sentences. The figures say nothing "
    "about patients.";

/// What an evaluation between two epochs found: a line to print, and figures to log.
struct Evaluation {
  std::string line;
  std::vector<std::pair<std::string, double>> scalars;
};

/// Whether to evaluate after an epoch. @param frequency epochs between evaluations, 0: none
inline bool evaluation_due(std::int64_t frequency, std::int64_t epoch) {
  return frequency > 0 && epoch % frequency == 0;
}

/// A zero-shot table between epochs.
inline Evaluation zero_shot_evaluation(const ZeroShotTable& table) {
  Evaluation found{"zero-shot " + table.last_line(), {}};
  for (const auto& [name, value] : table.scalars())
    found.scalars.emplace_back("val/" + name, value);
  return found;
}

/// Prints the table of a run and writes OUT/zero_shot.csv and OUT/zero_shot_scores.csv. The caller
/// prints its last line, last of all.
/// @param left_out names of findings that cannot be evaluated  @param studies what was scored, in
/// the plural  @param prompts how it was asked
inline void report_zero_shot(const HlipOptions& o, const ZeroShotScores& scores,
                             const ZeroShotTable& table, const std::vector<std::string>& left_out,
                             const char* studies, const std::string& prompts) {
  fmt::print("\nzero-shot findings on {} held-out {} ({}){}\n{}", table.studies(),
             o.phantom > 0 ? "synthetic studies" : studies, prompts,
             o.phantom > 0 ? "\n" + std::string(synthetic_note) : "", table.to_text());
  std::string names;
  for (const auto& name : left_out) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) fmt::print("not evaluated, because no or every study has them: {}\n", names);
  if (o.shuffle_reports)
    fmt::print(
        "control run: the reports were shuffled among the studies, so chance level is expected\n");
  if (o.model_ema_decay > 0) fmt::print("evaluated with the averaged weights\n");
  atomic_write(o.out + "/zero_shot.csv", table.to_csv());
  atomic_write(o.out + "/zero_shot_scores.csv",
               scores_to_csv(scores.findings, scores.volumes, scores.scores, scores.labels));
}

HLIP_END
