// Kind transfer: what a pre-trained encoder is put to, and how that is measured: the loss of
// segmentation, sliding windows, surfaces, classes by prompts, retrieval.
#pragma once

#include "../tolerances.hpp"

#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/dice.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/eval/retrieval.hpp>
#include <hlip/eval/surface_distance.hpp>
#include <hlip/eval/zero_shot.hpp>
#include <hlip/losses/dice_cross_entropy.hpp>
#include <hlip/models/segmentation/sliding_window.hpp>

namespace golden {

namespace detail {

template <class B> void check_segmentation_loss(Fixture& f) {
  const Var<float, B> logits(f.tensor<B>("input.seg.logits"), true);
  const auto loss = dice_cross_entropy(logits, f.indices<B>("input.seg.target"));
  loss.total().backward();
  f.compare("output.seg.dice_ce",
            {loss.dice.value().to_vector().at(0), loss.cross_entropy.value().to_vector().at(0)},
            of_an_operator);
  f.compare("grad.seg.logits", logits.grad(), of_an_operator);
}

/// The file's function of a window q, which no voxel alone decides: q - mean(q), and q².
template <class B> Tensor<float, B> window_function(const Tensor<float, B>& q) {
  const Tensor<float, B> middle = mean(q, {1, 2, 3, 4}, true), centred = q - middle, square = q * q;
  return concat(std::vector<Tensor<float, B>>{centred, square}, 1);
}

template <class B> void check_sliding_window(Fixture& f) {
  const auto volume = f.tensor<B>("input.slide.volume");
  Shape window;
  for (const auto n : f.integers("input.slide.window")) window.push_back(n);
  if (window.rank() != 3) fail_file(f.path(), "input.slide.window", "expected three sides");
  for (int d = 0; d < 3; ++d) {
    const auto starts = window_starts(volume.dim(d + 1), window[d]);
    f.compare_exact(fmt::format("output.slide.starts_{}", "zyx"[d]), starts,
                    {static_cast<index_t>(starts.size())});
  }
  f.compare("output.slide.gaussian_weight", gaussian_window(window), of_an_operator);
  SlidingWindowOptions options;
  f.compare("output.slide.gaussian", sliding_window(volume, window, options, window_function<B>),
            of_an_operator);
  options.weight = WindowWeight::constant;
  f.compare("output.slide.constant", sliding_window(volume, window, options, window_function<B>),
            of_an_operator);
}

inline void check_surfaces(Fixture& f) {
  const auto mask = [&](const char* name) {
    const auto values = f.integers(name);
    return std::vector<std::uint8_t>(values.begin(), values.end());
  };
  const auto a = mask("input.surface.a"), b = mask("input.surface.b");
  std::array<std::int64_t, 3> size;
  for (int d = 0; d < 3; ++d)
    size[static_cast<std::size_t>(d)] = axis_of(f, "input.surface.a", 3, d);
  const SurfaceDistance distance = surface_distance(a, b, size);
  f.compare("output.surface.mean", distance.mean, of_an_operator);
  f.compare("output.surface.hd", distance.hausdorff, of_an_operator);
  f.compare("output.surface.hd95", distance.hausdorff95, of_an_operator);
  f.compare("output.surface.dice", dice(a, b), of_an_operator);
}

inline void check_prompts(Fixture& f) {
  const index_t classes = axis_of(f, "input.zero.positive", 2, 0),
                dim = axis_of(f, "input.zero.positive", 2, 1);
  f.require("input.zero.negative", {classes, dim});
  const auto positive = f.reals("input.zero.positive"), negative = f.reals("input.zero.negative");
  const auto encode = [&](const std::vector<std::string>& prompts) {
    std::vector<double> rows;
    for (std::size_t i = 0; i < prompts.size(); ++i) {  // negative, positive, negative, …
      const auto from = (i % 2 == 0 ? negative : positive).begin() +
                        static_cast<index_t>(i / 2) * dim;
      rows.insert(rows.end(), from, from + dim);
    }
    return rows;
  };
  const ZeroShotClassifier classifier(std::vector<ZeroShotClass>(static_cast<std::size_t>(classes)),
                                      encode, 10);
  const auto p = classifier.probabilities(f.reals("input.zero.image"));
  f.compare("output.zero.probability", p, {axis_of(f, "input.zero.image", 2, 0), classes},
            of_an_operator);

  f.require("input.zero.label", f.shape("output.zero.probability"));
  const auto labels = f.integers("input.zero.label");
  std::vector<double> auroc, auprc, f1, balanced;
  for (std::size_t c = 0; c < static_cast<std::size_t>(classes); ++c) {
    std::vector<double> score;
    std::vector<std::int64_t> label;
    for (std::size_t i = c; i < p.size(); i += static_cast<std::size_t>(classes))
      score.push_back(p[i]), label.push_back(labels[i]);
    const BinaryMetrics metrics = binary_metrics(score, label);
    const BinaryCounts n = count_binary(score, label);
    auroc.push_back(metrics.auc);
    auprc.push_back(average_precision(score, label));
    f1.push_back(f1_score(n.true_positive, n.false_positive, n.false_negative));
    balanced.push_back(metrics.balanced_accuracy);
  }
  f.compare("output.zero.auroc", auroc, of_an_operator);
  f.compare("output.zero.auprc", auprc, of_an_operator);
  f.compare("output.zero.f1", f1, of_an_operator);
  f.compare("output.zero.balanced_accuracy", balanced, of_an_operator);
}

inline void check_retrieval(Fixture& f) {
  const auto report = retrieval(f.reals("input.zero.image"), f.reals("input.retrieval.text"),
                                axis_of(f, "input.retrieval.text", 2, 1));
  const auto row = [](const RetrievalMetrics& m) {
    return std::vector<double>{m.recall_at_1, m.recall_at_5, m.recall_at_10, m.median_rank};
  };
  f.compare("output.retrieval.i2t_r1_5_10_median", row(report.image_to_text), of_an_operator);
  f.compare("output.retrieval.t2i_r1_5_10_median", row(report.text_to_image), of_an_operator);
}

}  // namespace detail

template <class B> void check_transfer(Fixture& f) {
  detail::check_segmentation_loss<B>(f);
  detail::check_sliding_window<B>(f);
  detail::check_surfaces(f);
  detail::check_prompts(f);
  detail::check_retrieval(f);
}

}  // namespace golden
