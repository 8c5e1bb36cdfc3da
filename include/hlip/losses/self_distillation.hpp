// Self-distillation: the student is to give the probabilities over prototypes that the teacher
// gives of another view, or of the patch that the student cannot see.
// Source: reference document RAD-DINO §4; Caron et al. 2021 (DINO); Zhou et al. 2022 (iBOT); Caron
// et al. 2020 (SwAV; Sinkhorn-Knopp); Oquab et al. 2023 (DINOv2).
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/distributed/tensors.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/reduce.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>

HLIP_BEGIN

/// Teacher probabilities with a centre: softmax((logits − centre) / temperature).
/// @param logits (R, K)  @param centre (1, K)  @return (R, K)
template <class T, class B>
Tensor<T, B> centred_targets(const Tensor<T, B>& logits, const Tensor<T, B>& centre,
                             double temperature) {
  expect_shape("centred_targets", "logits", logits.shape(), {{"rows"}, {"prototypes"}});
  expect_shape("centred_targets", "centre", centre.shape(),
               {{"1", 1}, {"prototypes", logits.dim(1)}});
  const Tensor<T, B> scaled = (logits - centre) * (1.0 / temperature);
  const auto y = Tensor<T, B>::empty(logits.shape());
  softmax_forward(B{}, scaled.data(), y.data(), logits.dim(0), logits.dim(1));
  return y;
}

/// The mean of all rows of all ranks, whatever their number on each.
/// @param x (R, K)  @return (1, K)
template <class T, class B, Communicator C = SingleProcess>
Tensor<T, B> mean_row(const Tensor<T, B>& x, const C& communicator = {}) {
  const Tensor<T, B> total = sum_over_ranks(sum(x, {0}, true), communicator);
  const index_t rows = count_over_ranks(x.dim(0), communicator);
  return total * (1.0 / static_cast<double>(std::max<index_t>(rows, 1)));
}

/// Teacher probabilities that use every prototype alike: exp(logits / temperature), brought in
/// `iterations` rounds to equal sums over the rows of all ranks for each prototype, and to 1 for
/// each row.
/// @param logits (R, K); ranks may have different numbers of rows  @return (R, K)
template <class T, class B, Communicator C = SingleProcess>
Tensor<T, B> sinkhorn_knopp(const Tensor<T, B>& logits, double temperature, int iterations = 3,
                            const C& communicator = {}) {
  expect_shape("sinkhorn_knopp", "logits", logits.shape(), {{"rows"}, {"prototypes"}});
  const auto k = static_cast<double>(logits.dim(1));
  const auto rows = static_cast<double>(count_over_ranks(logits.dim(0), communicator));
  expect(rows > 0, "sinkhorn_knopp", "no rows");
  // The largest logit of all ranks is taken off first: the result does not depend on it, and exp
  // does not overflow.
  const Tensor<T, B> top = max_over_ranks(logits, communicator);
  Tensor<T, B> q = exp((logits - top) * (1.0 / temperature));
  q = Tensor<T, B>(q / sum_over_ranks(sum(q, {0, 1}, true), communicator));
  for (int i = 0; i < iterations; ++i) {
    const Tensor<T, B> prototypes = sum_over_ranks(sum(q, {0}, true), communicator);
    q = Tensor<T, B>(q / (prototypes * k));
    q = Tensor<T, B>(q / (sum(q, {1}, true) * rows));
  }
  return q * rows;
}

/// −Σ_k target_rk · log softmax(logits_r / temperature)_k of every row. Targets need not sum to 1:
/// a row that is compared with two teacher rows has their sum.
/// @param logits (R, K)  @param targets (R, K), constants  @return (R, 1)
template <class T, class B>
Var<T, B> soft_cross_entropy(const Var<T, B>& logits, const Tensor<T, B>& targets,
                             double temperature) {
  expect_shape("soft_cross_entropy", "logits", logits.shape(), {{"rows"}, {"prototypes"}});
  expect_shape("soft_cross_entropy", "targets", targets.shape(),
               {{"rows", logits.dim(0)}, {"prototypes", logits.dim(1)}});
  const double inverse = 1.0 / temperature;
  const Tensor<T, B> z = logits.value() * inverse;
  const Tensor<T, B> lse = logsumexp(z, {1}, true), mass = sum(targets, {1}, true);
  const Tensor<T, B> dot = sum(Tensor<T, B>(targets * z), {1}, true);
  return record("soft_cross_entropy", Tensor<T, B>(mass * lse - dot), {logits},
                [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, Tensor<T, B>((exp(z - lse) * mass - targets) * (dy * inverse)));
                });
}

HLIP_END
