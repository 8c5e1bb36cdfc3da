// Cuda loops: a thread for each element, in the element's own type (16-bit floats in float).
#pragma once

#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/thrust.hpp>
#include <hlip/backend/element_loop.hpp>

HLIP_BEGIN

/// fn(i) for every i in [0, n); calls are independent of one another. fn is copied to the GPU: a functor whose operator() is
/// HLIP_FN, or a lambda marked HLIP_LAMBDA.
template <class Fn>
void for_each_index(Cuda, index_t n, Fn fn) {
  if (n > 0) thrust::for_each_n(detail::thrust_policy(), thrust::counting_iterator<index_t>(0), n, fn);
}

/// out[i] = expression[i] for every index of `shape`.
template <class U, class View>
void map(Cuda, const Shape& shape, U* out, const Shape& out_stride, const View& view) {
  for_each_index(Cuda{}, shape.numel(), detail::MapElement<detail::ScalarLanes<false>, U, View>(shape, out, out_stride, view));
}

/// Adds or writes dL/dleaf for every recorded leaf; dy is contiguous in `shape`.
template <class T, class View>
void map_pull(Cuda, const Shape& shape, const T* dy, const View& view, const GradSink<T>* sinks) {
  for_each_index(Cuda{}, shape.numel(), detail::MapPullElement<detail::ScalarLanes<false>, T, View>(shape, dy, view, sinks));
}

/// to[i] = from[i] with conversion; both strided.
template <class U, class T>
void copy_strided(Cuda, const Shape& shape, U* to, const Shape& to_stride, const T* from, const Shape& from_stride) {
  for_each_index(Cuda{}, shape.numel(), detail::CopyElement<U, T>(shape, to, to_stride, from, from_stride));
}

template <class T>
void fill_strided(Cuda, const Shape& shape, T* to, const Shape& stride, T value) {
  for_each_index(Cuda{}, shape.numel(), detail::FillElement<T>(shape, to, stride, value));
}

HLIP_END
