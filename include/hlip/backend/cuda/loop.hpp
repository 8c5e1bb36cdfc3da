// Cuda loops: a thread for each element, in the element's own type (16-bit floats in float), or for
// four of neighbouring floats.
#pragma once

#include <hlip/backend/cuda/four.hpp>
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

/// A thread for each element. Not thrust::for_each_n: that holds the functor by value, and what is
/// subscripted in it (sizes, strides) is copied by every thread into memory of its own, 832 bytes
/// for a product of two tensors.
template <class Fn>
__global__ void __launch_bounds__(loop_threads) run_loop(const index_t n, const Fn fn) {
  const index_t i = static_cast<index_t>(blockIdx.x) * loop_threads + threadIdx.x;
  if (i < n) fn(i);
}
}  // namespace detail
#endif

/// fn(i) for every i in [0, n); calls are independent of one another. fn is copied to the GPU: a
/// functor whose operator() is HLIP_FN, or a lambda marked HLIP_LAMBDA.
template <class Fn> void for_each_index(Cuda, index_t n, Fn fn) {
  if (n <= 0) return;
#if defined(HLIP_THRUST_CUDA)
  const index_t blocks = (n + detail::loop_threads - 1) / detail::loop_threads;
  if (blocks > 0x7fffffff)
    fail("for_each_index", "{} elements, a device counts at most {}", n,
         index_t{0x7fffffff} * detail::loop_threads);
  detail::run_loop<<<static_cast<unsigned>(blocks), detail::loop_threads, 0,
                     detail::CudaRuntime::get().stream>>>(n, fn);
  detail::expect_cuda(cudaGetLastError(), "for_each_index");
#else
  thrust::for_each_n(detail::thrust_policy(), thrust::counting_iterator<index_t>(0), n, fn);
#endif
}

namespace detail {

// Which loops have a kernel for four elements: those of floats alone, in 32 bits or 16. The others
// are few and short, and every kernel is compiled.
template <class X> inline constexpr bool goes_in_fours = std::is_same_v<compute_type<X>, float>;
template <class T, bool R> inline constexpr bool goes_in_fours<LeafView<T, R>> = goes_in_fours<T>;
template <class T> inline constexpr bool goes_in_fours<ConstantView<T>> = true;
template <class F, class V, class... A>
inline constexpr bool goes_in_fours<MapView<F, V, A...>> = (goes_in_fours<A> && ...);
template <template <class...> class Loop, class... X>
inline constexpr bool goes_in_fours<Loop<X...>> = (goes_in_fours<X> && ...);

/// Whether each four elements of a row are neighbours in memory that can be moved at once, or,
/// where they are only read, the same element.
template <class Loop> bool lies_in_fours(Loop& loop) {
  bool fits = loop.loop.back() % 4 == 0;
  loop.visit_operands([&]<class T>(T* p, const Shape& stride) {
    if (stride.back() == 0 && std::is_const_v<T>) return;
    fits = fits && stride.back() == 1 && takes_quads(p);
    for (int d = 0; d + 1 < stride.rank(); ++d) fits = fits && stride[d] % 4 == 0;
  });
  return fits;
}

template <class Loop> void walk(Cuda, index_t n, Loop loop) {
  if constexpr (goes_in_fours<Loop>)
    if (lies_in_fours(loop))
      return for_each_index(Cuda{}, n / 4, LoopInLanes<FourLanes, Loop>{loop});
  for_each_index(Cuda{}, n, LoopInLanes<ScalarLanes<false>, Loop>{loop});
}

}  // namespace detail

/// out[i] = expression[i] for every index of `shape`.
template <class U, class View>
void map(Cuda, const Shape& shape, U* out, const Shape& out_stride, const View& view) {
  detail::walk(Cuda{}, shape.numel(), detail::MapLoop<U, View>(shape, out, out_stride, view));
}

/// Adds or writes dL/dleaf for every recorded leaf; dy is contiguous in `shape`.
template <class T, class View>
void map_pull(Cuda, const Shape& shape, const T* dy, const View& view, const GradSink<T>* sinks) {
  detail::walk(Cuda{}, shape.numel(), detail::MapPullLoop<T, View>(shape, dy, view, sinks));
}

/// to[i] = from[i] with conversion; both strided.
template <class U, class T>
void copy_strided(Cuda, const Shape& shape, U* to, const Shape& to_stride, const T* from,
                  const Shape& from_stride) {
  detail::walk(Cuda{}, shape.numel(),
               detail::CopyLoop<U, T>(shape, to, to_stride, from, from_stride));
}

template <class T>
void fill_strided(Cuda, const Shape& shape, T* to, const Shape& stride, T value) {
  detail::walk(Cuda{}, shape.numel(), detail::FillLoop<T>(shape, to, stride, value));
}

HLIP_END
