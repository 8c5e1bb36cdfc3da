// What a teacher says of each row: probabilities over prototypes, kept as what they are made of. A
// matrix of rows by prototypes would be the largest thing of a training step; any part of it is a
// product away.
// Source: reference document RAD-DINO §4; Caron et al. 2021 (DINO; centring); Caron et al. 2020
// (SwAV; Sinkhorn-Knopp); Oquab et al. 2023 (DINOv2).
#pragma once

#include <hlip/autograd/functions/weight_norm.hpp>
#include <hlip/distributed/tensors.hpp>
#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/reduce.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

HLIP_BEGIN

/// Prototypes as weight normalisation keeps them: row j has length g_j and the direction of v_j.
template <class T, class B> struct Prototypes {
  Tensor<T, B> g;  ///< (K, 1)
  Tensor<T, B> v;  ///< (K, d)

  index_t count() const { return v.dim(0); }
  /// @throws hlip::error when g does not fit, or rows of `features` (R, d) do not
  void check(std::string_view operation, const Shape& features) const {
    expect_shape(operation, "features", features, {{"rows"}, {"width"}});
    expect_shape(operation, "weight_v", v.shape(), {{"prototypes"}, {"width", features[1]}});
    expect_shape(operation, "weight_g", g.shape(), {{"prototypes", v.dim(0)}, {"1", 1}});
    expect(v.dim(0) > 0, operation, "no prototypes");
  }
  WeightNormRows<T, B> rows(index_t first, index_t end) const { return {g, v, first, end}; }
};

namespace detail {

/// factor · x · wᵀ + shift, of some prototypes. @param x (R, d)  @param w (n, d)  @param shift (n),
/// or none  @return (R, n)
template <class T, class B>
Tensor<T, B> prototype_scores(const Tensor<T, B>& x, const Tensor<T, B>& w, double factor,
                              const T* shift = nullptr) {
  const auto scores = Tensor<T, B>::empty({x.dim(0), w.dim(0)});
  GemmArgs<T> g;
  g.m = x.dim(0), g.n = w.dim(0), g.k = x.dim(1), g.alpha = static_cast<T>(factor);
  g.a = x.data(), g.lda = g.k, g.b = w.data(), g.ldb = g.k, g.trans_b = true;
  g.c = scores.data(), g.ldc = g.n, g.bias = shift;
  gemm(B{}, g);
  return scores;
}

}  // namespace detail

/// Probabilities of M rows over K prototypes:
/// p_ij = exp(features_i · prototype_j / temperature + column_j + row_i).
template <class T, class B> struct PrototypeTargets {
  Tensor<T, B> features;  ///< (M, d)
  Prototypes<T, B> prototypes;
  double temperature = 1;
  Tensor<T, B> column;  ///< (1, K)
  Tensor<T, B> row;     ///< (M, 1)

  index_t rows() const { return features.dim(0); }
  /// log p of prototypes [first, end), but for `row`: (M, end − first)
  Tensor<T, B> scores(index_t first, index_t end) const {
    return detail::prototype_scores(features, prototypes.rows(first, end).weight, 1 / temperature,
                                    column.data() + first);
  }
  /// p of prototypes [first, end): (M, end − first)
  Tensor<T, B> probabilities(index_t first, index_t end) const {
    const Tensor<T, B> p = scores(first, end);
    p.assign(exp(p + row));
    return p;
  }
};

namespace detail {

template <class T, class B>
PrototypeTargets<T, B> unshifted_targets(std::string_view operation, const Tensor<T, B>& features,
                                         const Prototypes<T, B>& prototypes, double temperature) {
  prototypes.check(operation, features.shape());
  expect(temperature > 0, operation, "temperature is {}, expected a positive number", temperature);
  PrototypeTargets<T, B> t;
  t.features = features.contiguous();
  t.prototypes = {prototypes.g.contiguous(), prototypes.v.contiguous()};
  t.temperature = temperature;
  t.column = Tensor<T, B>::zeros({1, prototypes.count()});
  t.row = Tensor<T, B>::zeros({features.dim(0), 1});
  return t;
}

/// A column for every piece of the prototypes.
template <class T, class B> Tensor<T, B> columns_of_pieces(index_t rows, index_t prototypes) {
  return Tensor<T, B>::empty(
      {rows, (prototypes + normalised_rows_at_a_time - 1) / normalised_rows_at_a_time});
}
template <class T, class B> Tensor<T, B> column_of_piece(const Tensor<T, B>& x, index_t first) {
  const index_t piece = first / normalised_rows_at_a_time;
  return x.slice(1, piece, piece + 1);
}

}  // namespace detail

/// Probabilities with a centre: softmax((features · prototypesᵀ − centre) / temperature).
/// @param features (M, d)  @param centre (1, K)
template <class T, class B>
PrototypeTargets<T, B> centred_targets(const Tensor<T, B>& features,
                                       const Prototypes<T, B>& prototypes,
                                       const Tensor<T, B>& centre, double temperature) {
  auto t = detail::unshifted_targets("centred_targets", features, prototypes, temperature);
  expect_shape("centred_targets", "centre", centre.shape(),
               {{"1", 1}, {"prototypes", prototypes.count()}});
  t.column = Tensor<T, B>(centre * (-1.0 / temperature));
  const auto parts = detail::columns_of_pieces<T, B>(t.rows(), prototypes.count());
  for_normalised_rows(prototypes.count(), [&](index_t first, index_t end) {
    detail::column_of_piece(parts, first).assign(logsumexp(t.scores(first, end), {1}, true));
  });
  t.row = Tensor<T, B>(-logsumexp(parts, {1}, true));
  return t;
}

