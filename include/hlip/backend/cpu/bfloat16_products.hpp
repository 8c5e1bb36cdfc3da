// The register tile of bfloat16 operands with float sums, where the processor has such an
// instruction (AVX512-BF16), how its operands are packed, and the switch that chooses it; see
// bfloat16_gemm.hpp.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/cpu/memory.hpp>

#include <algorithm>
#include <array>
#include <atomic>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

HLIP_BEGIN

namespace detail {

inline std::atomic<MatrixPrecision> matrix_precision{MatrixPrecision::float32};

#if defined(__AVX512BF16__)
inline constexpr bool bfloat16_products = true;

/// Sixteen pairs, as what the instruction takes. The empty statement keeps clang 16 from looking
/// through the cast: its optimiser never comes to an end when it sees a broadcast of bfloat16.
inline __m512bh as_pairs(__m512 x) {
#if defined(__clang__)
  asm("" : "+v"(x));
#endif
  return (__m512bh)x;
}

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // see transpose_into
#endif

/// Rounds `width` columns of k floats to rows of pairs: pair (p, i), at to[p · step + i], holds
/// elements 2p and 2p + 1 of column i, the first in its lower half; an element past the last counts
/// as 0. Element e of column i is x[i · ld + e] when `deep`, else x[e · ld + i]. Columns up to
/// `step` are filled with zeros. Subnormal numbers become 0, which the product would take them for
/// anyway.
HLIP_LAZY void pack_bfloat16_pairs(index_t k, index_t width, const float* x, index_t ld, bool deep,
                                   float* to, index_t step) {
  const auto lanes = [](index_t n) {
    return static_cast<__mmask16>(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1);
  };
  for (index_t i0 = 0; i0 < step; i0 += 16) {
    const __mmask16 read = lanes(width - i0), write = lanes(step - i0);
    if (deep) {
      for (index_t e = 0; e < k; e += 32) {
        simd::PacketBlock<Packet<float>, 16> block;
        const __mmask16 low = lanes(k - e), high = lanes(k - e - 16);
        for (index_t i = 0; i < 16; ++i) {
          const float* from = x + (i0 + i) * ld + e;
          block.packet[i] = i0 + i < width ? (__m512)_mm512_cvtne2ps_pbh(
                                                 _mm512_maskz_loadu_ps(high, from + 16),
                                                 _mm512_maskz_loadu_ps(low, from))
                                           : _mm512_setzero_ps();
        }
        simd::ptranspose(block);
        const index_t pairs = std::min<index_t>(16, div_up(k - e, 2));
        for (index_t p = 0; p < pairs; ++p)
          _mm512_mask_storeu_ps(to + (e / 2 + p) * step + i0, write, block.packet[p]);
      }
    } else {
      const auto wide = [&](index_t e, __mmask16 mask) {
        return _mm512_cvtepu16_epi32(
            (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + e * ld + i0)));
      };
      for (index_t e = 0; e < k; e += 2) {
        const __m512i pair = _mm512_or_si512(
            wide(e, read),
            _mm512_slli_epi32(e + 1 < k ? wide(e + 1, read) : _mm512_setzero_si512(), 16));
        _mm512_mask_storeu_epi32(to + e / 2 * step + i0, write, pair);
      }
    }
  }
}

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// tile_product on rows of pairs.
template <int R>
void bfloat16_tile_product(index_t k, const float* a, index_t a_step, const float* b, index_t ldb,
                           float* c, index_t ldc, float alpha, bool add) {
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
  }
  (std::make_integer_sequence<int, R>{});
}

inline constexpr std::array<TileProduct<float>, tile_rows> bfloat16_tile_products = []<int... I>(
    std::integer_sequence<int, I...>) {
  return std::array<TileProduct<float>, tile_rows>{&bfloat16_tile_product<I + 1>...};
}
(std::make_integer_sequence<int, tile_rows>{});
#else
inline constexpr bool bfloat16_products = false;
// never called
inline constexpr std::array<TileProduct<float>, tile_rows> bfloat16_tile_products{};
HLIP_LAZY void pack_bfloat16_pairs(index_t, index_t, const float*, index_t, bool, float*, index_t) {
}
#endif

/// Whether float products round their operands now.
inline bool in_bfloat16() {
  return bfloat16_products &&
         matrix_precision.load(std::memory_order_relaxed) == MatrixPrecision::bfloat16;
}

}  // namespace detail

/// Whether this build has matrix products of bfloat16 operands.
inline bool has_bfloat16_products(Cpu) { return detail::bfloat16_products; }
inline bool has_tensorfloat32_products(Cpu) { return false; }
/// What float matrix products of this process round their operands to from now on; sums are always
/// float.
/// @throws hlip::error for a precision this build has no products of
HLIP_LAZY void set_matrix_precision(Cpu, MatrixPrecision precision) {
  if (precision == MatrixPrecision::tensorfloat32)
    fail("set_matrix_precision",
         "a processor has no TF32 products, only some GPUs do (hint: float32 or bfloat16)");
  if (precision == MatrixPrecision::bfloat16 && !detail::bfloat16_products)
    fail("set_matrix_precision",
         "this build has no bfloat16 products (hint: they need a processor with AVX512-BF16, and "
         "-march=native)");
  detail::matrix_precision = precision;
}
inline MatrixPrecision matrix_precision(Cpu) { return detail::matrix_precision; }

HLIP_END
