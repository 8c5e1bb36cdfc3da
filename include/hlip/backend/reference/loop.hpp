// Reference loops: one element at a time, floating arithmetic in double.
#pragma once

#include <hlip/backend/fused.hpp>
#include <hlip/backend/reference/memory.hpp>
#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/expr.hpp>

HLIP_BEGIN

namespace detail {

/// Elements stand for themselves, floats widened to double.
struct ScalarLanes {
  template <class T>
  using value = std::conditional_t<is_floating<T>, double, T>;
  template <class T>
  static auto load(const T* p, index_t step, index_t i, index_t) {
    return static_cast<value<compute_type<T>>>(static_cast<compute_type<T>>(p[i * step]));
  }
  template <class T>
  static value<T> constant(T v) {
    return static_cast<value<T>>(v);
  }
  template <class U, class V>
  static void store(U* p, index_t, index_t, V v) {
    *p = static_cast<U>(static_cast<compute_type<U>>(v));
  }
};

/// Calls fn(row, column) for every element of a collapsed shape.
template <class Fn>
void for_each_element(const Shape& shape, Fn fn) {
  if (shape.numel() == 0) return;
  for (index_t row = 0; row < shape.numel() / shape.back(); ++row)
    for (index_t i = 0; i < shape.back(); ++i) fn(row, i);
}

template <class T>
T* element_of(T* base, const Shape& loop, const Shape& stride, index_t row, index_t i) {
  const Shape index = row_index(loop, row);
  for (int d = 0; d + 1 < loop.rank(); ++d) base += index[d] * stride[d];
  return base + i * stride.back();
}

}  // namespace detail

template <class U, class View>
void map(Reference, const Shape& shape, U* out, Shape out_stride, View view) {
  const Shape loop = collapse(shape, out_stride, view);
  detail::for_each_element(loop, [&](index_t row, index_t i) {
    const auto value = detail::forward<detail::ScalarLanes>(row_of(view, row_index(loop, row)), i, 1).value;
    detail::ScalarLanes::store(detail::element_of(out, loop, out_stride, row, i), 1, 1, value);
  });
}

template <class T, class View>
void map_pull(Reference, const Shape& shape, const T* dy, View view, const GradSink<T>* sinks) {
  Shape dy_stride = contiguous_strides(shape);
  const Shape loop = collapse(shape, dy_stride, view);
  detail::for_each_element(loop, [&](index_t row, index_t i) {
    std::array<GradSink<T>, 8> at;
    for (int k = 0; k < View::recorded_leaves; ++k) {
      at[static_cast<std::size_t>(k)] = sinks[k];
      if (sinks[k].step) at[static_cast<std::size_t>(k)].grad += row * loop.back();
    }
    const auto operands = row_of(view, row_index(loop, row));
    const auto values = detail::forward<detail::ScalarLanes>(operands, i, 1);
    detail::pull<detail::ScalarLanes, 0>(operands, values, static_cast<double>(dy[row * loop.back() + i]), at.data(), i, 1);
  });
}

template <class U, class T>
void copy_strided(Reference, const Shape& shape, U* to, Shape to_stride, const T* from, const Shape& from_stride) {
  LeafView<T, false> view{from, from_stride};
  const Shape loop = collapse(shape, to_stride, view);
  detail::for_each_element(loop, [&](index_t row, index_t i) {
    const T value = *detail::element_of(view.data, loop, view.stride, row, i);
    *detail::element_of(to, loop, to_stride, row, i) = static_cast<U>(static_cast<compute_type<U>>(static_cast<compute_type<T>>(value)));
  });
}

template <class T>
void fill_strided(Reference, const Shape& shape, T* to, Shape stride, T value) {
  ConstantView<T> view{value};
  const Shape loop = collapse(shape, stride, view);
  detail::for_each_element(loop, [&](index_t row, index_t i) { *detail::element_of(to, loop, stride, row, i) = value; });
}

template <class Fn>
void for_each_index(Reference, index_t n, Fn fn) {
  for (index_t i = 0; i < n; ++i) fn(i);
}

HLIP_END
