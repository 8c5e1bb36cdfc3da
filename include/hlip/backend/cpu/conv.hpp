// Convolution on the CPU: matrix products whose second operand is gathered from the pictures panel
// by panel. Tiles depend on the shape alone, so every thread count gives the same bits.
#pragma once

#include <hlip/backend/conv_columns.hpp>
#include <hlip/backend/cpu/conv_gather.hpp>
#include <hlip/backend/cpu/gemm.hpp>
#include <hlip/backend/cpu/loop.hpp>

#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// A product with gathered columns: to (m, columns) = a (m, rows) · columns + bias, its columns
/// scattered to where the axes say.
template <class T> struct GatheredProduct {
  index_t m;
  const T* a;  ///< (m, rows)
  GatheredColumns<T> columns;
  const T* bias;    ///< (m), or none
  T* to;            ///< the group's first channel
  index_t picture;  ///< elements from one picture of the result to the next
};

/// Rows [i0, i0 + rows) of columns [j0, j0 + cols).
template <class T>
[[gnu::noinline]] void gathered_tile(const GatheredProduct<T>& g, index_t i0, index_t rows,
                                     index_t j0, index_t cols, GatherScratch<T>& scratch) {
  constexpr int nr = tile_cols<T>;
  const index_t all = g.columns.rows(), blocks = std::max<index_t>(1, div_up(all, gemm_k)),
                depth = round_up(div_up(all, blocks), packet_width<T>), ldc = round_up(cols, nr);
  T* packed_a = thread_scratch().get<T>(depth * (rows + ldc) + 8 * nr + rows * ldc);
  T* packed_b = packed_a + round_up(depth * rows + nr, nr);
  T* c = packed_b + round_up(depth * ldc + nr, nr);
  if (all == 0) std::fill_n(c, rows * ldc, T(0));

  const RowSplit split(rows);
  for (index_t k0 = 0; k0 < all; k0 += depth) {
    const index_t k = std::min(depth, all - k0);
    pack_a(rows, k, g.a + i0 * all + k0, all, false, packed_a);
    pack_columns(g.columns, k0, k, j0, cols, scratch, packed_b);
    multiply_panels(tile_products<1, T>, split, 0, split.count, cols,
                    PackedPanels<T>{packed_a, packed_b, k, 0, k}, c, ldc, T(1), k0 > 0);
  }

  const auto& axes = g.columns.axes();
  const auto &d = axes[0], &h = axes[1], &w = axes[2];  // no binding: clang 16 cannot capture one
  const index_t plane = d.target_size * h.target_size * w.target_size;
  g.columns.for_each_run(j0, j0 + cols, [&](const ColumnRun& run) {
    const index_t at = run.picture * g.picture +
                       ((d.first + run.at[0] * d.stride) * h.target_size + h.first +
                        run.at[1] * h.stride) *
                           w.target_size +
                       w.first + run.at[2] * w.stride;
    for (index_t i = 0; i < rows; ++i) {
      const T* from = c + i * ldc + run.begin;
      T* to = g.to + at + (i0 + i) * plane;
      const T bias = g.bias ? g.bias[i0 + i] : T(0);
      if (w.stride == 1)
        for (index_t x = 0; x < run.count; ++x) to[x] = from[x] + bias;
      else
        for (index_t x = 0; x < run.count; ++x) to[x * w.stride] = from[x] + bias;
    }
  });
}

/// All of them, their tiles handed out together.
template <class T> void gathered_products(const std::vector<GatheredProduct<T>>& products) {
  // Of every product: how it is cut, and how many tiles come before
  std::vector<GemmTiles> tiles;
  std::vector<index_t> before{0};
  double work = 0;
  for (const GatheredProduct<T>& g : products) {
    const index_t n = g.columns.columns();
    tiles.push_back(gemm_tiles(g.m, n, static_cast<index_t>(products.size()), tile_cols<T>));
    before.push_back(before.back() + div_up(g.m, tiles.back().rows) * div_up(n, tiles.back().cols));
    work += static_cast<double>(g.m) * static_cast<double>(n) *
            static_cast<double>(g.columns.rows() + 8);
  }
#pragma omp parallel if (before.back() > 1 && work > 1e5)
  {
    GatherScratch<T> scratch;
#pragma omp for schedule(dynamic)
    for (index_t tile = 0; tile < before.back(); ++tile) {
      const auto which = static_cast<std::size_t>(
          std::upper_bound(before.begin(), before.end(), tile) - before.begin() - 1);
      const GatheredProduct<T>& g = products[which];
      const GemmTiles size = tiles[which];
      const index_t n = g.columns.columns(), across = div_up(n, size.cols),
                    i = (tile - before[which]) / across * size.rows,
                    j = (tile - before[which]) % across * size.cols;
      gathered_tile(g, i, std::min(size.rows, g.m - i), j, std::min(size.cols, n - j), scratch);
    }
  }
}

