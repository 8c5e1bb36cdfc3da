// Kind linear_probe: a linear layer on frozen features, its batches given.
#pragma once

#include "../tolerances.hpp"

#include <hlip/eval/average_precision.hpp>
#include <hlip/train/linear_probe.hpp>

#include <cstdio>

namespace golden {

namespace detail {

/// "AdamW lr 0.05 betas 0.9/0.999 eps 1e-8 wd 0.01 (also on the bias)"
inline LinearProbeOptions probe_options_of(const Fixture& f) {
  LinearProbeOptions o;
  const std::string text = f.said("optimizer");
  if (std::sscanf(text.c_str(), "AdamW lr %lf betas %lf/%lf eps %lf wd %lf", &o.lr, &o.adamw.beta1,
                  &o.adamw.beta2, &o.adamw.eps, &o.weight_decay) != 5)
    fail_file(f.path(), "optimizer", "is {}, expected AdamW with its numbers", quote_text(text));
  return o;
}

}  // namespace detail

template <class B> void check_linear_probe(Fixture& f) {
  const index_t pictures = axis_of(f, "input.X", 2, 0), width = axis_of(f, "input.X", 2, 1),
                labels = axis_of(f, "input.Y", 2, 1), batch = axis_of(f, "input.batches", 2, 1);
  f.require("input.Y", {pictures, labels});
  f.require("param.weight", {labels, width});
  f.require("param.bias", {labels});
  const auto order = f.integers("input.batches");
  const auto batch_of = [&](std::int64_t step) {
    const auto begin = order.begin() + step * batch;
    return std::vector<std::int64_t>(begin, begin + batch);
  };

  Linear<float, B> head = linear_probe_layer<B>(width, labels, 0);
  load_state_dict(head, Group(f, "param."));
  const auto x = f.tensor<B>("input.X");
  const auto losses = train_linear_probe(head, x, f.tensor<B>("input.Y"),
                                         axis_of(f, "input.batches", 2, 0), batch_of,
                                         detail::probe_options_of(f));
  f.compare("output.losses", losses, Limit{Limit::Scale::relative, 1e-4});
  f.compare("output.weight", head.weight.value(), of_a_trajectory);
  f.compare("output.bias", head.bias.value(), of_a_trajectory);
  const auto scores = linear_probe_scores(head, x);
  f.compare("output.scores", scores, {pictures, labels}, of_a_trajectory);

  const auto truth = f.reals("input.Y");
  std::vector<double> precision;
  for (std::size_t k = 0; k < static_cast<std::size_t>(labels); ++k) {
    std::vector<double> own;
    std::vector<std::int64_t> known;
    for (std::size_t i = k; i < scores.size(); i += static_cast<std::size_t>(labels))
      own.push_back(scores[i]), known.push_back(truth[i] == 1);
    precision.push_back(average_precision(own, known));
  }
  f.compare("output.auprc", precision, of_an_operator);
  f.compare("output.macro_auprc", mean_without_nan(precision), of_an_operator);
}

}  // namespace golden
