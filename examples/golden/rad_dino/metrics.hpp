// Kind metrics: AUPRC, AUROC and the curve of precision and recall, Dice, F1 of labels and of
// triples, bootstrap.
#pragma once

#include "../tolerances.hpp"

#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/dice.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/eval/mean_sd.hpp>

namespace golden {

namespace detail {

inline std::vector<std::uint8_t> mask_of(const Fixture& f, const std::string& name) {
  const auto values = f.integers(name);
  return {values.begin(), values.end()};
}

inline std::vector<EntityTriple> triples_of(const Fixture& f, const std::string& name) {
  std::vector<EntityTriple> out;
  if (!f.contains(name)) return out;  // an empty report has no tensor
  if (axis_of(f, name, 2, 1) != 3)
    fail_file(f.path(), name, "is {}, expected triples", to_string(f.shape(name)));
  const auto values = f.integers(name);
  for (std::size_t i = 0; i < values.size(); i += 3)
    out.push_back({values[i], values[i + 1], values[i + 2]});
  return out;
}

inline void check_ranking(Fixture& f) {
  for (int k = 0; f.contains(fmt::format("input.case{}.score", k)); ++k) {
    const std::string name = fmt::format(".case{}.", k);
    const auto scores = f.reals("input" + name + "score");
    const auto labels = f.integers("input" + name + "y");
    f.compare("output" + name + "auprc_auroc",
              {average_precision(scores, labels), roc_auc(scores, labels)}, of_an_operator);
    const auto curve = precision_recall_curve(scores, labels);
    f.compare("output" + name + "precision", curve.precision, of_an_operator);
    f.compare("output" + name + "recall", curve.recall, of_an_operator);
    f.compare("output" + name + "threshold", curve.threshold, of_an_operator);
  }
}

inline void check_dice(Fixture& f) {
  const index_t images = axis_of(f, "input.dice.pred", 4, 0),
                classes = axis_of(f, "input.dice.pred", 4, 1),
                pixels = axis_of(f, "input.dice.pred", 4, 2) * axis_of(f, "input.dice.pred", 4, 3);
  const auto scores = dice_per_image(mask_of(f, "input.dice.pred"), mask_of(f, "input.dice.target"),
                                     pixels);
  f.compare("output.dice.per_image_class", scores, {images, classes}, of_an_operator);
  std::vector<double> of_images, of_classes;
  const auto width = static_cast<std::size_t>(classes);
  for (std::size_t i = 0; i < scores.size(); i += width)
    of_images.push_back(mean_without_nan(std::span(scores).subspan(i, width)));
  for (std::size_t c = 0; c < width; ++c) {
    std::vector<double> column;
    for (std::size_t i = c; i < scores.size(); i += width) column.push_back(scores[i]);
    const MeanSd m = mean_sd(column);
    of_classes.insert(of_classes.end(), {m.mean, m.sd});
  }
  f.compare("output.dice.mean_image", of_images, of_an_operator);
  f.compare("output.dice.mean_std", of_classes, {classes, 2}, of_an_operator);
}

}  // namespace detail

template <class B> void check_metrics(Fixture& f) {
  detail::check_ranking(f);
  detail::check_dice(f);

  const auto labels = label_f1(positive_mentions(f.integers("input.chexbert.ref")),
                               positive_mentions(f.integers("input.chexbert.hyp")),
                               axis_of(f, "input.chexbert.ref", 2, 1));
  f.compare("output.chexbert.per_label", labels.per_label, of_an_operator);
  f.compare("output.chexbert.macro_f1", labels.macro, of_an_operator);
  f.compare("output.chexbert.micro_f1", labels.micro, of_an_operator);

  std::vector<double> triples;
  for (index_t k = 0; k < axis_of(f, "output.entities.f1", 1, 0); ++k)
    triples.push_back(triples_f1(detail::triples_of(f, fmt::format("input.entities.ref{}", k)),
                                 detail::triples_of(f, fmt::format("input.entities.hyp{}", k))));
  f.compare("output.entities.f1", triples, of_an_operator);
  f.compare("output.entities.mean", mean_without_nan(triples), of_an_operator);

  const auto values = f.reals("input.bootstrap.values");
  const auto mean = [&](std::span<const std::int64_t> weights) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      sum += static_cast<double>(weights[i]) * values[i], count += static_cast<double>(weights[i]);
    return sum / count;
  };
  const auto over = bootstrap_of_draws(static_cast<std::int64_t>(values.size()),
                                       f.integers("input.bootstrap.indices"),
                                       axis_of(f, "input.bootstrap.indices", 2, 1), mean);
  f.compare("output.bootstrap.median_lo_hi", {over.median, over.interval.low, over.interval.high},
            of_an_operator);
}

}  // namespace golden
