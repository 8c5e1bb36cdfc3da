// Matrix products on the CPU: fixed output tiles handed to OpenMP threads, operands packed for each
// tile or, of large products, once for all; the epilogue is applied while a tile is in cache. Tiles
// and K blocks depend on the shape alone, so every thread count and every cache size gives the same
// bits.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/bfloat16_gemm.hpp>
#include <hlip/backend/cpu/cblas.hpp>
#include <hlip/backend/cpu/few_rows.hpp>
#include <hlip/backend/cpu/gemm_tiles.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/cpu/packed_gemm.hpp>

HLIP_BEGIN

namespace detail {

/// K is cut into equal blocks of at most this: a packed panel of B (gemm_k · tile_cols) stays in
/// the first-level cache.
inline constexpr index_t gemm_k = 256;
template <class T> index_t gemm_k_block(index_t k) {
  return round_up(div_up(k, std::max<index_t>(1, div_up(k, gemm_k))), packet_width<T>);
}

/// Rows [0, m) of op(A), columns [0, k), as panels of register-tile height: panel t holds [p][row].
template <class T> void pack_a(index_t m, index_t k, const T* a, index_t lda, bool trans, T* to) {
  const RowSplit split(m);
  constexpr int w = packet_width<T>;
  for (index_t t = 0; t < split.count; ++t) {
    const index_t i = split.begin(t), r = split.begin(t + 1) - i;
    T* panel = to + i * k;
    if (!trans) {
      transpose_into(r, k, a + i * lda, lda, panel, r);
      continue;
    }
    const T* from = a + i;
    index_t p = 0;
    // Whole packets: what is read past the panel lies in the next row of A, what is written past it
    // is overwritten.
    if (lda >= w)
      for (; p + 1 < k && (p + 1) * r + round_up(r, w) <= k * r; ++p)
        for (index_t s = 0; s < r; s += w)
          simd::pstoreu(panel + p * r + s, simd::ploadu<Packet<T>>(from + p * lda + s));
    for (; p < k; ++p)
      for (index_t s = 0; s < r; ++s) panel[p * r + s] = from[p * lda + s];
  }
}

/// Columns [0, n) of op(B), rows [0, k), as panels of tile_cols columns padded with zeros: panel
/// holds [p][column].
template <class T> void pack_b(index_t k, index_t n, const T* b, index_t ldb, bool trans, T* to) {
  constexpr int nr = tile_cols<T>, w = packet_width<T>;
  for (index_t j = 0; j < n; j += nr, to += k * nr) {
    const index_t cols = std::min<index_t>(nr, n - j);
    if (cols < nr) std::fill(to, to + k * nr, T(0));
    if (trans) {
      for (index_t s = 0; s < cols; s += w)
        transpose_into(std::min<index_t>(w, cols - s), k, b + (j + s) * ldb, ldb, to + s, nr);
    } else if (cols == nr) {
      for (index_t p = 0; p < k; ++p) {
        simd::pstoreu(to + p * nr, simd::ploadu<Packet<T>>(b + p * ldb + j));
        simd::pstoreu(to + p * nr + w, simd::ploadu<Packet<T>>(b + p * ldb + j + w));
      }
    } else {
      for (index_t p = 0; p < k; ++p)
        std::copy(b + p * ldb + j, b + p * ldb + j + cols, to + p * nr);
    }
  }
}

template <class T>
[[gnu::noinline]] void gemm_tile(const GemmArgs<T>& g, index_t matrix, index_t i0, index_t rows,
                                 index_t j0, index_t cols) {
  constexpr int nr = tile_cols<T>;
  const T* a = g.a + matrix * g.stride_a + (g.trans_a ? i0 : i0 * g.lda);
  const T* b = g.b + matrix * g.stride_b + (g.trans_b ? j0 * g.ldb : j0);
  T* c = g.c + matrix * g.stride_c + i0 * g.ldc + j0;

  const bool few = has_few_rows(g);
  const index_t depth = few ? 0 : gemm_k_block<T>(g.k);
  T* packed_a = thread_scratch().get<T>(depth * (rows + round_up(cols, nr)) + 4 * nr);
  T* packed_b = packed_a + round_up(depth * rows + nr, nr);

  bool add = gemm_start(g, c, g.bias ? g.bias + j0 : nullptr, rows, cols);

  const RowSplit split(rows);
  if (few) few_rows_tile(g, a, b, c, rows, cols, add);
  for (index_t k0 = 0; !few && k0 < g.k; k0 += depth, add = true) {
    const index_t k = std::min(depth, g.k - k0);
    pack_a(rows, k, a + (g.trans_a ? k0 * g.lda : k0), g.lda, g.trans_a, packed_a);
    pack_b(k, cols, b + (g.trans_b ? k0 : k0 * g.ldb), g.ldb, g.trans_b, packed_b);
    multiply_panels(tile_products<1, T>, split, 0, split.count, cols,
                    PackedPanels<T>{packed_a, packed_b, k, 0, k}, c, g.ldc, g.alpha, add);
  }
  gemm_epilogue(g, matrix * g.stride_c + i0 * g.ldc + j0, rows, cols);
}

/// gemm with operands packed once, four blocks of K at a time.
template <class T> void plain_packed_gemm(const GemmArgs<T>& g) {
  const auto a = [](index_t k, index_t rows, const T* from, index_t ld, bool trans, T* to) {
    pack_a(rows, k, from, ld, trans, to);
  };
  const index_t block = std::max<index_t>(1, gemm_k_block<T>(g.k));
  packed_gemm(g,
              Packing<T>{4 * block, block, 1, packet_width<T>, a, pack_b<T>, tile_products<1, T>});
}

/// gemm with operands packed for each tile, or, of few rows, read from where they lie.
template <class T> void tiled_gemm(const GemmArgs<T>& g) {
  const auto tiles = gemm_tiles(g.m, g.n, g.batch, tile_cols<T>);
  const index_t down = div_up(g.m, tiles.rows), across = div_up(g.n, tiles.cols),
                count = g.batch * down * across;
  const bool worth_threads = count > 1 && static_cast<double>(g.m) * static_cast<double>(g.n) *
                                                  static_cast<double>(g.k + 8) *
                                                  static_cast<double>(g.batch) >
                                              1e5;
#pragma omp parallel for schedule(dynamic) if (worth_threads)
  for (index_t tile = 0; tile < count; ++tile) {
    const index_t matrix = tile / (down * across), i = tile / across % down * tiles.rows,
                  j = tile % across * tiles.cols;
    gemm_tile(g, matrix, i, std::min(tiles.rows, g.m - i), j, std::min(tiles.cols, g.n - j));
  }
}

/// Whether tiles would pack operands so often that packing them once, and waiting for that, costs
/// less (measured).
template <class T> bool packs_once(const GemmArgs<T>& g) {
  const auto tiles = gemm_tiles(g.m, g.n, g.batch, tile_cols<T>);
  const index_t down = div_up(g.m, tiles.rows), across = div_up(g.n, tiles.cols);
  return static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k) > 1e7 &&
         10 * (g.m * across + g.n * down) > 32 * (g.m + g.n);
}

}  // namespace detail