/// The sum of the logits of all rows of all ranks: those of the summed features. A collective call.
/// @param features (M, d)  @return (1, K)
template <class T, class B, Communicator C = SingleProcess>
Tensor<T, B> summed_logits(const Tensor<T, B>& features, const Prototypes<T, B>& prototypes,
                           const C& communicator = {}) {
  prototypes.check("summed_logits", features.shape());
  const Tensor<T, B> total = sum_over_ranks(sum(features, {0}, true), communicator);
  const auto logits = Tensor<T, B>::empty({1, prototypes.count()});
  for_normalised_rows(prototypes.count(), [&](index_t first, index_t end) {
    logits.slice(1, first, end)
        .assign(detail::prototype_scores(total, prototypes.rows(first, end).weight, 1));
  });
  return logits;
}

/// Probabilities that use every prototype alike: exp(features · prototypesᵀ / temperature), brought
/// in `iterations` rounds to equal sums over the rows of all ranks for each prototype, and to 1 for
/// each row. Holds one (M, K) matrix until it returns: every round reads it once, and to make it
/// anew would be a product each. A collective call.
/// @param features (M, d); ranks may have different numbers of rows
template <class T, class B, Communicator C = SingleProcess>
PrototypeTargets<T, B> sinkhorn_targets(const Tensor<T, B>& features,
                                        const Prototypes<T, B>& prototypes, double temperature,
                                        int iterations = 3, const C& communicator = {}) {
  auto t = detail::unshifted_targets("sinkhorn_targets", features, prototypes, temperature);
  const index_t k = prototypes.count();
  const auto rows = static_cast<double>(count_over_ranks(t.rows(), communicator));
  expect(rows > 0, "sinkhorn_targets", "no rows");
  // exp of the scores less the largest of their row, so that none overflows and no row vanishes
  std::vector<Tensor<T, B>> pieces;
  const auto parts = detail::columns_of_pieces<T, B>(t.rows(), k);
  for_normalised_rows(k, [&](index_t first, index_t end) {
    pieces.push_back(t.scores(first, end));
    detail::column_of_piece(parts, first).assign(max(pieces.back(), {1}, true));
  });
  const Tensor<T, B> top = max(parts, {1}, true);
  for (const Tensor<T, B>& q : pieces) q.assign(exp(q - top));

  // p = columns · q · rows. The first round divides by sums over q as if the same number had been
  // taken off all rows.
  // sums below it are of a prototype that nothing is near: exp has lost its digits there
  const T least = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
  const auto of_columns = Tensor<T, B>::ones({1, k});
  Tensor<T, B> of_rows = exp(top - max_over_ranks(top, communicator));
  const auto sums = detail::columns_of_pieces<T, B>(t.rows(), k);
  for (int round = 0; round < iterations; ++round) {
    for_normalised_rows(k, [&](index_t first, index_t end) {
      const Tensor<T, B>& q = pieces[static_cast<std::size_t>(first / normalised_rows_at_a_time)];
      const Tensor<T, B> u = of_columns.slice(1, first, end),
                         all = sum_over_ranks(sum(q * of_rows, {0}, true), communicator);
      u.assign(1.0 / maximum(all, least));
      detail::column_of_piece(sums, first).assign(sum(q * u, {1}, true));
    });
    of_rows = Tensor<T, B>(1.0 / sum(sums, {1}, true));
  }
  if (iterations == 0) {
    for_normalised_rows(k, [&](index_t first, index_t) {
      const Tensor<T, B>& q = pieces[static_cast<std::size_t>(first / normalised_rows_at_a_time)];
      detail::column_of_piece(sums, first).assign(sum(q * of_rows, {1}, true));
    });
    of_rows = Tensor<T, B>(of_rows * rows / sum_over_ranks(sum(sums, {0, 1}, true), communicator));
  }
  t.column = Tensor<T, B>(log(of_columns));
  t.row = Tensor<T, B>(log(of_rows) - top);
  return t;
}

/// The mean entropy of the rows, as a share of the largest possible: 0 when every row names one
/// prototype, 1 when none prefers any.  @return one element
template <class T, class B> Tensor<T, B> mean_entropy(const PrototypeTargets<T, B>& targets) {
  const index_t k = targets.prototypes.count();
  const auto parts = detail::columns_of_pieces<T, B>(targets.rows(), k);
  for_normalised_rows(k, [&](index_t first, index_t end) {
    const Tensor<T, B> logs = targets.scores(first, end) + targets.row;
    detail::column_of_piece(parts, first).assign(sum(exp(logs) * logs, {1}, true));
  });
  const double scale = -1.0 /
                       (static_cast<double>(targets.rows()) * std::log(static_cast<double>(k)));
  return Tensor<T, B>(sum(parts) * scale).reshape(Shape{});
}

HLIP_END
