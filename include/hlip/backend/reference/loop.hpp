// Reference loops: one element at a time, floating arithmetic in double.
#pragma once

#include <hlip/backend/element_loop.hpp>
#include <hlip/backend/reference/memory.hpp>

HLIP_BEGIN

template <class Fn> void for_each_index(Reference, index_t n, Fn fn) {
  for (index_t i = 0; i < n; ++i) fn(i);
}

namespace detail {
template <class Loop> void walk(Reference, index_t n, const Loop& loop) {
  for_each_index(Reference{}, n, LoopInLanes<ScalarLanes<true>, Loop>{loop});
}
}  // namespace detail

template <class U, class View>
void map(Reference, const Shape& shape, U* out, const Shape& out_stride, const View& view) {
  detail::walk(Reference{}, shape.numel(), detail::MapLoop<U, View>(shape, out, out_stride, view));
}

template <class T, class View>
void map_pull(Reference, const Shape& shape, const T* dy, const View& view,
              const GradSink<T>* sinks) {
  detail::walk(Reference{}, shape.numel(), detail::MapPullLoop<T, View>(shape, dy, view, sinks));
}

template <class U, class T>
void copy_strided(Reference, const Shape& shape, U* to, const Shape& to_stride, const T* from,
                  const Shape& from_stride) {
  detail::walk(Reference{}, shape.numel(),
               detail::CopyLoop<U, T>(shape, to, to_stride, from, from_stride));
}

template <class T>
void fill_strided(Reference, const Shape& shape, T* to, const Shape& stride, T value) {
  detail::walk(Reference{}, shape.numel(), detail::FillLoop<T>(shape, to, stride, value));
}

HLIP_END
