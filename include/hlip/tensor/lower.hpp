// What a kernel receives instead of an expression: pointers and strides, trivially copyable, no
// counts. Broadcasting has become stride 0, and axes that lie behind one another in every operand
// have been merged.
#pragma once

#include <hlip/tensor/dtype.hpp>
#include <hlip/tensor/operands.hpp>
#include <hlip/tensor/shape.hpp>

#include <array>
#include <span>

HLIP_BEGIN

/// An operation that has a value but no derivative (comparisons, casts to integers) says so with
/// `static constexpr bool differentiable = false`; every other one has a pull-back, or it is not an
/// operation.
template <class F>
inline constexpr bool differentiable_op = [] {
  if constexpr (requires { F::differentiable; }) return F::differentiable;
  else return true;
}();

/// The most tensors that one statement may read.
inline constexpr int max_leaves = 8;

/// A tensor leaf, its strides aligned to the axes of the output. `Recorded` leaves (Vars) get a
/// gradient.
template <class T, bool Recorded> struct LeafView {
  using value_type = compute_type<T>;
  static constexpr int recorded_leaves = Recorded ? 1 : 0;
  const T* data;
  Shape stride;
};

/// A number that is the same for every element.
template <class T> struct ConstantView {
  using value_type = T;
  static constexpr int recorded_leaves = 0;
  T value;
};

/// An operation on lowered operands.
template <class F, class V, class... A> struct MapView {
  using value_type = V;
  static constexpr int recorded_leaves = differentiable_op<F> ? (A::recorded_leaves + ... + 0) : 0;
  F f;
  Operands<A...> args;
};

/// One row of a leaf: elements `step` apart.
template <class T, bool Recorded> struct LeafRow {
  using value_type = compute_type<T>;
  static constexpr int recorded_leaves = Recorded ? 1 : 0;
  const T* data;
  index_t step;
};

namespace detail {

template <class T, bool R, class Fn> void visit_leaves(LeafView<T, R>& leaf, Fn&& fn) { fn(leaf); }
template <class T, class Fn> void visit_leaves(ConstantView<T>&, Fn&&) {}
template <class F, class V, class... A, class Fn>
void visit_leaves(MapView<F, V, A...>& node, Fn&& fn) {
  with_operands(node.args, [&](auto&... arg) { (visit_leaves(arg, fn), ...); });
}

/// collapse, whatever the expression: `strides` are those of the operands and the output.
inline Shape collapse_axes(const Shape& shape, std::span<Shape* const> strides) {
  // group[d]: merged axis (counted from the inside) that axis d belongs to, -1 for size 1
  std::array<int, max_rank> group{};
  Shape sizes;         // merged sizes, innermost first
  int outermost = -1;  // the original axis merged last
  for (int d = shape.rank() - 1; d >= 0; --d) {
    group[static_cast<std::size_t>(d)] = -1;
    if (shape[d] == 1) continue;
    bool joins = outermost >= 0;
    for (const Shape* s : strides) joins = joins && (*s)[d] == (*s)[outermost] * shape[outermost];
    if (joins) sizes[sizes.rank() - 1] *= shape[d];
    else sizes.push_back(shape[d]);
    group[static_cast<std::size_t>(d)] = sizes.rank() - 1;
    outermost = d;
  }
  const int rank = sizes.rank() > 0 ? sizes.rank() : 1;
  for (Shape* s : strides) {
    Shape merged = Shape::filled(rank, 0);
    // The innermost axis of a group is visited last and sets its stride
    for (int d = 0; d < shape.rank(); ++d)
      if (group[static_cast<std::size_t>(d)] >= 0)
        merged[rank - 1 - group[static_cast<std::size_t>(d)]] = (*s)[d];
    *s = merged;
  }
  Shape merged = Shape::filled(rank, 1);
  for (int g = 0; g < sizes.rank(); ++g) merged[rank - 1 - g] = sizes[g];
  return merged;
}

}  // namespace detail

/// Merges axes that every operand walks as one and drops axes of size 1. Rewrites the strides of
/// the operands and of the output and returns the merged shape (never rank 0: a scalar becomes one
/// row of one element).
template <class View> Shape collapse(const Shape& shape, Shape& out_stride, View& view) {
  std::array<Shape*, 1 + max_leaves> strides{&out_stride};
  std::size_t n = 1;
  detail::visit_leaves(view, [&](auto& leaf) { strides[n++] = &leaf.stride; });
  return detail::collapse_axes(shape, {strides.data(), n});
}

namespace detail {
/// a / b for a >= 0, b > 0. A GPU has no instruction for it, and needs a third of the time for 32
/// bits.
HLIP_FN index_t quotient(index_t a, index_t b) {
  if (((a | b) >> 32) == 0)
    return static_cast<index_t>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
  return a / b;
}

/// How many axes a loop over those of a shape visits: on a GPU all there can be, with a test of
/// each in the loop. An array lies in registers there if its subscripts are known to the compiler,
/// and otherwise in memory, which costs more than what a statement does.
HLIP_FN constexpr int axes_to_visit([[maybe_unused]] int rank) {
#if defined(__CUDA_ARCH__)
  return max_rank;
#else
  return rank;
#endif
}

/// p at an index of the axes of `index` but the last.
template <class T> HLIP_FN T* at_row(T* p, const Shape& index, const Shape& stride) {
  HLIP_UNROLL
  for (int d = 0; d + 1 < axes_to_visit(index.rank()); ++d) {
    if (d + 1 >= index.rank()) break;
    p += index[d] * stride[d];
  }
  return p;
}
}  // namespace detail

/// The operands of row `row` of a collapsed expression (all axes but the last, flattened).
template <class T, bool R>
HLIP_FN LeafRow<T, R> row_of(const LeafView<T, R>& leaf, const Shape& index) {
  return {detail::at_row(leaf.data, index, leaf.stride), leaf.stride.back()};
}
template <class T> HLIP_FN ConstantView<T> row_of(const ConstantView<T>& constant, const Shape&) {
  return constant;
}
template <class F, class V, class... A>
HLIP_FN auto row_of(const MapView<F, V, A...>& node, const Shape& index) {
  return with_operands(node.args, [&](const auto&... arg) {
    return MapView<F, V, decltype(row_of(arg, index))...>{node.f, {row_of(arg, index)...}};
  });
}

/// Index of row number `row` in a collapsed shape; the last entry stays 0.
HLIP_FN Shape row_index(const Shape& shape, index_t row) {
  Shape index = shape;
  if (shape.rank() == 1) {  // most loops: nothing of what follows
    index[0] = 0;
    return index;
  }
  HLIP_UNROLL
  for (int d = detail::axes_to_visit(shape.rank()) - 1; d >= 0; --d) {
    if (d == shape.rank() - 1) index[d] = 0;
    if (d >= shape.rank() - 1) continue;
    const index_t above = d > 0 ? detail::quotient(row, shape[d]) : 0;
    index[d] = row - above * shape[d];
    row = above;
  }
  return index;
}

HLIP_END
