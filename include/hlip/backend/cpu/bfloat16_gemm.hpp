// Matrix products whose operands are stored in bfloat16 while they are multiplied: both are rounded
// and packed once, by all threads, and every tile of the result reads the packed copies. Sums are
// float. Source of the scheme: Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication", ACM TOMS 2008.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/bfloat16_products.hpp>
#include <hlip/backend/cpu/gemm_tiles.hpp>
#include <hlip/backend/cpu/memory.hpp>

HLIP_BEGIN

namespace detail {

/// Elements of one operand that are packed at a time along m, n and k: at most 2 · 4096² · 2 bytes
/// are held.
inline constexpr index_t bfloat16_chunk = 4096;
/// Elements of K multiplied before a tile of C is written back: twice the float kernel's, in the
/// same bytes.
inline constexpr index_t bfloat16_k = 512;

/// C (rows [i0, i0 + m), columns [j0, j0 + n)) of one matrix, through K; see GemmArgs.
HLIP_LAZY void bfloat16_gemm_part(const GemmArgs<float>& g, index_t matrix, index_t i0, index_t m,
                                  index_t j0, index_t n) {
  constexpr int nr = tile_cols<float>;
  const float *a = g.a + matrix * g.stride_a, *b = g.b + matrix * g.stride_b;
  const index_t at = matrix * g.stride_c + i0 * g.ldc + j0,
                depth = div_up(std::min(g.k, bfloat16_chunk), 2), panels_b = div_up(n, nr);
  const RowSplit split(m);
  const std::size_t elements = static_cast<std::size_t>(depth) *
                               static_cast<std::size_t>(m + panels_b * nr),
                    bytes = elements * sizeof(float);
  float* packed_a = static_cast<float*>(allocate(Cpu{}, bytes));
  float* packed_b = packed_a + depth * m;

  const auto tiles = gemm_tiles(m, n, 1, nr);
  const index_t panels_down = std::max<index_t>(1, tiles.rows / tile_rows),
                down = div_up(split.count, panels_down), across = div_up(n, tiles.cols);
  const bool threads =
      static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(g.k + 8) > 1e5;
#pragma omp parallel if (threads)
  for (index_t k0 = 0; k0 == 0 || k0 < g.k; k0 += bfloat16_chunk) {
    const index_t k = std::min(bfloat16_chunk, g.k - k0);
#pragma omp for schedule(static)
    for (index_t panel = 0; panel < split.count + panels_b; ++panel) {
      if (panel < split.count) {
        const index_t i = split.begin(panel), r = split.begin(panel + 1) - i, row = i0 + i;
        pack_bfloat16_pairs(k, r, a + (g.trans_a ? k0 * g.lda + row : row * g.lda + k0), g.lda,
                            !g.trans_a, packed_a + i * depth, r);
      } else {
        const index_t j = (panel - split.count) * nr, column = j0 + j;
        pack_bfloat16_pairs(k, std::min<index_t>(nr, n - j),
                            b + (g.trans_b ? column * g.ldb + k0 : k0 * g.ldb + column), g.ldb,
                            g.trans_b, packed_b + j * depth, nr);
      }
    }
#pragma omp for schedule(dynamic)
    for (index_t tile = 0; tile < down * across; ++tile) {
      const index_t t0 = tile / across * panels_down, t1 = std::min(split.count, t0 + panels_down),
                    j = tile % across * tiles.cols;
      const index_t i = split.begin(t0), rows = split.begin(t1) - i,
                    cols = std::min(tiles.cols, n - j), tile_at = at + i * g.ldc + j;
      bool add = k0 > 0 ||
                 gemm_start(g, g.c + tile_at, g.bias ? g.bias + j0 + j : nullptr, rows, cols);
      for (index_t e = 0; e < k; e += bfloat16_k, add = true) {
        const PackedPanels<float> packed{packed_a, packed_b + j * depth, depth, e / 2,
                                         div_up(std::min(bfloat16_k, k - e), 2)};
        multiply_panels(bfloat16_tile_products, split, t0, t1, cols, packed, g.c + tile_at, g.ldc,
                        g.alpha, add);
      }
      if (k0 + k >= g.k) gemm_epilogue(g, tile_at, rows, cols);
    }
  }
  deallocate(Cpu{}, packed_a, bytes);
}

/// gemm with operands rounded to bfloat16. Chunks and tiles depend on the shape alone: the same
/// bits for every number of threads.
HLIP_LAZY void bfloat16_gemm(const GemmArgs<float>& g) {
  for (index_t matrix = 0; matrix < g.batch; ++matrix)
    for (index_t i = 0; i < g.m; i += bfloat16_chunk)
      for (index_t j = 0; j < g.n; j += bfloat16_chunk)
        bfloat16_gemm_part(g, matrix, i, std::min(bfloat16_chunk, g.m - i), j,
                           std::min(bfloat16_chunk, g.n - j));
}

}  // namespace detail

HLIP_END
