// Large matrix products: both operands are packed once, by all threads, and every tile of the
// result reads the packed copies. Source of the scheme: Goto and van de Geijn, "Anatomy of
// high-performance matrix multiplication", ACM TOMS 2008.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/gemm_tiles.hpp>
#include <hlip/backend/cpu/memory.hpp>

#include <algorithm>
#include <array>

HLIP_BEGIN

namespace detail {

/// Rows of A and columns of B that are packed at a time.
inline constexpr index_t packed_chunk = 4096;

/// What packed operands look like. A value and no type: what is done with them is compiled once.
template <class T> struct Packing {
  using Pack = void (*)(index_t k, index_t width, const T* from, index_t ld, bool trans, T* to);
  index_t chunk;      ///< elements of K that are packed at a time
  index_t block;      ///< and of these, multiplied before a tile of C is written back
  index_t in_a_step;  ///< elements of K in a row of a panel
  index_t slack;      ///< rows that a panel has room for besides: a packer may write into them
  Pack pack_a, pack_b;
  const std::array<TileProduct<T>, tile_rows>& products;

  index_t steps(index_t n) const { return div_up(n, in_a_step); }
};

/// C (rows [i0, i0 + m), columns [j0, j0 + n)) of one matrix, through K; see GemmArgs.
template <class T>
void packed_gemm_part(const GemmArgs<T>& g, const Packing<T>& p, index_t matrix, index_t i0,
                      index_t m, index_t j0, index_t n) {
  constexpr int nr = tile_cols<T>;
  const T *a = g.a + matrix * g.stride_a, *b = g.b + matrix * g.stride_b;
  const index_t at = matrix * g.stride_c + i0 * g.ldc + j0,
                depth = p.steps(std::min(g.k, p.chunk)) + p.slack, panels_b = div_up(n, nr);
  const RowSplit split(m);
  const std::size_t elements = static_cast<std::size_t>(depth) *
                               static_cast<std::size_t>(m + panels_b * nr),
                    bytes = elements * sizeof(T);
  T* packed_b = static_cast<T*>(allocate(Cpu{}, bytes));  // whose rows are whole cache lines
  T* packed_a = packed_b + depth * panels_b * nr;

  const auto tiles = gemm_tiles(m, n, 1, nr);
  const index_t panels_down = std::max<index_t>(1, tiles.rows / tile_rows),
                down = div_up(split.count, panels_down), across = div_up(n, tiles.cols);
  const bool threads =
      static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(g.k + 8) > 1e5;
#pragma omp parallel if (threads)
  for (index_t k0 = 0; k0 == 0 || k0 < g.k; k0 += p.chunk) {
    const index_t k = std::min(p.chunk, g.k - k0);
#pragma omp for schedule(static)
    for (index_t panel = 0; panel < split.count + panels_b; ++panel) {
      if (panel < split.count) {
        const index_t i = split.begin(panel), r = split.begin(panel + 1) - i, row = i0 + i;
        p.pack_a(k, r, a + (g.trans_a ? k0 * g.lda + row : row * g.lda + k0), g.lda, g.trans_a,
                 packed_a + i * depth);
      } else {
        const index_t j = (panel - split.count) * nr, column = j0 + j;
        p.pack_b(k, std::min<index_t>(nr, n - j),
                 b + (g.trans_b ? column * g.ldb + k0 : k0 * g.ldb + column), g.ldb, g.trans_b,
                 packed_b + j * depth);
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
      for (index_t e = 0; e < k; e += p.block, add = true) {
        const PackedPanels<T> packed{packed_a, packed_b + j * depth, depth, p.steps(e),
                                     p.steps(std::min(p.block, k - e))};
        multiply_panels(p.products, split, t0, t1, cols, packed, g.c + tile_at, g.ldc, g.alpha,
                        add);
      }
      if (k0 + k >= g.k) gemm_epilogue(g, tile_at, rows, cols);
    }
  }
  deallocate(Cpu{}, packed_b, bytes);
}

/// All matrices of a batch, in parts that depend on the shape alone: the same bits for every number
/// of threads.
template <class T> void packed_gemm(const GemmArgs<T>& g, const Packing<T>& packing) {
  for (index_t matrix = 0; matrix < g.batch; ++matrix)
    for (index_t i = 0; i < g.m; i += packed_chunk)
      for (index_t j = 0; j < g.n; j += packed_chunk)
        packed_gemm_part(g, packing, matrix, i, std::min(packed_chunk, g.m - i), j,
                         std::min(packed_chunk, g.n - j));
}

}  // namespace detail

HLIP_END
