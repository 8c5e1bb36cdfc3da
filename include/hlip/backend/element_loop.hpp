// The loops of the contract one element at a time: a functor for each of them, which is called with the number of an element.
// Reference calls it in a plain loop, Cuda in a thread for each element.
#pragma once

#include <hlip/backend/fused.hpp>
#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/expr.hpp>

#include <array>

HLIP_BEGIN

namespace detail {

/// Elements stand for themselves, 16-bit floats for floats. `Wide`: all floats for doubles.
template <bool Wide>
struct ScalarLanes {
  template <class T>
  using value = std::conditional_t<Wide && is_floating<T>, double, T>;
  template <class T>
  HLIP_FN static auto load(const T* p, index_t step, index_t i, index_t) {
    return static_cast<value<compute_type<T>>>(static_cast<compute_type<T>>(p[i * step]));
  }
  template <class T>
  HLIP_FN static value<T> constant(T v) {
    return static_cast<value<T>>(v);
  }
  template <class U, class V>
  HLIP_FN static void store(U* p, index_t, index_t, V v) {
    *p = static_cast<U>(static_cast<compute_type<U>>(v));
  }
};

/// Where an element lies in a collapsed shape.
struct ElementPlace {
  index_t row, column;
  Shape index;  ///< of the row

  HLIP_FN ElementPlace(const Shape& loop, index_t element) : row(loop.rank() == 1 ? 0 : quotient(element, loop.back())), column(element - row * loop.back()), index(row_index(loop, row)) {}
  template <class T>
  HLIP_FN T* in(T* base, const Shape& stride) const {
    return at_row(base, index, stride) + column * stride.back();
  }
};

template <class Lanes, class U, class View>
struct MapElement {
  Shape loop, out_stride;
  U* out;
  View view;

  MapElement(const Shape& shape, U* to, const Shape& stride, const View& expression) : out_stride(stride), out(to), view(expression) { loop = collapse(shape, out_stride, view); }
  HLIP_FN void operator()(index_t element) const {
    const ElementPlace at(loop, element);
    Lanes::store(at.in(out, out_stride), 1, 1, forward<Lanes>(row_of(view, at.index), at.column, 1).value);
  }
};

template <class Lanes, class T, class View>
struct MapPullElement {
  Shape loop;
  const T* dy;
  View view;
  std::array<GradSink<T>, 8> sinks{};  // an expression has at most 8 leaves

  MapPullElement(const Shape& shape, const T* d, const View& expression, const GradSink<T>* to) : dy(d), view(expression) {
    Shape dy_stride = contiguous_strides(shape);
    loop = collapse(shape, dy_stride, view);
    for (int k = 0; k < View::recorded_leaves; ++k) sinks[static_cast<std::size_t>(k)] = to[k];
  }
  HLIP_FN void operator()(index_t element) const {
    const ElementPlace at(loop, element);
    std::array<GradSink<T>, 8> row_sinks = sinks;
    for (int k = 0; k < View::recorded_leaves; ++k) row_sinks[static_cast<std::size_t>(k)].grad += (element - at.column) * sinks[static_cast<std::size_t>(k)].step;
    const auto operands = row_of(view, at.index);
    const auto values = forward<Lanes>(operands, at.column, 1);
    pull<Lanes, 0>(operands, values, Lanes::load(dy, 1, element, 1), row_sinks.data(), at.column, 1);
  }
};

template <class U, class T>
struct CopyElement {
  Shape loop, to_stride, from_stride;
  U* to;
  const T* from;

  CopyElement(const Shape& shape, U* target, const Shape& target_stride, const T* source, const Shape& source_stride) : to_stride(target_stride), to(target), from(source) {
    LeafView<T, false> view{source, source_stride};
    loop = collapse(shape, to_stride, view);
    from_stride = view.stride;
  }
  HLIP_FN void operator()(index_t element) const {
    const ElementPlace at(loop, element);
    const T& value = *at.in(from, from_stride);
    if constexpr (std::is_same_v<U, T>) *at.in(to, to_stride) = value;
    else *at.in(to, to_stride) = static_cast<U>(static_cast<compute_type<U>>(static_cast<compute_type<T>>(value)));
  }
};

template <class T>
struct FillElement {
  Shape loop, stride;
  T* to;
  T value;

  FillElement(const Shape& shape, T* target, const Shape& target_stride, T v) : stride(target_stride), to(target), value(v) {
    ConstantView<T> view{v};
    loop = collapse(shape, stride, view);
  }
  HLIP_FN void operator()(index_t element) const { *ElementPlace(loop, element).in(to, stride) = value; }
};

}  // namespace detail

HLIP_END
