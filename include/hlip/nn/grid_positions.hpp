// Learned positions of a square grid of patches, fitted to another grid.
// Source: reference document RAD-DINO §2; Oquab et al. 2023 (DINOv2); Darcet et al. 2024
// (registers).
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/ops/interpolate.hpp>

#include <cmath>

HLIP_BEGIN

/// How a table of positions is resized: bicubic, half-pixel centres, in float.
struct GridPositionOptions {
  /// Added to the new size before the scale factor is made of it, so that the sampling step is
  /// M/(n + offset): 0.1 in the first DINOv2 models. 0: M/n.
  double interpolate_offset = 0.1;
  /// The kernel widens where the grid shrinks, and is another one (a = -0.5 in place of -0.75).
  bool antialias = false;
};

namespace detail {

template <class T>
ResampleTable<T> position_weights(index_t from, index_t to, const GridPositionOptions& o) {
  const double scale = (static_cast<double>(to) + o.interpolate_offset) / static_cast<double>(from);
  return resample_weights<T>(from, to,
                             o.antialias ? Interpolation::cubic_antialias : Interpolation::cubic,
                             true, o.interpolate_offset != 0 ? 1.0 / scale : 0.0);
}

}  // namespace detail

/// The side of the square grid that a table has positions for.
/// @param table (1, P + M², C), P positions of prefix tokens first
/// @throws hlip::error when the rest is no square
template <class T, class B> index_t grid_side(const Tensor<T, B>& table, index_t prefix) {
  expect_shape("positions", "pos_embed", table.shape(), {{"1", 1}, {"tokens"}, {"C"}});
  const index_t n = table.dim(1) - prefix;
  const auto side = static_cast<index_t>(std::llround(std::sqrt(static_cast<double>(n))));
  expect(n > 0 && side * side == n, "positions", "{} positions of patches do not form a square", n);
  return side;
}

/// Positions of an h x w grid. The table's own grid is used as it is; those of prefix tokens stay.
/// @param table (1, P + M², C)  @param prefix P  @return (1, P + h·w, C)
template <class T, class B>
Var<T, B> resize_grid_positions(const Var<T, B>& table, index_t prefix, index_t h, index_t w,
                                const GridPositionOptions& options) {
  const index_t side = grid_side(table.value(), prefix), c = table.dim(2);
  if (h == side && w == side) return table;
  expect(h > 0 && w > 0, "positions", "a grid of {} x {} patches", h, w);
  const ResampleTable<T> rows = detail::position_weights<T>(side, h, options),
                         columns = detail::position_weights<T>(side, w, options);
  const Tensor<T, B> plane =
      table.value().slice(1, prefix, prefix + side * side).reshape({side, side, c});
  const auto y = Tensor<T, B>::empty({1, prefix + h * w, c});
  if (prefix > 0) y.slice(1, 0, prefix).assign(table.value().slice(1, 0, prefix));
  y.slice(1, prefix, prefix + h * w)
      .assign(resample(resample(plane, 1, columns, w), 0, rows, h).reshape({1, h * w, c}));
  return record("positions", y, {table}, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    const auto d = Tensor<T, B>::empty({1, prefix + side * side, c});
    if (prefix > 0) d.slice(1, 0, prefix).assign(dy.slice(1, 0, prefix));
    const Tensor<T, B> resized = dy.slice(1, prefix, prefix + h * w).reshape({h, w, c});
    d.slice(1, prefix, prefix + side * side)
        .assign(resample(resample(resized, 0, rows, side, true), 1, columns, side, true)
                    .reshape({1, side * side, c}));
    grads.add(0, d);
  });
}

HLIP_END
