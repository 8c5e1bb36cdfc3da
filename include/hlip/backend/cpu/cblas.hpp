// Matrix products from a CBLAS (BLIS, OpenBLAS, MKL), used by gemm.hpp when the program links
// hlip::blas. Faster on some processors, but its bits may change with the number of threads:
// bit-exact resumes need the default provider.
#pragma once

#if defined(HLIP_WITH_CBLAS)

#include <hlip/backend/backend.hpp>

#include <cblas.h>

#include <type_traits>

HLIP_BEGIN

namespace detail {

/// C = alpha · op(A) · op(B) + beta · C for matrix number `matrix` of the batch.
template <class T> void cblas_product(const GemmArgs<T>& g, index_t matrix) {
  const auto trans_a = g.trans_a ? CblasTrans : CblasNoTrans,
             trans_b = g.trans_b ? CblasTrans : CblasNoTrans;
  const auto m = static_cast<int>(g.m), n = static_cast<int>(g.n), k = static_cast<int>(g.k);
  const auto ld = [](index_t value, index_t least) {
    return static_cast<int>(value > least ? value : least > 0 ? least : 1);
  };
  const int lda = ld(g.lda, g.trans_a ? g.m : g.k), ldb = ld(g.ldb, g.trans_b ? g.k : g.n),
            ldc = ld(g.ldc, g.n);
  const T *a = g.a + matrix * g.stride_a, *b = g.b + matrix * g.stride_b;
  T* c = g.c + matrix * g.stride_c;
  if constexpr (std::is_same_v<T, float>)
    cblas_sgemm(CblasRowMajor, trans_a, trans_b, m, n, k, g.alpha, a, lda, b, ldb, g.beta, c, ldc);
  else
    cblas_dgemm(CblasRowMajor, trans_a, trans_b, m, n, k, g.alpha, a, lda, b, ldb, g.beta, c, ldc);
}

/// Whether all sizes fit the 32-bit integers of the CBLAS interface.
template <class T> bool fits_cblas(const GemmArgs<T>& g) {
  constexpr index_t most = 0x7fffffff;
  return g.m <= most && g.n <= most && g.k <= most && g.lda <= most && g.ldb <= most &&
         g.ldc <= most;
}

}  // namespace detail

HLIP_END

#endif
