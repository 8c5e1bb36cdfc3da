// Reference matrix product: three loops and a double.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <cmath>

HLIP_BEGIN

/// C = act(alpha · op(A) · op(B) + beta · C + bias) + residual; see GemmArgs.
template <class T> void gemm(Reference, const GemmArgs<T>& g) {
  for (index_t matrix = 0; matrix < g.batch; ++matrix)
    for (index_t i = 0; i < g.m; ++i)
      for (index_t j = 0; j < g.n; ++j) {
        const T *a = g.a + matrix * g.stride_a, *b = g.b + matrix * g.stride_b;
        const index_t at = matrix * g.stride_c + i * g.ldc + j;
        double sum = 0;
        for (index_t p = 0; p < g.k; ++p)
          sum += static_cast<double>(g.trans_a ? a[p * g.lda + i] : a[i * g.lda + p]) *
                 static_cast<double>(g.trans_b ? b[j * g.ldb + p] : b[p * g.ldb + j]);
        double x = static_cast<double>(g.alpha) * sum;
        if (g.beta != T(0)) x += static_cast<double>(g.beta) * static_cast<double>(g.c[at]);
        if (g.bias) x += static_cast<double>(g.bias[j]);
        if (g.pre_activation) g.pre_activation[at] = static_cast<T>(x);
        if (g.activation == Activation::gelu) x = 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        if (g.residual) x += static_cast<double>(g.residual[at]);
        g.c[at] = static_cast<T>(x);
      }
}

/// The oracle rounds nothing.
inline bool has_bfloat16_products(Reference) { return false; }
inline bool has_tensorfloat32_products(Reference) { return false; }
inline MatrixPrecision matrix_precision(Reference) { return MatrixPrecision::float32; }
inline void set_matrix_precision(Reference, MatrixPrecision precision) {
  if (precision != MatrixPrecision::float32)
    fail("set_matrix_precision", "the reference backend has products of float32 only");
}

HLIP_END
