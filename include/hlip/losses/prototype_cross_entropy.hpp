// Cross-entropy of a student's probabilities over prototypes with a teacher's, some prototypes at a
// time: neither the logits nor the targets of all of them are ever held. On the way back they are
// computed again, at two products more.
// Source: reference document RAD-DINO §4; Caron et al. 2021 (DINO); Zhou et al. 2022 (iBOT).
#pragma once

#include <hlip/losses/prototype_targets.hpp>
#include <hlip/ops/index.hpp>

#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

/// Which rows of the teacher each row of the student is compared with: one, or two whose losses add
/// up. Both lists empty: each with the one of the same number.
struct ComparedRows {
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> second;  ///< −1: none; empty: none anywhere
};

namespace detail {

/// Student rows beside the targets of those they are compared with, for some prototypes.
template <class T, class B> class PrototypeComparison {
 public:
  PrototypeComparison(const Tensor<T, B>& features, const Prototypes<T, B>& prototypes,
                      const PrototypeTargets<T, B>& targets, const ComparedRows& compared,
                      double temperature)
      : features_(features), prototypes_(prototypes), targets_(targets), factor_(1 / temperature) {
    prototypes.check("prototype_cross_entropy", features.shape());
    expect(temperature > 0, "prototype_cross_entropy",
           "temperature is {}, expected a positive number", temperature);
    expect(targets.prototypes.count() == prototypes.count(), "prototype_cross_entropy",
           "the teacher has {} prototypes, expected {}", targets.prototypes.count(),
           prototypes.count());
    const index_t rows = features.dim(0);
    const auto named = [&](index_t listed, const char* what) {
      expect(listed == rows, "prototype_cross_entropy",
             "{} rows of the teacher{} for {} rows of the student", listed, what, rows);
    };
    if (compared.first.empty() && compared.second.empty()) {
      named(targets.rows(), "");
      return;
    }
    named(static_cast<index_t>(compared.first.size()), " named first");
    first_ = numbers(compared.first);
    if (compared.second.empty()) return;
    named(static_cast<index_t>(compared.second.size()), " named second");
    std::vector<std::int64_t> second;
    std::vector<T> there;
    for (const std::int64_t row : compared.second) {
      second.push_back(row < 0 ? 0 : row);
      there.push_back(row < 0 ? T(0) : T(1));
    }
    second_ = numbers(second);
    has_second_ = Tensor<T, B>::from_values({rows, 1}, std::span<const T>(there));
  }

  const Tensor<T, B>& features() const { return features_; }
  const Prototypes<T, B>& prototypes() const { return prototypes_; }
  double factor() const { return factor_; }
  /// How many rows of the teacher each is compared with: one element, or (R, 1).
  Tensor<T, B> counts() const {
    const auto one = Tensor<T, B>::ones({1, 1});
    return has_second_.numel() > 0 ? Tensor<T, B>(has_second_ + one) : one;
  }
  /// Logits over temperature. @param weight prototypes (n, d)  @return (R, n)
  Tensor<T, B> scores(const Tensor<T, B>& weight) const {
    return prototype_scores(features_, weight, factor_);
  }
  /// Sums of the probabilities that each row is compared with. @return (R, end − first)
  Tensor<T, B> targets(index_t first, index_t end) const {
    const Tensor<T, B> p = targets_.probabilities(first, end);
    if (first_.numel() == 0) return p;
    const Tensor<T, B> q = index_select(p, first_);
    if (second_.numel() > 0) q.assign(q + index_select(p, second_) * has_second_);
    return q;
  }

 private:
  static Tensor<std::int64_t, B> numbers(const std::vector<std::int64_t>& rows) {
    return Tensor<std::int64_t, B>::from_values({static_cast<index_t>(rows.size())},
                                                std::span<const std::int64_t>(rows));
  }
  Tensor<T, B> features_;
  Prototypes<T, B> prototypes_;
  PrototypeTargets<T, B> targets_;
  double factor_;
  Tensor<std::int64_t, B> first_, second_;
  Tensor<T, B> has_second_;
};

/// Gradients of features, g and v, given those of the loss of every row (R, 1).
/// @param lse log of the student's sums (R, 1)
template <class T, class B>
void pull_prototypes(const PrototypeComparison<T, B>& c, const Tensor<T, B>& lse,
                     const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
  const Tensor<T, B>& x = c.features();
  const Prototypes<T, B>& prototypes = c.prototypes();
  const index_t rows = x.dim(0), width = x.dim(1);
  const Tensor<T, B> factor = dy * c.factor(), mass = c.counts();
  const WeightNormSinks<T, B> sinks(grads, 1, 2, prototypes.count(), width);
  GradSink<T> dx = grads.wants(0) ? grads.sink(0) : GradSink<T>();
  for_normalised_rows(prototypes.count(), [&](index_t first, index_t end) {
    const WeightNormRows<T, B> w = prototypes.rows(first, end);
    const Tensor<T, B> d = c.scores(w.weight), q = c.targets(first, end);
    d.assign((exp(d - lse) * mass - q) * factor);
    GemmArgs<T> g;
    if (dx.grad) {
      g.m = rows, g.n = width, g.k = end - first, g.a = d.data(), g.lda = g.k;
      g.b = w.weight.data(), g.ldb = width, g.c = dx.grad, g.ldc = width;
      g.beta = dx.add ? T(1) : T(0);
      gemm(B{}, g);
      dx.add = true;
    }
    if (!sinks.wanted()) return;
    const auto dweight = Tensor<T, B>::empty({end - first, width});
    g = {};
    g.m = end - first, g.n = width, g.k = rows, g.a = d.data(), g.lda = g.m, g.trans_a = true;
    g.b = x.data(), g.ldb = width, g.c = dweight.data(), g.ldc = width;
    gemm(B{}, g);
    w.pull(dweight, sinks);
  });
}

}  // namespace detail

/// −Σ_k p_k · log softmax(features · prototypesᵀ / temperature)_k of every row, p being the targets
/// it is compared with; those sum to 1. Nothing flows to the teacher.
/// @param features (R, d)  @param g (K, 1) lengths and @param v (K, d) directions of the student's
/// prototypes  @return (R, 1)
template <class T, class B>
Var<T, B> prototype_cross_entropy(const Var<T, B>& features, const Var<T, B>& g, const Var<T, B>& v,
                                  const PrototypeTargets<T, B>& targets,
                                  const ComparedRows& compared, double temperature) {
  const detail::PrototypeComparison<T, B> c(features.value().contiguous(),
                                            {g.value().contiguous(), v.value().contiguous()},
                                            targets, compared, temperature);
  const index_t rows = features.dim(0), k = v.dim(0);
  const auto sums = detail::columns_of_pieces<T, B>(rows, k),
             dots = detail::columns_of_pieces<T, B>(rows, k);
  for_normalised_rows(k, [&](index_t first, index_t end) {
    const Tensor<T, B> z = c.scores(c.prototypes().rows(first, end).weight),
                       q = c.targets(first, end);
    detail::column_of_piece(sums, first).assign(logsumexp(z, {1}, true));
    q.assign(q * z);
    detail::column_of_piece(dots, first).assign(sum(q, {1}, true));
  });
  const Tensor<T, B> lse = logsumexp(sums, {1}, true);
  return record("prototype_cross_entropy", Tensor<T, B>(c.counts() * lse - sum(dots, {1}, true)),
                {features, g, v}, [c, lse](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  detail::pull_prototypes(c, lse, dy, grads);
                });
}

HLIP_END
