// Matrix products: cuBLASLt on a GPU, those of Cpu where Thrust runs on the host. What the product
// itself cannot take along (exact GELU, the values before it, the bias of doubles) is one pass over
// the result. Where products round to bfloat16, they are given operands that lie in it: made by who
// made the operand (GemmArgs<float, bfloat16>), or copies made here.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/cublas.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>

#if !defined(HLIP_THRUST_CUDA)
#include <hlip/backend/cpu/gemm.hpp>
#endif

HLIP_BEGIN

namespace detail {
inline std::atomic<MatrixPrecision> cuda_matrix_precision{MatrixPrecision::float32};
}
inline MatrixPrecision matrix_precision(Cuda) { return detail::cuda_matrix_precision; }

#if defined(HLIP_THRUST_CUDA)

namespace detail {
struct NoLoop {
  HLIP_FN void operator()(index_t) const {}
};

/// The compute capability this program was compiled for (80 for compute_80). A program without code
/// for a newer card has older code translated when it starts, which lacks what older cards lack.
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

/// Whether the GPU, and what this program was compiled for, multiply bfloat16 operands (compute
/// capability 8.0 and later).
inline bool has_bfloat16_products(Cuda) {
  return detail::CudaRuntime::get().capability >= 80 && detail::compiled_capability() >= 80;
}
/// Likewise floats rounded to 10 bits behind the point (TF32; 8.0 and later).
inline bool has_tensorfloat32_products(Cuda) { return has_bfloat16_products(Cuda{}); }
/// What float matrix products of this process round their operands to from now on; sums are always
/// float.
/// @throws hlip::error if the GPU has no such products, or the program was compiled for older ones
inline void set_matrix_precision(Cuda, MatrixPrecision precision) {
  if (precision != MatrixPrecision::float32 && !has_bfloat16_products(Cuda{}))
    fail("set_matrix_precision",
         "TF32 and bfloat16 products need compute capability 8.0; the GPU has {}, the program was "
         "compiled for {} (hint: CMAKE_CUDA_ARCHITECTURES)",
         detail::CudaRuntime::get().capability, detail::compiled_capability());
  detail::cuda_matrix_precision = precision;
}

#else

/// A host multiplies the rounded operands as floats.
inline bool has_bfloat16_products(Cuda) { return true; }
inline bool has_tensorfloat32_products(Cuda) { return false; }
inline void set_matrix_precision(Cuda, MatrixPrecision precision) {
  if (precision == MatrixPrecision::tensorfloat32)
    fail("set_matrix_precision",
         "TF32 products need a GPU, this build of the Cuda backend runs on a host (hint: float32 "
         "or bfloat16)");
  detail::cuda_matrix_precision = precision;
}

#endif

namespace detail {

/// Whether rows of bfloat16 begin on 16 bytes, as the fast products want it and every product takes
/// it.
inline bool begins_on_16_bytes(const bfloat16* p, index_t ld, index_t stride) {
  return reinterpret_cast<std::uintptr_t>(p) % 16 == 0 && ld % 8 == 0 && stride % 8 == 0;
}

/// A matrix, or a batch of them, copied, also to another element type; its rows begin on 16 bytes.
template <class U> class ConvertedMatrix {
 public:
  template <class T>
  ConvertedMatrix(const T* from, index_t rows, index_t cols, index_t ld, index_t batch,
                  index_t stride)
      : ld_((cols + 7) / 8 * 8),
        stride_(stride == 0 ? 0 : rows * ld_),
        values_((stride == 0 ? 1 : batch) * rows * ld_) {
    const index_t copies = stride == 0 ? 1 : batch;
    copy_strided(Cuda{}, Shape{copies, rows, cols}, values_.data(), Shape{rows * ld_, ld_, 1}, from,
                 Shape{stride, ld, 1});
  }
  U* data() const { return values_.data(); }
  index_t ld() const { return ld_; }
  index_t stride() const { return stride_; }

 private:
  index_t ld_, stride_;
  CudaScratch<U> values_;
};

/// The same product, of operands that lie as U, with a result that lies as V.
template <class U, class V, class T, class S, class R>
GemmArgs<T, U, V> product_like(const GemmArgs<T, S, R>& g) {
  GemmArgs<T, U, V> h;
  h.m = g.m, h.n = g.n, h.k = g.k, h.batch = g.batch, h.trans_a = g.trans_a, h.trans_b = g.trans_b;
  h.alpha = g.alpha, h.beta = g.beta, h.bias = g.bias, h.activation = g.activation;
  if constexpr (std::is_same_v<U, S>)
    h.a = g.a, h.lda = g.lda, h.stride_a = g.stride_a, h.b = g.b, h.ldb = g.ldb,
    h.stride_b = g.stride_b;
  if constexpr (std::is_same_v<V, R>)
    h.c = g.c, h.ldc = g.ldc, h.stride_c = g.stride_c, h.pre_activation = g.pre_activation,
    h.residual = g.residual;
  return h;
}

/// Calls fn with the same product of operands copied to U.
template <class U, class T, class S, class R, class Fn>
void with_operands(const GemmArgs<T, S, R>& g, Fn fn) {
  const ConvertedMatrix<U> a(g.a, g.trans_a ? g.k : g.m, g.trans_a ? g.m : g.k, g.lda, g.batch,
                             g.stride_a),
      b(g.b, g.trans_b ? g.n : g.k, g.trans_b ? g.k : g.n, g.ldb, g.batch, g.stride_b);
  auto h = product_like<U, R>(g);
  h.a = a.data(), h.lda = a.ld(), h.stride_a = a.stride(), h.b = b.data(), h.ldb = b.ld(),
  h.stride_b = b.stride();
  fn(h);
}

/// Calls fn with the same product, whose result, values before the activation and residual are
/// copies; then copies back.
template <class T, class S, class R, class Fn> void with_result(const GemmArgs<T, S, R>& g, Fn fn) {
  const index_t batch = g.stride_c == 0 ? 1 : g.batch;
  std::optional<ConvertedMatrix<R>> c, pre, residual;
  const auto copy = [&](std::optional<ConvertedMatrix<R>>& to, const R* from) {
    return to.emplace(from, g.m, g.n, g.ldc, batch, batch == 1 ? 0 : g.stride_c).data();
  };
  const auto copy_back = [&](const ConvertedMatrix<R>& from, R* to) {
    copy_strided(Cuda{}, Shape{batch, g.m, g.n}, to, Shape{g.stride_c, g.ldc, 1},
                 static_cast<const R*>(from.data()), Shape{from.stride(), from.ld(), 1});
  };
  GemmArgs<T, S, R> h = g;
  h.c = copy(c, g.c), h.ldc = c->ld(), h.stride_c = c->stride();
  if (g.pre_activation) h.pre_activation = copy(pre, g.pre_activation);
  if (g.residual) h.residual = copy(residual, g.residual);
  fn(h);
  copy_back(*c, g.c);
  if (pre) copy_back(*pre, g.pre_activation);
}

/// d = alpha · op(a) · op(b) + beta · c + bias; c and d are laid out alike. k > 0, and bias not for
/// doubles.
template <class T, class S, class R>
void plain_product(const GemmArgs<T, S, R>& g, const R* c, T beta, R* d, const T* bias) {
#if defined(HLIP_THRUST_CUDA)
  const R* before = beta == T(0) ? static_cast<const R*>(d) : c;
  const bool tf32 = cuda_matrix_precision == MatrixPrecision::tensorfloat32;
  if constexpr (std::is_same_v<R, T>) {
    cublas_product(g, before, beta, d, bias, tf32);
  } else if (!bias) {
    cublas_product(g, before, beta, d, static_cast<const R*>(nullptr), tf32);
  } else {  // it has to lie as the result does
    const CudaScratch<R> rounded(g.n);
    copy_strided(Cuda{}, Shape{g.n}, rounded.data(), Shape{1}, bias, Shape{1});
    cublas_product(g, before, beta, d, static_cast<const R*>(rounded.data()), tf32);
  }
#else
  if constexpr (!std::is_same_v<S, T>) {
    with_operands<T>(g, [&](const GemmArgs<T, T, R>& h) { plain_product(h, c, beta, d, bias); });
  } else if constexpr (!std::is_same_v<R, T>) {
    const ConvertedMatrix<T> sums(beta == T(0) ? d : c, g.m, g.n, g.ldc, g.batch, g.stride_c);
    auto h = product_like<T, T>(g);
    h.activation = Activation::none;
    h.c = sums.data(), h.ldc = sums.ld(), h.stride_c = sums.stride(), h.beta = beta, h.bias = bias;
    gemm(Cpu{}, h);
    copy_strided(Cuda{}, Shape{g.batch, g.m, g.n}, d, Shape{g.stride_c, g.ldc, 1},
                 static_cast<const T*>(sums.data()), Shape{sums.stride(), sums.ld(), 1});
  } else {
    if (beta != T(0) && c != d)
      copy_strided(Cuda{}, Shape{g.batch, g.m, g.n}, d, Shape{g.stride_c, g.ldc, 1}, c,
                   Shape{g.stride_c, g.ldc, 1});
    GemmArgs<T> plain = g;
    plain.c = d, plain.beta = beta, plain.bias = bias;
    plain.activation = Activation::none, plain.pre_activation = nullptr, plain.residual = nullptr;
    gemm(Cpu{}, plain);
  }
#endif
}

/// Exact GELU.
struct GeluValue {
  template <class V> HLIP_FN V operator()(V x) const {
    return V(0.5) * x * (V(1) + erf_(V(V(0.70710678118654752440) * x)));
  }
};

/// Element (matrix, i, j) of the result from what the product left in `product`, which may be c
/// itself.
template <class T, class R> struct FinishProduct {
  const R* product;
  const T* bias;
  const R* residual;
  T scale;
  Activation activation;
  R *pre_activation, *c;
  index_t m, n, ldc, stride_c;

  HLIP_FN void operator()(index_t element) const {
    const index_t row = quotient(element, n), j = element - row * n, matrix = quotient(row, m);
    const index_t at = matrix * stride_c + (row - matrix * m) * ldc + j;
    T x = product ? scale * static_cast<T>(product[at]) : T(0);
    if (bias) x += bias[j];
    if (pre_activation) pre_activation[at] = static_cast<R>(x);
    if (activation == Activation::gelu) x = GeluValue{}(x);
    if (residual) x += static_cast<T>(residual[at]);
    c[at] = static_cast<R>(x);
  }
};

}  // namespace detail

/// C = act(alpha · op(A) · op(B) + beta · C + bias) + residual; see GemmArgs.
template <class T, class S, class R> void gemm(Cuda, const GemmArgs<T, S, R>& g) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return;
  if constexpr (std::is_same_v<S, float>)
    if (g.k > 0 && matrix_precision(Cuda{}) == MatrixPrecision::bfloat16)
      return detail::with_operands<bfloat16>(
          g, [](const GemmArgs<T, bfloat16, R>& h) { gemm(Cuda{}, h); });
  if constexpr (std::is_same_v<S, bfloat16>)
    if (!detail::begins_on_16_bytes(g.a, g.lda, g.stride_a) ||
        !detail::begins_on_16_bytes(g.b, g.ldb, g.stride_b))
      return detail::with_operands<bfloat16>(
          g, [](const GemmArgs<T, bfloat16, R>& h) { gemm(Cuda{}, h); });
  if constexpr (std::is_same_v<R, bfloat16>) {
    const auto fits = [&](const bfloat16* p) {
      return detail::begins_on_16_bytes(p, g.ldc, g.stride_c);
    };
    if (!fits(g.c) || !fits(g.pre_activation) || !fits(g.residual))
      return detail::with_result(g, [](const GemmArgs<T, S, R>& h) { gemm(Cuda{}, h); });
  }
  detail::FinishProduct<T, R> rest{g.c, g.bias, g.residual, T(1),  g.activation, g.pre_activation,
                                   g.c, g.m,    g.n,        g.ldc, g.stride_c};
  if (g.k <= 0) {
    rest.product = g.beta != T(0) ? g.c : nullptr;
    rest.scale = g.beta;
  } else {
    const bool activated = g.activation != Activation::none || g.pre_activation;
    // cuBLASLt is not told how a bias is aligned, so it gets one that any of its kernels can read.
    const T* fused_bias = !std::is_same_v<T, double> &&
                                  reinterpret_cast<std::uintptr_t>(g.bias) % 16 == 0
                              ? g.bias
                              : nullptr;
    if (fused_bias) rest.bias = nullptr;
    if (g.residual && !activated && g.beta == T(0)) {  // the residual in the place of the old C
      detail::plain_product(g, g.residual, T(1), g.c, fused_bias);
      rest.residual = nullptr;
    } else {
      R* to = g.pre_activation ? g.pre_activation : g.c;
      detail::plain_product(g, static_cast<const R*>(g.c), g.beta, to, fused_bias);
      rest.product = to;
      if (!rest.bias) rest.pre_activation = nullptr;  // already there
    }
    if (!rest.bias && !rest.residual && !activated) return;
    if (!rest.bias && !rest.residual && g.activation == Activation::gelu) {
      const Shape shape{g.batch, g.m, g.n}, stride{g.stride_c, g.ldc, 1};
      return map(Cuda{}, shape, g.c, stride,
                 MapView<detail::GeluValue, T, LeafView<R, false>>{
                     {}, {LeafView<R, false>{rest.product, stride}}});
    }
  }
  for_each_index(Cuda{}, g.batch * g.m * g.n, rest);
}

HLIP_END
