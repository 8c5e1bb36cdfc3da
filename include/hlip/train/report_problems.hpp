// What becomes of faulty studies when a run begins.
#pragma once

#include <hlip/data/problems.hpp>
#include <hlip/train/run_folder.hpp>

#include <string>

HLIP_BEGIN

/// Lists faulty studies in OUT/skipped_SPLIT.txt and says so; without --skip-bad they end the run
/// before it begins.
inline void report_problems(const RunOptions& o, RunFolder& folder, const Problems& problems,
                            const std::string& root, const std::string& split) {
  if (!o.skip_bad) expect_no_problems(problems, root, split);
  if (problems.empty()) return;
  std::string list;
  for (const auto& p : problems) list += p + "\n";
  folder.add("skipped_" + split + ".txt", list);
  fmt::print("{}: {} faulty studies or rows are left out{}\n", split, problems.count(),
             o.dry_run ? "" : fmt::format(", listed in {}/skipped_{}.txt", o.out, split));
}

HLIP_END
