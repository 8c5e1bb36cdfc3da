// Matrix products from cuBLASLt. Row-major matrices are to it the transposed of column-major ones,
// so it computes Cᵀ = op(B)ᵀ · op(A)ᵀ. Needs cuBLASLt (CUDA toolkit); looked into by builds with
// nvcc alone.
#pragma once

#include <hlip/backend/cuda/config.hpp>

#if defined(HLIP_THRUST_CUDA)

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/tensor/dtype.hpp>

#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <type_traits>

HLIP_BEGIN

namespace detail {

inline void expect_cublas(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail("gemm", "cuBLASLt says {}: {}", cublasLtGetStatusName(status),
         cublasLtGetStatusString(status));
}

/// The handle, its workspace (one for all: products follow one another on one stream), and which
/// algorithm a product takes.
class CublasLt {
 public:
  using Product = std::array<std::int64_t, 20>;  ///< all that decides about the algorithm
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;

  static CublasLt& get() {
    static CublasLt& library = *new CublasLt;
    return library;
  }
  cublasLtHandle_t handle() const { return handle_; }
  void* workspace() const { return workspace_; }

  /// What `choose` said the first time for this product.
  template <class Choose> cublasLtMatmulAlgo_t algorithm(const Product& product, Choose choose) {
    const std::lock_guard lock(mutex_);
    const auto found = algorithms_.find(product);
    return found != algorithms_.end() ? found->second
                                      : algorithms_.emplace(product, choose()).first->second;
  }

 private:
  CublasLt() {
    static_cast<void>(CudaRuntime::get());
    expect_cublas(cublasLtCreate(&handle_));
    workspace_ = allocate(Cuda{}, workspace_bytes);
  }
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  std::mutex mutex_;
  std::map<Product, cublasLtMatmulAlgo_t> algorithms_;
};

/// The largest power of two, up to 256, that divides an address.
inline std::uint32_t alignment_of(const void* p) {
  std::uint32_t alignment = 256;
  while (reinterpret_cast<std::uintptr_t>(p) % alignment != 0) alignment /= 2;
  return alignment;
}

/// A column-major matrix, or a batch of them.
struct CublasMatrix {
  cublasLtMatrixLayoutOpaque_t layout;
  CublasMatrix(cudaDataType type, index_t rows, index_t cols, index_t ld, index_t batch,
               index_t stride) {
    // A single row or column may come with any leading dimension.
    expect_cublas(cublasLtMatrixLayoutInit(&layout, type, static_cast<std::uint64_t>(rows),
                                           static_cast<std::uint64_t>(cols),
                                           ld > rows ? ld : rows));
    const auto count = static_cast<std::int32_t>(batch);
    const std::int64_t offset = stride;
    expect_cublas(cublasLtMatrixLayoutSetAttribute(&layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                   &count, sizeof count));
    expect_cublas(cublasLtMatrixLayoutSetAttribute(
        &layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &offset, sizeof offset));
  }
};

/// An operand as it lies in memory: (batch, rows, cols).
struct CublasOperand {
  const void* data;
  cudaDataType type;
  index_t rows, cols, ld, stride;
  bool transposed;
  CublasMatrix matrix(index_t batch) const { return {type, cols, rows, ld, batch, stride}; }
};

template <class T> inline constexpr cudaDataType cublas_type = CUDA_R_64F;
template <> inline constexpr cudaDataType cublas_type<float> = CUDA_R_32F;
template <> inline constexpr cudaDataType cublas_type<bfloat16> = CUDA_R_16BF;

/// d = alpha · op(a) · op(b) + beta · c + bias for every matrix of the batch; c and d are laid out
/// alike. bias not for doubles; tf32: floats are rounded to TF32.
template <class T, class S, class R>
void cublas_product(const GemmArgs<T, S, R>& g, const R* c, T beta, R* d, const R* bias,
                    bool tf32) {
  // One function: one call, of which cuBLASLt wants every detail described.
  const CublasOperand a{
      g.a,        cublas_type<S>, g.trans_a ? g.k : g.m, g.trans_a ? g.m : g.k, g.lda,
      g.stride_a, g.trans_a};
  const CublasOperand b{
      g.b,        cublas_type<S>, g.trans_b ? g.n : g.k, g.trans_b ? g.k : g.n, g.ldb,
      g.stride_b, g.trans_b};
  const cublasComputeType_t compute = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F
                                      : tf32 && std::is_same_v<S, float>
                                          ? CUBLAS_COMPUTE_32F_FAST_TF32
                                          : CUBLAS_COMPUTE_32F;
  auto& library = CublasLt::get();

  cublasLtMatmulDescOpaque_t product;
  expect_cublas(cublasLtMatmulDescInit(&product, compute, cublas_type<T>));
  const auto set = [&](cublasLtMatmulDescAttributes_t what, const auto& value) {
    expect_cublas(cublasLtMatmulDescSetAttribute(&product, what, &value, sizeof value));
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }
  CublasMatrix left = b.matrix(g.batch), right = a.matrix(g.batch),
               result(cublas_type<R>, g.n, g.m, g.ldc, g.batch, g.stride_c);

  const auto choose = [&] {
    cublasLtMatmulPreferenceOpaque_t wish;
    expect_cublas(cublasLtMatmulPreferenceInit(&wish));
    const auto want = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
      expect_cublas(cublasLtMatmulPreferenceSetAttribute(&wish, what, &value, sizeof value));
    };
    want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, CublasLt::workspace_bytes);
    // Parts of a sum are added in a fixed order: not by whoever comes first.
    want(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(b.data));
    want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(a.data));
    want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(c));
    want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(d));
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    expect_cublas(cublasLtMatmulAlgoGetHeuristic(library.handle(), &product, &left.layout,
                                                 &right.layout, &result.layout, &result.layout,
                                                 &wish, 1, &best, &found));
    if (found == 0)
      fail("gemm", "cuBLASLt has no algorithm for a product of {} x {} x {}", g.m, g.n, g.k);
    return best.algo;
  };
  const auto flag = [](bool b) { return std::int64_t{b}; };
  const CublasLt::Product key{g.m,
                              g.n,
                              g.k,
                              a.ld,
                              b.ld,
                              g.ldc,
                              g.batch,
                              a.stride,
                              b.stride,
                              g.stride_c,
                              flag(g.trans_a),
                              flag(g.trans_b),
                              flag(bias != nullptr),
                              compute,
                              cublas_type<S>,
                              cublas_type<R>,
                              alignment_of(a.data),
                              alignment_of(b.data),
                              alignment_of(c),
                              alignment_of(d)};
  const cublasLtMatmulAlgo_t algorithm = library.algorithm(key, choose);
  expect_cublas(cublasLtMatmul(library.handle(), &product, &g.alpha, b.data, &left.layout, a.data,
                               &right.layout, &beta, c, &result.layout, d, &result.layout,
                               &algorithm, library.workspace(), CublasLt::workspace_bytes,
                               CudaRuntime::get().stream));
}

}  // namespace detail

HLIP_END

#endif
