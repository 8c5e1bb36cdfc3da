// Scores of a set: read, or made of embeddings that are read or made of images.
#pragma once

#include "embed.hpp"
#include "embeddings.hpp"
#include "model.hpp"
#include "options.hpp"
#include "prompt_scores.hpp"
#include "studies.hpp"

#include <hlip/data/problems.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/io/file.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evaluate {

using Find = std::function<Studies(const Model&)>;
using Name = std::function<std::string(std::string_view)>;

inline const Name bare = [](std::string_view path) { return bare_name(path); };
inline const Name as_it_is = [](std::string_view s) { return std::string(s); };

/// The scores of every study, and which studies have none because they could not be read.
struct Scored : ScoreTable {
  Problems failed;
  /// The end of a program: says what failed. @return its exit code
  int finish() const {
    constexpr std::size_t most = 20;
    if (failed.empty()) return 0;
    fmt::print(stderr, "evaluate: {} of {} studies could not be read and are not in the results:\n",
               failed.size(), failed.size() + studies.size());
    for (std::size_t i = 0; i < std::min(most, failed.size()); ++i)
      fmt::print(stderr, "  {}\n", failed[i]);
    if (failed.size() > most)
      fmt::print(stderr, "  … and {} more; metrics.json lists them all\n", failed.size() - most);
    return 1;
  }
};

/// Scores: read, or made of embeddings that are read or made of images. What is made is kept in
/// --out.
inline Scored obtain_scores(const Options& o, const std::vector<std::string>& columns,
                            const Name& name, const Find& find, const Score& score) {
  if (!o.scores.empty()) return {read_score_table(o.scores, columns, name), {}};
  const Model m = load_model(o);
  fmt::print("model: {}, {}\n{}", visible_text(m.path), visible_text(m.config.name), m.table);
  Embeddings e;
  Problems failed;
  if (o.embeddings.empty()) {
    e = embed(o, m, find(m), failed);
    write_embeddings(o.out + "/embeddings.safetensors", e);
  } else {
    e = read_embeddings(o.embeddings);
  }
  Scored scored{{columns, e.studies, score(m, e)}, std::move(failed)};
  atomic_write(o.out + "/scores.csv", scored.to_csv());
  return scored;
}

inline void say_unscored(std::size_t labelled, std::size_t scored) {
  if (scored < labelled)
    fmt::print("note: {} of {} labelled studies have no score and are left out\n",
               labelled - scored, labelled);
}

}  // namespace evaluate
