// The contract of backend.hpp as a concept, so that a backend that lacks a function is told which.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/lower.hpp>

#include <concepts>
#include <string_view>
#include <utility>

HLIP_BEGIN

namespace detail {

/// An operation like those of ops/elementwise.hpp, for asking a backend whether it has loops.
struct SomeOperation {
  static constexpr std::string_view name = "some";
  template <class V> HLIP_FN V operator()(V x, V y) const { return x * y; }
  template <class V> HLIP_FN std::pair<V, V> pull(V x, V y, V, V dy) const {
    return {dy * y, dy * x};
  }
};
template <class T>
using SomeExpression = MapView<SomeOperation, T, LeafView<T, true>, ConstantView<T>>;

struct SomeLoop {
  HLIP_FN void operator()(index_t) const {}
};
struct SomeTask {
  void operator()() const {}
};

}  // namespace detail

/// Memory, and what does not depend on the element type.
template <class B>
concept BackendMemory = std::semiregular<B> &&
    requires(B b, void* p, const void* from, std::size_t bytes) {
  { B::name } -> std::convertible_to<std::string_view>;
  { B::rows_at_a_time } -> std::convertible_to<index_t>;
  { has_device(b) } -> std::same_as<bool>;
  { allocate(b, bytes) } -> std::same_as<void*>;
  deallocate(b, p, bytes);
  empty_cache(b);
  { held_for_reuse(b) } -> std::convertible_to<std::size_t>;
  copy_from_host(b, p, from, bytes);
  upload_ahead(b, detail::SomeTask{});
  copy_to_host(b, p, from, bytes);
};

/// Loops and reductions over elements of type T.
template <class B, class T>
concept BackendLoops = requires(B b, const Shape& shape, T* to, const T* from, std::int64_t* index,
                                detail::SomeExpression<T> view, const GradSink<T>* sinks,
                                index_t n) {
  copy_strided(b, shape, to, shape, from, shape);
  fill_strided(b, shape, to, shape, T(0));
  map(b, shape, to, shape, view);
  map_pull(b, shape, from, view, sinks);
  for_each_index(b, n, detail::SomeLoop{});
  reduce(b, Reduction::sum, from, to, n, n, n);
  reduce(b, Reduction::argmax, from, index, n, n, n);
};

/// Everything else over elements of type T.
template <class B, class T>
concept BackendKernels = requires(B b, T* to, const T* from, const std::int64_t* index, index_t n) {
  gemm(b, GemmArgs<T>{});
  attention_forward(b, AttentionArgs<T>{});
  attention_backward(b, AttentionGradArgs<T>{});
  layer_norm_forward(b, LayerNormArgs<T>{});
  layer_norm_backward(b, LayerNormGradArgs<T>{});
  softmax_forward(b, from, to, n, n);
  softmax_backward(b, from, from, to, n, n);
  cross_entropy_forward(b, from, index, to, to, n, n);
  cross_entropy_backward(b, from, index, from, from, to, n, n);
  gather_rows(b, from, index, to, n, n, n);
  scatter_add_rows(b, from, index, to, n, n, n);
  resample_axis(b, ResampleArgs<T>{});
  cut_patches(b, PatchArgs<T>{});
  conv_forward(b, ConvArgs<T>{});
  conv_backward_input(b, ConvArgs<T>{});
  conv_backward_weight(b, ConvArgs<T>{});
  adamw_update(b, AdamWArgs<T>{});
  sums_of_squares(b, std::span<const Elements<T>>{}, to);
};

/// Kernels whose operands lie in bfloat16, of a backend that says it has them.
template <class B>
concept BackendStoresBfloat16 = requires(B b, float* to, const bfloat16* from, index_t n) {
  gemm(b, GemmArgs<float, bfloat16, float>{});
  gemm(b, GemmArgs<float, bfloat16, bfloat16>{});
  attention_forward(b, AttentionArgs<float, bfloat16>{});
  attention_backward(b, AttentionGradArgs<float, bfloat16>{});
  layer_norm_forward(b, LayerNormArgs<float, bfloat16>{});
  layer_norm_backward(b, LayerNormGradArgs<float, bfloat16>{});
  cut_patches(b, PatchArgs<float, bfloat16>{});
  reduce(b, Reduction::sum, from, to, n, n, n);
};

/// What a tag type must be for `Tensor<float, B>` and everything above it: backend.hpp says what
/// each function does.
template <class B>
concept Backend = BackendMemory<B> && BackendLoops<B, float> && BackendLoops<B, double> &&
    BackendKernels<B, float> && BackendKernels<B, double> && requires(B b) {
  { has_bfloat16_products(b) } -> std::same_as<bool>;
  { has_tensorfloat32_products(b) } -> std::same_as<bool>;
  set_matrix_precision(b, MatrixPrecision::float32);
  { matrix_precision(b) } -> std::same_as<MatrixPrecision>;
} &&(!stores_bfloat16<B> || BackendStoresBfloat16<B>);

HLIP_END
