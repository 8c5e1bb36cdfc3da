// Matrix products: cuBLASLt on a GPU, those of Cpu where Thrust runs on the host. What the product itself cannot take along (exact
// GELU, the values before it, the bias of doubles) is one pass over the result.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/cublas.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <atomic>
#include <cstdint>
#include <type_traits>

#if !defined(HLIP_THRUST_CUDA)
#include <hlip/backend/cpu/gemm.hpp>
#endif

HLIP_BEGIN

#if defined(HLIP_THRUST_CUDA)

namespace detail {
inline std::atomic<MatrixPrecision> cuda_matrix_precision{MatrixPrecision::float32};

struct NoLoop {
  HLIP_FN void operator()(index_t) const {}
};

/// The compute capability this program was compiled for (80 for compute_80). A program without code for a newer card has older code
/// translated when it starts, which lacks what older cards lack.
inline int compiled_capability() {
  static const int version = [] {
    static_cast<void>(CudaRuntime::get());
    cudaFuncAttributes kernel;
    expect_cuda(cudaFuncGetAttributes(&kernel, run_loop<NoLoop>), "cuda");
    return kernel.ptxVersion;
  }();
  return version;
}
}  // namespace detail

/// Whether the GPU, and what this program was compiled for, multiply bfloat16 operands (compute capability 8.0 and later).
inline bool has_bfloat16_products(Cuda) { return detail::CudaRuntime::get().capability >= 80 && detail::compiled_capability() >= 80; }
/// Likewise floats rounded to 10 bits behind the point (TF32; 8.0 and later).
inline bool has_tensorfloat32_products(Cuda) { return has_bfloat16_products(Cuda{}); }
/// What float matrix products of this process round their operands to from now on; sums are always float.
/// @throws hlip::error if the GPU has no such products, or the program was compiled for older ones
inline void set_matrix_precision(Cuda, MatrixPrecision precision) {
  if (precision != MatrixPrecision::float32 && !has_bfloat16_products(Cuda{}))
    fail("set_matrix_precision", "TF32 and bfloat16 products need compute capability 8.0; the GPU has {}, the program was compiled for {} (hint: CMAKE_CUDA_ARCHITECTURES)", detail::CudaRuntime::get().capability,
         detail::compiled_capability());
  detail::cuda_matrix_precision = precision;
}
inline MatrixPrecision matrix_precision(Cuda) { return detail::cuda_matrix_precision; }

#else

inline bool has_bfloat16_products(Cuda) { return has_bfloat16_products(Cpu{}); }
inline bool has_tensorfloat32_products(Cuda) { return has_tensorfloat32_products(Cpu{}); }
inline void set_matrix_precision(Cuda, MatrixPrecision precision) { set_matrix_precision(Cpu{}, precision); }
inline MatrixPrecision matrix_precision(Cuda) { return matrix_precision(Cpu{}); }

#endif

namespace detail {

/// d = alpha · op(a) · op(b) + beta · c + bias; c and d are laid out alike. k > 0, and bias only for floats.
template <class T>
void plain_product(const GemmArgs<T>& g, const T* c, T beta, T* d, const T* bias) {
#if defined(HLIP_THRUST_CUDA)
  cublas_product(g, beta == T(0) ? static_cast<const T*>(d) : c, beta, d, bias, cuda_matrix_precision);
#else
  if (beta != T(0) && c != d) copy_strided(Cuda{}, Shape{g.batch, g.m, g.n}, d, Shape{g.stride_c, g.ldc, 1}, c, Shape{g.stride_c, g.ldc, 1});
  GemmArgs<T> plain = g;
  plain.c = d, plain.beta = beta, plain.bias = bias;
  plain.activation = Activation::none, plain.pre_activation = nullptr, plain.residual = nullptr;
  gemm(Cpu{}, plain);
#endif
}

/// Element (matrix, i, j) of the result from what the product left in `product`, which may be c itself.
template <class T>
struct FinishProduct {
  const T *product, *bias, *residual;
  T scale;
  Activation activation;
  T *pre_activation, *c;
  index_t m, n, ldc, stride_c;
  HLIP_FN void operator()(index_t element) const {
    const index_t row = quotient(element, n), j = element - row * n, matrix = quotient(row, m);
    const index_t at = matrix * stride_c + (row - matrix * m) * ldc + j;
    T x = product ? scale * product[at] : T(0);
    if (bias) x += bias[j];
    if (pre_activation) pre_activation[at] = x;
    if (activation == Activation::gelu) x = T(0.5) * x * (T(1) + erf_(T(0.70710678118654752440) * x));
    if (residual) x += residual[at];
    c[at] = x;
  }
};

}  // namespace detail

/// C = act(alpha · op(A) · op(B) + beta · C + bias) + residual; see GemmArgs.
template <class T>
void gemm(Cuda, const GemmArgs<T>& g) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return;
  detail::FinishProduct<T> rest{g.c, g.bias, g.residual, T(1), g.activation, g.pre_activation, g.c, g.m, g.n, g.ldc, g.stride_c};
  if (g.k <= 0) {
    rest.product = g.beta != T(0) ? g.c : nullptr;
    rest.scale = g.beta;
  } else {
    const bool activated = g.activation != Activation::none || g.pre_activation;
    // cuBLASLt is not told how a bias is aligned, so it gets one that any of its kernels can read.
    const T* fused_bias = std::is_same_v<T, float> && reinterpret_cast<std::uintptr_t>(g.bias) % 16 == 0 ? g.bias : nullptr;
    if (fused_bias) rest.bias = nullptr;
    if (g.residual && !activated && g.beta == T(0)) {  // the residual in the place of the old C
      detail::plain_product(g, g.residual, T(1), g.c, fused_bias);
      rest.residual = nullptr;
    } else {
      T* to = g.pre_activation ? g.pre_activation : g.c;
      detail::plain_product(g, static_cast<const T*>(g.c), g.beta, to, fused_bias);
      rest.product = to;
      if (!rest.bias) rest.pre_activation = nullptr;  // already there
    }
    if (!rest.bias && !rest.residual && !activated) return;
  }
  for_each_index(Cuda{}, g.batch * g.m * g.n, rest);
}

HLIP_END
