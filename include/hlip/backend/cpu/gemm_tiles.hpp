// What the matrix products of this backend share: how an output is cut into tiles, and what happens
// to a tile before its first and after its last product.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <algorithm>
#include <array>

HLIP_BEGIN

namespace detail {

struct GemmTiles {
  index_t rows, cols;
};

/// The output tile for a shape: large for reuse of the packed operands, smaller until there is work
/// for several threads.
inline GemmTiles gemm_tiles(index_t m, index_t n, index_t batch, int cols_unit) {
  index_t down = div_up(m, 512), across = div_up(n, 384);
  const auto rows = [&] { return round_up(div_up(m, down), 4); };
  const auto cols = [&] { return round_up(div_up(n, across), cols_unit); };
  while (batch * down * across < 8) {
    if (rows() >= cols() && rows() > 48) down *= 2;
    else if (cols() > 2 * cols_unit) across *= 2;
    else if (rows() > 48) down *= 2;
    else break;
  }
  return {rows(), cols()};
}

/// Packed operands: the panel of rows [i, i + r) of A starts at a + i · depth, that of columns [j,
/// j + tile_cols) of B at b + j · depth; of every panel, `steps` rows from row `first` on are
/// multiplied.
template <class T> struct PackedPanels {
  const T *a, *b;
  index_t depth, first, steps;
};

/// c (rows of panels [t0, t1), cols) = [c +] alpha · A · B, where c is the tile's first element.
template <class T>
void multiply_panels(const std::array<TileProduct<T>, tile_rows>& products, const RowSplit& split,
                     index_t t0, index_t t1, index_t cols, const PackedPanels<T>& packed, T* c,
                     index_t ldc, T alpha, bool add) {
  constexpr int nr = tile_cols<T>;
  for (index_t j = 0; j < cols; j += nr) {
    const T* b = packed.b + j * packed.depth + packed.first * nr;
    const index_t width = std::min<index_t>(nr, cols - j);
    for (index_t t = t0; t < t1; ++t) {
      const index_t i = split.begin(t), r = split.begin(t + 1) - i;
      const T* a = packed.a + i * packed.depth + packed.first * r;
      const auto product = products[static_cast<std::size_t>(r - 1)];
      T* to = c + (i - split.begin(t0)) * ldc + j;
      if (width == nr) {
        // c is needed after the last step alone, and by then is here
        for (index_t x = 0; x < r; ++x)
          __builtin_prefetch(to + x * ldc, 1), __builtin_prefetch(to + x * ldc + nr / 2, 1);
        product(packed.steps, a, r, b, nr, to, ldc, alpha, add);
      } else {
        alignas(64) T edge[tile_rows * nr];
        product(packed.steps, a, r, b, nr, edge, nr, alpha, false);
        for (index_t x = 0; x < r; ++x)
          for (index_t y = 0; y < width; ++y)
            to[x * ldc + y] = (add ? to[x * ldc + y] : T(0)) + edge[x * nr + y];
      }
    }
  }
}

/// Puts beta · C + bias into a tile that needs it before the first product; returns whether
/// products are added to it.
template <class T>
bool gemm_start(const GemmArgs<T>& g, T* c, const T* bias, index_t rows, index_t cols) {
  const bool add = g.beta != T(0) || bias;
  if (add || g.k == 0)
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < cols; ++j)
        c[i * g.ldc + j] = (g.beta != T(0) ? g.beta * c[i * g.ldc + j] : T(0)) +
                           (bias ? bias[j] : T(0));
  return add;
}

template <class T> bool has_epilogue(const GemmArgs<T>& g) {
  return g.activation != Activation::none || g.pre_activation || g.residual;
}

/// Pre-activation copy, activation and residual on a finished tile that begins at element `at` of
/// C.
template <class T>
void gemm_epilogue(const GemmArgs<T>& g, index_t at, index_t rows, index_t cols) {
  using P = Pack<T>;
  if (!has_epilogue(g)) return;
  for (index_t i = 0; i < rows; ++i, at += g.ldc) {
    if (g.pre_activation) std::copy(g.c + at, g.c + at + cols, g.pre_activation + at);
    for (index_t j = 0; j < cols; j += pack_size) {
      P x = load_lanes(g.c + at + j, cols - j);
      if (g.activation == Activation::gelu)
        x = P(T(0.5)) * x * (P(T(1)) + erf_(P(T(0.70710678118654752440) * x.v)));
      if (g.residual) x = x + load_lanes(g.residual + at + j, cols - j);
      store_lanes(g.c + at + j, cols - j, x);
    }
  }
}

}  // namespace detail

HLIP_END
