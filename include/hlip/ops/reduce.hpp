// Reductions over any axes. Sums of floats are accumulated in double, whatever the element type.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/ops/elementwise.hpp>

HLIP_BEGIN

namespace detail {

/// (outer, n, inner) view of the reduced axes, copying only when they are not neighbours in memory.
template <class T, class B> struct ReducedAxes {
  Tensor<T, B> x;
  Shape kept, kept_as_ones;  // result shape without and with the reduced axes
  index_t outer = 1, n = 1, inner = 1;

  ReducedAxes(std::string_view where, const Tensor<T, B>& input, const Shape& axes) {
    std::array<bool, max_rank> reduced{};
    for (index_t a : axes) {
      const int d = normalize_axis(where, static_cast<int>(a), input.rank());
      expect(!reduced[static_cast<std::size_t>(d)], where, "axis {} is named twice", d);
      reduced[static_cast<std::size_t>(d)] = true;
    }
    int first = input.rank(), last = -1;
    for (int d = 0; d < input.rank(); ++d) {
      const bool r = axes.empty() || reduced[static_cast<std::size_t>(d)];
      reduced[static_cast<std::size_t>(d)] = r;
      kept_as_ones.push_back(r ? 1 : input.shape()[d]);
      if (r) {
        first = d < first ? d : first;
        last = d;
        n *= input.shape()[d];
      } else {
        kept.push_back(input.shape()[d]);
      }
    }
    bool neighbours = true;
    for (int d = first; d <= last; ++d)
      neighbours = neighbours && reduced[static_cast<std::size_t>(d)];
    if (neighbours) {
      for (int d = 0; d < first && d < input.rank(); ++d) outer *= input.shape()[d];
      for (int d = last + 1; d < input.rank() && last >= 0; ++d) inner *= input.shape()[d];
      x = input.contiguous();
    } else {
      Shape order;
      for (int pass = 0; pass < 2; ++pass)
        for (int d = 0; d < input.rank(); ++d)
          if (reduced[static_cast<std::size_t>(d)] == (pass == 1)) order.push_back(d);
      x = input.permute(order).contiguous();
      outer = kept.numel();
    }
  }
};

template <class U, class T, class B>
Tensor<U, B> reduce_axes(std::string_view where, Reduction kind, const Tensor<T, B>& x,
                         const Shape& axes, bool keepdim) {
  const ReducedAxes<T, B> r(where, x, axes);
  expect(r.n > 0 || kind == Reduction::sum, where, "the reduced axes of {} hold no elements",
         to_string(x.shape()));
  auto y = Tensor<U, B>::empty(keepdim ? r.kept_as_ones : r.kept);
  if (y.numel() > 0) reduce(B{}, kind, r.x.data(), y.data(), r.outer, r.n, r.inner);
  return y;
}

}  // namespace detail

/// Sum over `axes` (all when empty), which become size 1 with keepdim and vanish without.
template <class T, class B>
Tensor<T, B> sum(const Tensor<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  return detail::reduce_axes<T>("sum", Reduction::sum, x, axes, keepdim);
}
template <class T, class B>
Tensor<T, B> mean(const Tensor<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  return detail::reduce_axes<T>("mean", Reduction::mean, x, axes, keepdim);
}
template <class T, class B>
Tensor<T, B> max(const Tensor<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  return detail::reduce_axes<T>("max", Reduction::max, x, axes, keepdim);
}
template <class T, class B>
Tensor<T, B> min(const Tensor<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  if constexpr (is_floating<T>) {
    return -max(Tensor<T, B>(-x), axes, keepdim);
    // The complement reverses the order of integers of either sign; their negative overflows
  } else {
    const T ones = std::is_same_v<T, bool> ? T(true) : static_cast<T>(-1);
    return ones - max(Tensor<T, B>(ones - x), axes, keepdim);
  }
}
/// Index of the largest element along one axis; the first of equals.
template <class T, class B>
Tensor<std::int64_t, B> argmax(const Tensor<T, B>& x, int axis, bool keepdim = false) {
  return detail::reduce_axes<std::int64_t>("argmax", Reduction::argmax, x, {axis}, keepdim);
}
/// log Σ exp x, without overflow.
template <class T, class B>
Tensor<T, B> logsumexp(const Tensor<T, B>& x, const Shape& axes = {}, bool keepdim = false) {
  static_assert(std::is_floating_point_v<T>);
  return detail::reduce_axes<T>("logsumexp", Reduction::logsumexp, x, axes, keepdim);
}
struct VarOptions {
  Shape axes = {};
  index_t correction = 1;  ///< divides by n - correction, as torch.var
  bool keepdim = false;
};
/// Variance, two-pass.
template <class T, class B>
Tensor<T, B> var(const Tensor<T, B>& x, const VarOptions& options = {}) {
  const detail::ReducedAxes<T, B> r("var", x, options.axes);
  const Tensor<T, B> squares = square(x - mean(x, options.axes, true));
  return sum(squares, options.axes, options.keepdim) *
         (1.0 / static_cast<double>(r.n - options.correction));
}

/// Adds up the axes along which `shape` was broadcast to x: the pull-back of broadcasting.
template <class T, class B> Tensor<T, B> sum_to(const Tensor<T, B>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Shape axes;
  const int extra = x.rank() - shape.rank();
  for (int d = 0; d < x.rank(); ++d)
    if (d < extra || (shape[d - extra] == 1 && x.shape()[d] != 1)) axes.push_back(d);
  return axes.empty() ? x.reshape(shape) : sum(x, axes).reshape(shape);
}

// The same for expressions over Tensors or Vars: mean(square(x - y)).
template <LazyExpression E> auto sum(const E& x, const Shape& axes = {}, bool keepdim = false) {
  return sum(eval(x), axes, keepdim);
}
template <LazyExpression E> auto mean(const E& x, const Shape& axes = {}, bool keepdim = false) {
  return mean(eval(x), axes, keepdim);
}
template <LazyExpression E> auto max(const E& x, const Shape& axes = {}, bool keepdim = false) {
  return max(eval(x), axes, keepdim);
}
template <LazyExpression E>
auto logsumexp(const E& x, const Shape& axes = {}, bool keepdim = false) {
  return logsumexp(eval(x), axes, keepdim);
}
template <LazyExpression E> auto var(const E& x, const VarOptions& options = {}) {
  return var(eval(x), options);
}

HLIP_END
