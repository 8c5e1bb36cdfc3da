// Cuda loops: a thread for each element, in the element's own type (16-bit floats in float).
#pragma once

#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/backend/element_loop.hpp>

#if !defined(HLIP_THRUST_CUDA)
#include <hlip/backend/cuda/thrust.hpp>
#endif

HLIP_BEGIN

#if defined(HLIP_THRUST_CUDA)
namespace detail {
inline constexpr int loop_threads = 256;

/// A thread for each element. Not thrust::for_each_n: that holds the functor by value, and what is subscripted in it (sizes, strides)
/// is copied by every thread into memory of its own, 832 bytes for a product of two tensors.
template <class Fn>
__global__ void __launch_bounds__(loop_threads) run_loop(const index_t n, const Fn fn) {
  const index_t i = static_cast<index_t>(blockIdx.x) * loop_threads + threadIdx.x;
  if (i < n) fn(i);
}
}  // namespace detail
#endif

/// fn(i) for every i in [0, n); calls are independent of one another. fn is copied to the GPU: a functor whose operator() is
/// HLIP_FN, or a lambda marked HLIP_LAMBDA.
template <class Fn>
void for_each_index(Cuda, index_t n, Fn fn) {
  if (n <= 0) return;
#if defined(HLIP_THRUST_CUDA)
  const index_t blocks = (n + detail::loop_threads - 1) / detail::loop_threads;
  if (blocks > 0x7fffffff) fail("for_each_index", "{} elements, a device counts at most {}", n, index_t{0x7fffffff} * detail::loop_threads);
  detail::run_loop<<<static_cast<unsigned>(blocks), detail::loop_threads, 0, detail::CudaRuntime::get().stream>>>(n, fn);
  detail::expect_cuda(cudaGetLastError(), "for_each_index");
#else
  thrust::for_each_n(detail::thrust_policy(), thrust::counting_iterator<index_t>(0), n, fn);
#endif
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