/// What output q of an axis reads.
HLIP_LAZY GatherAxis forward_axis(const ConvGeometry& g, std::size_t a) {
  GatherAxis axis{g.out[a], g.in[a], g.stride[a], {}, g.out[a], 0, 1};
  for (index_t t = 0; t < g.kernel[a]; ++t) axis.offset.push_back(t * g.dilation[a] - g.padding[a]);
  return axis;
}

/// What inputs first, first + stride, … of an axis are read by, and at which taps.
HLIP_LAZY std::pair<GatherAxis, std::vector<index_t>> backward_axis(const ConvGeometry& g,
                                                                    std::size_t a, index_t first) {
  const index_t stride = g.stride[a];
  GatherAxis axis{div_up(g.in[a] - first, stride), g.out[a], 1, {}, g.in[a], first, stride};
  std::vector<index_t> taps;
  for (index_t t = 0; t < g.kernel[a]; ++t) {
    const index_t from = first + g.padding[a] - t * g.dilation[a];
    if (from % stride != 0) continue;
    taps.push_back(t);
    axis.offset.push_back(from / stride);
  }
  return {axis, taps};
}

/// weight (O, C, taps) as (C, O · chosen taps).
template <class T>
std::vector<T> transposed_weight(const ConvGeometry& g, const T* weight,
                                 const std::array<std::vector<index_t>, 3>& taps) {
  std::vector<index_t> chosen;
  for (index_t i : taps[0])
    for (index_t j : taps[1])
      for (index_t k : taps[2]) chosen.push_back((i * g.kernel[1] + j) * g.kernel[2] + k);
  const auto n = static_cast<index_t>(chosen.size()), all = g.volume(g.kernel);
  std::vector<T> to(static_cast<std::size_t>(g.in_channels * g.out_channels * n));
#pragma omp parallel for schedule(static) if (to.size() > 16384)
  for (index_t c = 0; c < g.in_channels; ++c)
    for (index_t o = 0; o < g.out_channels; ++o)
      for (index_t t = 0; t < n; ++t)
        to[static_cast<std::size_t>((c * g.out_channels + o) * n + t)] =
            weight[(o * g.in_channels + c) * all + chosen[static_cast<std::size_t>(t)]];
  return to;
}

/// weight (m, rows) = [weight +] y · columnsᵀ over blocks [first, last) of a sum that is cut into
/// pieces of neighbouring outputs of one picture.
template <class T> struct WeightProduct {
  index_t m;
  const T* y;       ///< the group's first channel
  index_t picture;  ///< elements from one picture of y to the next
  GatheredColumns<T> columns;
  T* to;
  index_t first, last;
  bool add;

  static constexpr index_t depth = gemm_k;
  static index_t blocks_of(const GatheredColumns<T>& columns) {
    return div_up(columns.outputs(), depth);
  }
  [[gnu::noinline]] void tile(index_t i0, index_t rows, index_t j0, index_t cols,
                              GatherScratch<T>& scratch) const {
    constexpr int nr = tile_cols<T>, w = packet_width<T>;
    const index_t ldc = columns.rows(), outputs = columns.outputs(), wide = round_up(cols, nr),
                  blocks = blocks_of(columns), deep = round_up(std::min(outputs, depth), w);
    T* packed_a = thread_scratch().get<T>(deep * (rows + wide + w) + 8 * nr);
    T* packed_b = packed_a + round_up(deep * rows + nr, nr);
    T* line = packed_b + round_up(deep * wide + nr, nr);
    T* c = to + i0 * ldc + j0;
    if (!add)
      for (index_t i = 0; i < rows; ++i) std::fill_n(c + i * ldc, cols, T(0));
    const RowSplit split(rows);
    for (index_t block = first; block < last; ++block) {
      const index_t n = block / blocks, k0 = block % blocks * depth,
                    k = std::min(depth, outputs - k0);
      pack_a(rows, k, y + n * picture + i0 * outputs + k0, outputs, false, packed_a);
      pack_columns_transposed(columns, n * outputs + k0, k, j0, cols, scratch, line, packed_b);
      multiply_panels(tile_products<1, T>, split, 0, split.count, cols,
                      PackedPanels<T>{packed_a, packed_b, k, 0, k}, c, ldc, T(1), true);
    }
  }
};

}  // namespace detail

/// y = weight ∗ x + bias; see ConvArgs.
template <class T> void conv_forward(Cpu, const ConvArgs<T>& a) {
  using namespace detail;
  if constexpr (std::is_same_v<T, float>)
    if (in_bfloat16()) return conv_forward_by_columns(Cpu{}, a);
  const ConvGeometry& g = a.g;
  if (g.y_size() == 0) return;
  std::vector<GatheredProduct<T>> products;
  for (index_t group = 0; group < g.groups; ++group)
    products.push_back(
        {g.out_channels, a.weight + group * g.out_channels * g.products(),
         GatheredColumns<T>(a.x + group * g.in_channels * g.volume(g.in), g.batch, g.in_channels,
                            g.groups * g.in_channels * g.volume(g.in),
                            {forward_axis(g, 0), forward_axis(g, 1), forward_axis(g, 2)}),
         a.bias ? a.bias + group * g.out_channels : nullptr,
         a.y + group * g.out_channels * g.volume(g.out),
         g.groups * g.out_channels * g.volume(g.out)});
  gathered_products(products);
}

