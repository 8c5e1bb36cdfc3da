// Views and rearrangements of Vars. Forward moves no element where the tensor operation does not;
// backward puts the gradient back where it came from.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/shape.hpp>

HLIP_BEGIN

/// The same elements in another shape. @throws hlip::error if their number differs
template <class T, class B> Var<T, B> reshape(const Var<T, B>& x, const Shape& shape) {
  const Shape before = x.shape();
  return record("reshape", x.value().reshape(shape), {x},
                [before](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy.reshape(before));
                });
}

/// Axes in another order: axis d of the result is axis order[d] of x.
template <class T, class B> Var<T, B> permute(const Var<T, B>& x, const Shape& order) {
  Shape inverse = Shape::filled(order.rank(), 0);
  for (int d = 0; d < order.rank(); ++d)
    inverse[normalize_axis("permute", static_cast<int>(order[d]), x.rank())] = d;
  return record("permute", x.value().permute(order), {x},
                [inverse](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy.permute(inverse));
                });
}

/// Two axes exchanged.
template <class T, class B> Var<T, B> transpose(const Var<T, B>& x, int a, int b) {
  return record("transpose", x.value().transpose(a, b), {x},
                [a, b](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy.transpose(a, b));
                });
}

/// Every `step`-th index of [begin, end) on one axis.
template <class T, class B>
Var<T, B> slice(const Var<T, B>& x, int axis, index_t begin, index_t end, index_t step = 1) {
  const Shape before = x.shape();
  return record("slice", x.value().slice(axis, begin, end, step), {x},
                [before, axis, begin, end, step](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  auto dx = Tensor<T, B>::zeros(before);
                  dx.slice(axis, begin, end, step).assign(dy);
                  grads.add(0, dx);
                });
}

/// One index of an axis; the axis disappears.
template <class T, class B> Var<T, B> select(const Var<T, B>& x, int axis, index_t index) {
  const Shape before = x.shape();
  return record("select", x.value().select(axis, index), {x},
                [before, axis, index](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  auto dx = Tensor<T, B>::zeros(before);
                  dx.select(axis, index).assign(dy);
                  grads.add(0, dx);
                });
}

/// Repeats axes of size 1 without copying.
template <class T, class B> Var<T, B> expand(const Var<T, B>& x, const Shape& shape) {
  const Shape before = x.shape();
  return record("expand", x.value().expand(shape), {x},
                [before](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, sum_to(dy, before));
                });
}

/// Parts behind one another along an axis; all other sizes are equal.
template <class T, class B> Var<T, B> concat(const std::vector<Var<T, B>>& parts, int axis) {
  std::vector<Tensor<T, B>> values;
  std::vector<index_t> sizes;
  for (const auto& p : parts) {
    values.push_back(p.value());
    sizes.push_back(p.dim(axis));
  }
  return record("concat", concat(values, axis), parts,
                [sizes, axis](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  index_t at = 0;
                  for (std::size_t i = 0; i < sizes.size(); ++i) {
                    grads.add(i, dy.slice(axis, at, at + sizes[i]));
                    at += sizes[i];
                  }
                });
}

/// Neighbouring pieces of an axis.
template <class T, class B>
std::vector<Var<T, B>> split(const Var<T, B>& x, std::span<const index_t> sizes, int axis) {
  std::vector<Var<T, B>> parts;
  index_t at = 0;
  for (index_t s : sizes) {
    parts.push_back(slice(x, axis, at, at + s));
    at += s;
  }
  expect(at == x.dim(axis), "split", "pieces add up to {}, axis {} of {} has {}", at, axis,
         to_string(x.shape()), x.dim(axis));
  return parts;
}

/// `value` around x, one Padding an axis, first axis first; negative amounts crop.
template <class T, class B>
Var<T, B> pad(const Var<T, B>& x, std::span<const Padding> padding, T value) {
  std::vector<Padding> back;
  for (Padding p : padding) back.push_back({-p.before, -p.after});
  return record("pad", pad(x.value(), padding, value), {x},
                [back](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, pad(dy, std::span<const Padding>(back), T(0)));
                });
}

HLIP_END
