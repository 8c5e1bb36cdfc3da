// Reductions of Vars: sum, mean, max, logsumexp, var.
#pragma once

#include <hlip/autograd/var.hpp>

HLIP_BEGIN

namespace detail {
/// Shape of a reduction's result with the reduced axes kept as 1, so that it broadcasts against the
/// input.
inline Shape keep_reduced(std::string_view where, const Shape& shape, const Shape& axes) {
  Shape kept = axes.empty() ? Shape::filled(shape.rank(), 1) : shape;
  for (index_t a : axes) kept[normalize_axis(where, static_cast<int>(a), shape.rank())] = 1;
  return kept;
}
}  // namespace detail

/// Sum over `axes` (all, if none are given), which stay with size 1 if `keepdim`. @throws
/// hlip::error for an axis that does not exist
template <class T, class B>
Var<T, B> sum(const Var<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  const Shape before = x.shape(), kept = detail::keep_reduced("sum", before, axes);
  return record("sum", sum(x.value(), axes, keepdim), {x},
                [before, kept](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy.reshape(kept).expand(before));
                });
}

/// Mean over `axes`, as sum takes them.
template <class T, class B>
Var<T, B> mean(const Var<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  const Shape before = x.shape(), kept = detail::keep_reduced("mean", before, axes);
  const double scale = static_cast<double>(kept.numel()) / static_cast<double>(before.numel());
  return record("mean", mean(x.value(), axes, keepdim), {x},
                [before, kept, scale](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  const Tensor<T, B> share = dy.reshape(kept) * scale;
                  grads.add(0, share.expand(before));
                });
}

/// Ties share the gradient equally.
template <class T, class B>
Var<T, B> max(const Var<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  const Shape kept = detail::keep_reduced("max", x.shape(), axes);
  const Tensor<T, B> input = x.value(), top = max(input, axes, true);
  return record("max", keepdim ? top : max(input, axes, false), {x},
                [input, top, kept](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  const Tensor<T, B> hit = where(input == top, Tensor<T, B>::ones(Shape{}), 0.0);
                  const Tensor<T, B> count = sum_to(hit, kept);
                  grads.add(0, Tensor<T, B>(hit * dy.reshape(kept) / count));
                });
}

/// log Σ exp(x) over `axes`, as sum takes them, without overflow.
template <class T, class B>
Var<T, B> logsumexp(const Var<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  const Shape kept = detail::keep_reduced("logsumexp", x.shape(), axes);
  const Tensor<T, B> input = x.value(), y = logsumexp(input, axes, keepdim);
  return record("logsumexp", y, {x},
                [input, y, kept](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, Tensor<T, B>(dy.reshape(kept) * exp(input - y.reshape(kept))));
                });
}

/// Variance over options.axes, divided by n - correction (1 by default).
template <class T, class B> Var<T, B> var(const Var<T, B>& x, const VarOptions& options = {}) {
  const Shape kept = detail::keep_reduced("var", x.shape(), options.axes);
  const Tensor<T, B> input = x.value(), centre = mean(input, options.axes, true);
  const double n = static_cast<double>(input.numel()) / static_cast<double>(kept.numel());
  const double scale = 2.0 / (n - static_cast<double>(options.correction));
  return record("var", var(input, options), {x},
                [input, centre, kept, scale](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, Tensor<T, B>(dy.reshape(kept) * (input - centre) * scale));
                });
}

HLIP_END