/// x = the transpose of that product applied to y, + bias; see ConvArgs. Inputs as far apart as the
/// stride are read at the same taps: each such lattice is a product of its own.
template <class T> void conv_backward_input(Cpu, const ConvArgs<T>& a) {
  using namespace detail;
  if constexpr (std::is_same_v<T, float>)
    if (in_bfloat16()) return conv_backward_input_by_columns(Cpu{}, a);
  const ConvGeometry& g = a.g;
  if (g.x_size() == 0) return;
  std::vector<GatheredProduct<T>> products;
  std::vector<std::vector<T>> weights;
  for (index_t group = 0; group < g.groups; ++group)
    for (index_t d = 0; d < std::min(g.stride[0], g.in[0]); ++d)
      for (index_t h = 0; h < std::min(g.stride[1], g.in[1]); ++h)
        for (index_t w = 0; w < std::min(g.stride[2], g.in[2]); ++w) {
          auto [deep, deep_taps] = backward_axis(g, 0, d);
          auto [down, down_taps] = backward_axis(g, 1, h);
          auto [across, across_taps] = backward_axis(g, 2, w);
          weights.push_back(transposed_weight<T>(g,
                                                 a.weight + group * g.out_channels * g.products(),
                                                 {deep_taps, down_taps, across_taps}));
          products.push_back(
              {g.in_channels, weights.back().data(),
               GatheredColumns<T>(a.y + group * g.out_channels * g.volume(g.out), g.batch,
                                  g.out_channels, g.groups * g.out_channels * g.volume(g.out),
                                  {deep, down, across}),
               a.bias ? a.bias + group * g.in_channels : nullptr,
               a.x + group * g.in_channels * g.volume(g.in),
               g.groups * g.in_channels * g.volume(g.in)});
        }
  gathered_products(products);
}

/// weight = [weight +] its gradient for y; see ConvArgs. A small weight has few tiles: the sum over
/// outputs is then cut as well, as the shape says, and its parts are added in order.
template <class T> void conv_backward_weight(Cpu, const ConvArgs<T>& a) {
  using namespace detail;
  if constexpr (std::is_same_v<T, float>)
    if (in_bfloat16()) return conv_backward_weight_by_columns(Cpu{}, a);
  const ConvGeometry& g = a.g;
  const index_t m = g.out_channels, rows = g.products(), size = m * rows;
  if (size * g.groups == 0) return;
  const GatheredColumns<T> shape(a.x, g.batch, g.in_channels, 0,
                                 {forward_axis(g, 0), forward_axis(g, 1), forward_axis(g, 2)});
  const GemmTiles tiles = gemm_tiles(m, rows, g.groups, tile_cols<T>);
  const index_t down = div_up(m, tiles.rows), across = div_up(rows, tiles.cols),
                blocks = g.batch * WeightProduct<T>::blocks_of(shape),
                parts = std::clamp<index_t>(8 / (g.groups * down * across), 1,
                                            std::max<index_t>(1, blocks));
  std::vector<T> partial(static_cast<std::size_t>((parts - 1) * g.groups * size));
  std::vector<WeightProduct<T>> products;
  for (index_t group = 0; group < g.groups; ++group)
    for (index_t part = 0; part < parts; ++part)
      products.push_back(
          {m, a.y + group * m * g.volume(g.out), g.groups * m * g.volume(g.out),
           GatheredColumns<T>(a.x + group * g.in_channels * g.volume(g.in), g.batch, g.in_channels,
                              g.groups * g.in_channels * g.volume(g.in), shape.axes()),
           part == 0 ? a.weight + group * size
                     : partial.data() + ((part - 1) * g.groups + group) * size,
           blocks * part / parts, blocks * (part + 1) / parts, part == 0 && a.add});
  const index_t count = static_cast<index_t>(products.size()) * down * across;
#pragma omp parallel if (count > 1 && \
                         static_cast <double>(size) * static_cast <double>(shape.columns()) > 1e5)
  {
    GatherScratch<T> scratch;
#pragma omp for schedule(dynamic)
    for (index_t t = 0; t < count; ++t) {
      const index_t i = t / across % down * tiles.rows, j = t % across * tiles.cols;
      products[static_cast<std::size_t>(t / (down * across))].tile(
          i, std::min(tiles.rows, m - i), j, std::min(tiles.cols, rows - j), scratch);
    }
  }
  const index_t all = g.groups * size;
  for (index_t part = 0; part + 1 < parts; ++part) {
    const T* from = partial.data() + part * all;
    for (index_t i = 0; i < all; ++i) a.weight[i] += from[i];
  }
}

HLIP_END