/// C = act(alpha · op(A) · op(B) + beta · C + bias) + residual; see GemmArgs.
template <class T> void gemm(Cpu, const GemmArgs<T>& g) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return;
  if constexpr (std::is_same_v<T, float>)
    if (detail::in_bfloat16()) return detail::bfloat16_gemm(g);
#if defined(HLIP_WITH_CBLAS)
  if (detail::fits_cblas(g)) {
    GemmArgs<T> rest = g;  // what the product of the CBLAS leaves to do
    rest.beta = T(1);
    const bool any_rest = g.bias || detail::has_epilogue(g);
    const index_t strip = 16, strips = detail::div_up(g.m, strip);
    for (index_t matrix = 0; matrix < g.batch; ++matrix) {
      detail::cblas_product(g, matrix);
      if (!any_rest) continue;  // starting threads for nothing takes a hundredth of a product
#pragma omp parallel for schedule(static) if (strips > 1)
      for (index_t s = 0; s < strips; ++s) {
        const index_t at = matrix * g.stride_c + s * strip * g.ldc,
                      rows = std::min(strip, g.m - s * strip);
        if (g.bias) detail::gemm_start(rest, g.c + at, g.bias, rows, g.n);
        detail::gemm_epilogue(g, at, rows, g.n);
      }
    }
    return;
  }
#endif
  if (!detail::has_few_rows(g) && detail::packs_once(g)) detail::plain_packed_gemm(g);
  else detail::tiled_gemm(g);
}

HLIP_END
