// Collapse: the ways in which self-distillation finds an answer without learning anything, and how
// they show. Source: reference document RAD-DINO §11; Caron et al. 2021 (DINO), §5.3.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/reduce.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How far rows point in different directions: √(1 − ‖mean of the rows at length 1‖²), 0 when they
/// are all alike, towards 1 when they have nothing in common. @param x (R, C)
template <class T, class B> Tensor<T, B> feature_spread(const Tensor<T, B>& x) {
  const Tensor<T, B> lengths = sqrt(sum(Tensor<T, B>(x * x), {1}, true) + 1e-12);
  const Tensor<T, B> centre = mean(Tensor<T, B>(x / lengths), {0});
  const Tensor<T, B> squares = sum(Tensor<T, B>(centre * centre));
  return Tensor<T, B>(sqrt(maximum(1.0 - squares, 0.0))).reshape(Shape{});
}

/// What a healthy run stays within.
struct CollapseLimits {
  double min_entropy = 0.1, max_entropy = 0.95;  ///< of the targets, shares of log K
  double min_spread = 0.01;                      ///< of the features
  /// Share of the run before which nothing is said: heads begin at random, and for a while no
  /// prototype is preferred.
  double after = 0.5;
  std::int64_t patience = 50;  ///< steps in a row outside before the run ends
};

/// Counts the steps outside. The count belongs into checkpoints: a run that stops often would
/// never be ended otherwise.
class CollapseWatch {
 public:
  /// @param values the named numbers of a step, target_entropy and feature_spread among them
  /// @throws hlip::error after `patience` steps in a row outside the limits, saying which and what
  /// helps
  void check(const CollapseLimits& limits,
             const std::vector<std::pair<std::string, double>>& values, std::int64_t step,
             std::int64_t steps) {
    double entropy = 0.5, spread = 1;
    for (const auto& [name, value] : values) {
      if (name == "target_entropy") entropy = value;
      if (name == "feature_spread") spread = value;
    }
    const bool outside = entropy < limits.min_entropy || entropy > limits.max_entropy ||
                         spread < limits.min_spread;
    const bool late = static_cast<double>(step) >= limits.after * static_cast<double>(steps);
    outside_ = outside && late ? outside_ + 1 : 0;
    if (outside_ < limits.patience) return;
    const char* what = entropy < limits.min_entropy
                           ? "the teacher names the same few prototypes for every picture"
                       : entropy > limits.max_entropy
                           ? "the teacher prefers no prototype for any picture"
                           : "the features of all pictures are alike";
    fail("self_distillation",
         "collapsed: {} (target entropy {:.3f} of log K, expected {} to {}; feature spread {:.4f}, "
         "expected at least {}; {} steps in a row) (hint: a lower --lr, a longer warm-up of "
         "--teacher-temp, --centering sinkhorn_knopp, or a larger batch)",
         what, entropy, limits.min_entropy, limits.max_entropy, spread, limits.min_spread,
         outside_);
  }

  /// Shows the count: visit(name, count), see Objective.
  template <class Visit> void each_count(Visit&& visit) { visit("steps_of_collapse", outside_); }

 private:
  std::int64_t outside_ = 0;
};

HLIP_END
