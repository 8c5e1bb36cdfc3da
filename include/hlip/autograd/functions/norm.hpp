// Normalisation over the last axis: layer_norm, and l2_normalize for features.
#pragma once

#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

HLIP_BEGIN

namespace detail {

/// layer_norm, its result in memory as S.
template <class S, class T, class B>
Var<T, B> layer_norm_as(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias,
                        double eps) {
  const Tensor<T, B> input = x.value().contiguous(), w = weight.value().contiguous(),
                     b = bias.value().contiguous();
  const index_t dim = weight.numel(), rows = dim > 0 ? x.numel() / dim : 0;
  const auto mean = Tensor<T, B>::empty({rows}), rstd = Tensor<T, B>::empty({rows});
  const auto rows_of = [=](index_t first, index_t last) {
    const auto y = Tensor<S, B>::empty({last - first, dim});
    layer_norm_forward(
        B{}, LayerNormArgs<T, S>{last - first, dim, static_cast<T>(eps), input.data() + first * dim,
                                 w.data(), b.data(), y.data(), mean.data() + first,
                                 rstd.data() + first});
    return y;
  };
  const auto pull = [=](const auto& given, InputGrads<T, B>& grads) {
    const Tensor<S, B> dy = stored_as<S>(given);
    const auto dw = grads.wants(1) ? Tensor<T, B>::empty({dim}) : Tensor<T, B>();
    const auto db = grads.wants(2) ? Tensor<T, B>::empty({dim}) : Tensor<T, B>();
    const GradSink<T> dx = grads.wants(0) ? grads.sink(0) : GradSink<T>();
    layer_norm_backward(
        B{}, LayerNormGradArgs<T, S>{rows, dim, input.data(), w.data(), mean.data(), rstd.data(),
                                     dy.data(), dx.grad, dw.data(), db.data(), dx.add});
    grads.add(1, dw);
    grads.add(2, db);
  };
  return record_value("layer_norm", rows_of(0, rows).reshape(x.shape()),
                      std::vector<Var<T, B>>{x, weight, bias}, pull, false, rows_of);
}

}  // namespace detail

/// (x − mean)·rstd·weight + bias over the last axis; keeps x, mean and rstd, from which the result
/// is remade on the way back.
///
/// @param x (…, dim)  @param weight (dim)  @param bias (dim)
template <class T, class B>
Var<T, B> layer_norm(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias, double eps,
                     ResultFor result = ResultFor::anything) {
  const index_t dim = weight.numel();
  expect_shape("layer_norm", "weight", weight.shape(), {{"dim"}});
  expect_shape("layer_norm", "bias", bias.shape(), {{"dim", dim}});
  expect(x.rank() >= 1 && x.dim(-1) == dim, "layer_norm", "x is {}, expected (…, dim = {})",
         to_string(x.shape()), dim);
  if constexpr (may_store_bfloat16<T, B>)
    if (result == ResultFor::products && stores_operands<T, B>())
      return detail::layer_norm_as<bfloat16>(x, weight, bias, eps);
  return detail::layer_norm_as<T>(x, weight, bias, eps);
}

/// x / max(‖x‖₂, eps) over the last axis.
template <class T, class B> Var<T, B> l2_normalize(const Var<T, B>& x, double eps = 1e-12) {
  const Var<T, B> squares = square(x);
  const Var<T, B> total = sum(squares, {-1}, true);
  // The maximum inside: √0 has no slope, and a zero row would get NaN
  return x / sqrt(maximum(total, eps * eps));
}

HLIP_END
