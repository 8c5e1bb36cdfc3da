// The loops of the contract as functors, which are called with the number of an element and take
// it, or it and its neighbours, as their Lanes say. Reference calls them in a plain loop, Cuda in a
// thread for each element or four. Beside what fused.hpp wants of Lanes:
//
//   Lanes::width                            elements that it takes at a time
//   Lanes::copy(T* to, const T* from, step) those, bit by bit
#pragma once

#include <hlip/backend/fused.hpp>
#include <hlip/backend/scalar_math.hpp>
#include <hlip/tensor/expr.hpp>

#include <array>

HLIP_BEGIN

namespace detail {

/// Elements stand for themselves, 16-bit floats for floats. `Wide`: all floats for doubles.
template <bool Wide> struct ScalarLanes {
  static constexpr index_t width = 1;
  template <class T> using value = std::conditional_t<Wide && is_floating<T>, double, T>;
  template <class T> HLIP_FN static auto load(const T* p, index_t step, index_t i, index_t) {
    return static_cast<value<compute_type<T>>>(static_cast<compute_type<T>>(p[i * step]));
  }
  template <class T> HLIP_FN static value<T> constant(T v) { return static_cast<value<T>>(v); }
  template <class U, class V> HLIP_FN static void store(U* p, index_t, index_t, V v) {
    *p = static_cast<U>(static_cast<compute_type<U>>(v));
  }
  template <class T> HLIP_FN static void copy(T* to, const T* from, index_t) { *to = *from; }
};

/// Where an element lies in a collapsed shape.
struct ElementPlace {
  index_t row, column;
  Shape index;  ///< of the row

  HLIP_FN ElementPlace(const Shape& loop, index_t element)
      : row(loop.rank() == 1 ? 0 : quotient(element, loop.back())),
        column(element - row * loop.back()),
        index(row_index(loop, row)) {}
  template <class T> HLIP_FN T* in(T* base, const Shape& stride) const {
    return at_row(base, index, stride) + column * stride.back();
  }
};

/// A loop as it is called: i is the number of an element, or of Lanes::width neighbours.
template <class Lanes, class Loop> struct LoopInLanes {
  Loop loop;
  HLIP_FN void operator()(index_t i) const { loop.template run<Lanes>(i * Lanes::width); }
};

// The loops. `visit_operands` calls fn(pointer, strides) for everything that they read and write.

template <class U, class View> struct MapLoop {
  Shape loop, out_stride;
  U* out;
  View view;

  MapLoop(const Shape& shape, U* to, const Shape& stride, const View& expression)
      : out_stride(stride), out(to), view(expression) {
    loop = collapse(shape, out_stride, view);
  }
  template <class Fn> void visit_operands(Fn fn) {
    fn(out, out_stride);
    visit_leaves(view, [&](const auto& leaf) { fn(leaf.data, leaf.stride); });
  }
  template <class Lanes> HLIP_FN void run(index_t element) const {
    const ElementPlace at(loop, element);
    Lanes::store(at.in(out, out_stride), 1, 1,
                 value_of<Lanes>(row_of(view, at.index), at.column, 1));
  }
};

template <class T, class View> struct MapPullLoop {
  Shape loop;
  const T* dy;
  View view;
  std::array<GradSink<T>, max_leaves> sinks{};

  MapPullLoop(const Shape& shape, const T* d, const View& expression, const GradSink<T>* to)
      : dy(d), view(expression) {
    Shape dy_stride = contiguous_strides(shape);
    loop = collapse(shape, dy_stride, view);
    for (int k = 0; k < View::recorded_leaves; ++k) sinks[static_cast<std::size_t>(k)] = to[k];
  }
  template <class Fn> void visit_operands(Fn fn) {
    const Shape stride = contiguous_strides(loop);
    fn(dy, stride);
    for (const GradSink<T>& sink : sinks)
      if (sink.step) fn(sink.grad, stride);
    visit_leaves(view, [&](const auto& leaf) { fn(leaf.data, leaf.stride); });
  }
  template <class Lanes> HLIP_FN void run(index_t element) const {
    const ElementPlace at(loop, element);
    std::array<GradSink<T>, max_leaves> row_sinks = sinks;
    for (int k = 0; k < View::recorded_leaves; ++k)
      row_sinks[static_cast<std::size_t>(k)].grad += (element - at.column) *
                                                     sinks[static_cast<std::size_t>(k)].step;
    const auto operands = row_of(view, at.index);
    const auto values = forward<Lanes>(operands, at.column, 1);
    pull<Lanes, 0>(operands, values, Lanes::load(dy, 1, element, 1), row_sinks.data(), at.column,
                   1);
  }
};

template <class U, class T> struct CopyLoop {
  Shape loop, to_stride, from_stride;
  U* to;
  const T* from;

  CopyLoop(const Shape& shape, U* target, const Shape& target_stride, const T* source,
           const Shape& source_stride)
      : to_stride(target_stride), to(target), from(source) {
    LeafView<T, false> view{source, source_stride};
    loop = collapse(shape, to_stride, view);
    from_stride = view.stride;
  }
  template <class Fn> void visit_operands(Fn fn) {
    fn(to, to_stride);
    fn(from, from_stride);
  }
  template <class Lanes> HLIP_FN void run(index_t element) const {
    const ElementPlace at(loop, element);
    if constexpr (std::is_same_v<U, T>)
      Lanes::copy(at.in(to, to_stride), at.in(from, from_stride), from_stride.back());
    else
      Lanes::store(at.in(to, to_stride), 1, 1,
                   Lanes::load(at.in(from, from_stride), from_stride.back(), 0, 1));
  }
};

template <class T> struct FillLoop {
  Shape loop, stride;
  T* to;
  compute_type<T> value;

  FillLoop(const Shape& shape, T* target, const Shape& target_stride, T v)
      : stride(target_stride), to(target), value(static_cast<compute_type<T>>(v)) {
    ConstantView<compute_type<T>> view{value};
    loop = collapse(shape, stride, view);
  }
  template <class Fn> void visit_operands(Fn fn) { fn(to, stride); }
  template <class Lanes> HLIP_FN void run(index_t element) const {
    Lanes::store(ElementPlace(loop, element).in(to, stride), 1, 1, Lanes::constant(value));
  }
};

}  // namespace detail

HLIP_END
