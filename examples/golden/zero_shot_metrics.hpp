// Kind zero_shot_metrics: yes/no metrics per class, merged classes, several classes, class weights
// and probabilities, retrieval.
#pragma once

#include "fixture.hpp"

#include <hlip/eval.hpp>

namespace golden {

namespace detail {

template <class T> std::vector<T> column(const std::vector<T>& table, index_t width, index_t c) {
  std::vector<T> out;
  for (std::size_t i = static_cast<std::size_t>(c); i < table.size();
       i += static_cast<std::size_t>(width))
    out.push_back(table[i]);
  return out;
}

/// The metrics in the order of the file's columns; `star_` is the reference's name for values at a
/// fitted threshold.
inline std::vector<double> in_order(const Json& columns,
                                    const std::array<double, BinaryMetrics::columns>& values) {
  std::vector<double> out;
  for (const auto& name : columns) {
    const std::string text = name.is_string() ? name.get<std::string>() : name.dump();
    const std::string own = text == "threshold"         ? "fitted_threshold"
                            : text.starts_with("star_") ? "fitted_" + text.substr(5)
                                                        : text;
    const auto at = std::find(BinaryMetrics::names.begin(), BinaryMetrics::names.end(), own);
    if (at == BinaryMetrics::names.end())
      fail("config", "columns names {}, which is no metric of ours", quote_text(text));
    out.push_back(values[static_cast<std::size_t>(at - BinaryMetrics::names.begin())]);
  }
  return out;
}

/// Thresholds must be exactly those of the reference, which all lie on one grid.
inline void compare_thresholds(Fixture& f, const std::string& name, const Json& columns,
                               const std::vector<double>& got) {
  const auto want = f.reals(name);
  std::size_t i = 0;
  for (const auto& column : columns) {
    if (column == "threshold")
      for (std::size_t k = i; k < got.size() && k < want.size(); k += columns.size())
        f.demand(got[k] == want[k], "{}: threshold {} is {}, expected exactly {}", name,
                 k / columns.size(), got[k], want[k]);
    ++i;
  }
}

inline std::vector<double> retrieval_values(const Fixture& f, const RetrievalReport& report) {
  const Json names = parse_json(f.file().metadata("retrieval_names"),
                                f.path() + ": retrieval_names");
  std::map<std::string, double> values;
  for (const auto& [side, m] : {std::pair{std::string("image_to_text_"), report.image_to_text},
                                {std::string("text_to_image_"), report.text_to_image}}) {
    values[side + "R@1"] = m.recall_at_1, values[side + "R@5"] = m.recall_at_5,
                  values[side + "R@10"] = m.recall_at_10;
    values[side + "mean_rank"] = m.mean_rank, values[side + "median_rank"] = m.median_rank;
  }
  std::vector<double> out;
  for (const auto& name : list_of(names, "retrieval_names")) {
    const auto at = values.find(name.is_string() ? name.get<std::string>() : name.dump());
    if (at == values.end()) fail("retrieval_names", "{} is no metric of ours", name.dump());
    out.push_back(at->second);
  }
  return out;
}

}  // namespace detail

template <class B> void check_zero_shot_metrics(Fixture& f) {
  // One function: the published evaluation in its order, each number compared.
  const Json& j = f.config();
  const Json& columns = list_of(entry(j, "columns"), "columns");
  const index_t classes = size_at(j, "classes"), samples = size_at(j, "samples"),
                width = size_at(j, "multi"), metrics = static_cast<index_t>(columns.size());
  for (const char* name : {"input.scores", "input.labels"}) f.require(name, {samples, classes});
  for (const char* name : {"input.multi_logits", "input.onehot"}) f.require(name, {samples, width});

  // One class at a time, their means, and the last two as one.
  const auto scores = f.reals("input.scores");
  const auto labels = f.integers("input.labels");
  std::vector<BinaryMetrics> all;
  std::vector<double> table;
  for (index_t c = 0; c < classes; ++c) {
    all.push_back(
        binary_metrics(detail::column(scores, classes, c), detail::column(labels, classes, c)));
    for (const double v : detail::in_order(columns, all.back().values())) table.push_back(v);
  }
  f.compare("output.binary", table, {classes, metrics}, metric);
  detail::compare_thresholds(f, "output.binary", columns, table);
  f.compare("output.binary_mean", detail::in_order(columns, mean_over_classes(all)), metric);
  if (classes < 2) fail("config", "{} class, two are needed to merge", classes);
  const auto merged = merge_class_scores(detail::column(scores, classes, classes - 2),
                                         detail::column(scores, classes, classes - 1));
  const auto merged_metrics = detail::in_order(
      columns, binary_metrics(merged, detail::column(labels, classes, classes - 2)).values());
  f.compare("output.merged_scores", merged, exact);
  f.compare("output.merged", merged_metrics, metric);
  detail::compare_thresholds(f, "output.merged", columns, merged_metrics);

  // Several classes at once. The metrics take the file's probabilities, whose ties are those of
  // single precision.
  f.compare("output.multi_prob", row_softmax(f.reals("input.multi_logits"), width),
            {samples, width}, forward);
  const auto onehot = f.integers("input.onehot");
  std::vector<std::int64_t> label;
  for (auto row = onehot.begin(); row != onehot.end(); row += width)
    label.push_back(std::max_element(row, row + width) - row);
  const auto published = f.reals("output.multi_prob");
  f.compare("output.multiclass",
            {balanced_accuracy(published, label, width), macro_roc_auc(published, label, width)},
            metric);

  // Prompts to probabilities.
  const index_t prompts = size_at(j, "prompts"), templates = size_at(j, "templates"),
                dim = f.shape("input.prompt_embeddings").rank() == 2
                          ? f.shape("input.prompt_embeddings")[1]
                          : 1;
  const index_t studies = f.shape("input.study_features").rank() == 2
                              ? f.shape("input.study_features")[0]
                              : 1;
  f.require("input.prompt_embeddings", {prompts * templates, dim});
  f.require("input.study_features", {studies, dim});
  const auto weights = zero_shot_weights(f.reals("input.prompt_embeddings"), prompts, templates,
                                         dim);
  f.compare("output.class_weights", weights, {dim, prompts}, forward);
  const double scale = f.scalar("input.logit_scale");
  const auto features = f.reals("input.study_features");
  const auto logits = zero_shot_logits(features, weights, dim, scale);
  f.compare("output.class_logits", logits, {studies, prompts}, forward);
  f.compare("output.class_prob", class_probabilities(features, weights, dim, scale),
            {studies, prompts}, forward);
  f.compare("output.pair_prob", pair_probabilities(logits, prompts, 0, 1), {studies, 2}, forward);

  const index_t pairs = size_at(j, "pairs"),
                features_dim = f.shape("input.image_features").rank() == 2
                                   ? f.shape("input.image_features")[1]
                                   : 1;
  for (const char* name : {"input.image_features", "input.text_features"})
    f.require(name, {pairs, features_dim});
  f.compare("output.retrieval",
            detail::retrieval_values(f, retrieval(f.reals("input.image_features"),
                                                  f.reals("input.text_features"), features_dim)),
            metric);
}

}  // namespace golden
