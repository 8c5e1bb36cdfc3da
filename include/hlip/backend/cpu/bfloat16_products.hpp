// Matrix products of bfloat16 operands with float sums, where the processor has such an instruction (AVX512-BF16).
// Operands stay float in memory and are rounded while they are packed; see gemm.hpp.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/cpu/memory.hpp>

#include <atomic>
#include <bit>
#include <cstdint>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

HLIP_BEGIN

namespace detail {

inline std::atomic<MatrixPrecision> matrix_precision{MatrixPrecision::float32};

/// Rounds a to bfloat16, in the upper half of the result.
inline std::uint32_t bfloat16_bits(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = u + 0x7FFFu + ((u >> 16) & 1u);
  return (u & 0x7FFFFFFFu) > 0x7F800000u ? u | 0x400000u : rounded;  // a NaN stays one
}

/// Turns a packed panel of k rows of `width` floats into rows of pairs, in place: pair (p, i) holds rows 2p and 2p + 1 of
/// column i, the first in the lower half; a missing last row counts as 0. @return the number of rows of pairs
inline index_t to_bfloat16_pairs(index_t k, index_t width, float* panel) {
  const index_t pairs = div_up(k, 2);
  for (index_t p = 0; p < pairs; ++p) {
    const float *low = panel + 2 * p * width, *high = low + width;
    float* to = panel + p * width;
    if (2 * p + 1 < k) {
#pragma GCC ivdep
      for (index_t i = 0; i < width; ++i) to[i] = std::bit_cast<float>((bfloat16_bits(high[i]) & 0xFFFF0000u) | bfloat16_bits(low[i]) >> 16);
    } else {
#pragma GCC ivdep
      for (index_t i = 0; i < width; ++i) to[i] = std::bit_cast<float>(bfloat16_bits(low[i]) >> 16);
    }
  }
  return pairs;
}

#if defined(__AVX512BF16__)
inline constexpr bool bfloat16_products = true;

/// Sixteen pairs, as what the instruction takes. The empty statement keeps clang 16 from looking through the cast: its
/// optimiser never comes to an end when it sees a broadcast of bfloat16.
inline __m512bh as_pairs(__m512 x) {
#if defined(__clang__)
  asm("" : "+v"(x));
#endif
  return (__m512bh)x;
}

/// tile_product on rows of pairs.
template <int R>
void bfloat16_tile_product(index_t k, const float* a, index_t a_step, const float* b, index_t ldb, float* c, index_t ldc, float alpha, bool add) {
  static_assert(tile_cols<float> == 32);
  [&]<int... I>(std::integer_sequence<int, I...>) {
    __m512 left[R], right[R];
    ((left[I] = right[I] = _mm512_setzero_ps()), ...);
    for (index_t p = 0; p < k; ++p) {
      const __m512bh b0 = as_pairs(_mm512_loadu_ps(b)), b1 = as_pairs(_mm512_loadu_ps(b + 16));
      const auto row = [&](float pair, __m512& l, __m512& r) __attribute__((always_inline)) {
        const __m512bh ai = as_pairs(_mm512_set1_ps(pair));
        l = _mm512_dpbf16_ps(l, ai, b0);
        r = _mm512_dpbf16_ps(r, ai, b1);
      };
      (row(a[I], left[I], right[I]), ...);
      a += a_step;
      b += ldb;
    }
    const __m512 scale = _mm512_set1_ps(alpha), zero = _mm512_setzero_ps();
    const auto store = [&](float* to, __m512 l, __m512 r) __attribute__((always_inline)) {
      _mm512_storeu_ps(to, _mm512_fmadd_ps(scale, l, add ? _mm512_loadu_ps(to) : zero));
      _mm512_storeu_ps(to + 16, _mm512_fmadd_ps(scale, r, add ? _mm512_loadu_ps(to + 16) : zero));
    };
    (store(c + I * ldc, left[I], right[I]), ...);
  }(std::make_integer_sequence<int, R>{});
}

inline constexpr std::array<TileProduct<float>, tile_rows> bfloat16_tile_products =
    []<int... I>(std::integer_sequence<int, I...>) { return std::array<TileProduct<float>, tile_rows>{&bfloat16_tile_product<I + 1>...}; }(std::make_integer_sequence<int, tile_rows>{});
#else
inline constexpr bool bfloat16_products = false;
inline constexpr std::array<TileProduct<float>, tile_rows> bfloat16_tile_products{};  // never called
#endif

}  // namespace detail

/// Whether this build has matrix products of bfloat16 operands.
inline bool has_bfloat16_products(Cpu) { return detail::bfloat16_products; }
inline bool has_tensorfloat32_products(Cpu) { return false; }
/// What float matrix products of this process round their operands to from now on; sums are always float.
/// @throws hlip::error for a precision this build has no products of
inline void set_matrix_precision(Cpu, MatrixPrecision precision) {
  if (precision == MatrixPrecision::tensorfloat32) fail("set_matrix_precision", "a processor has no TF32 products, only some GPUs do (hint: float32 or bfloat16)");
  if (precision == MatrixPrecision::bfloat16 && !detail::bfloat16_products) fail("set_matrix_precision", "this build has no bfloat16 products (hint: they need a processor with AVX512-BF16, and -march=native)");
  detail::matrix_precision = precision;
}
inline MatrixPrecision matrix_precision(Cpu) { return detail::matrix_precision; }

HLIP_END
