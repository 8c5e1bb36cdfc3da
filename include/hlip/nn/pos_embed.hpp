// Fixed sine-cosine position tables, and fitting them to another grid.
// Source: reference document HLIP §1.3.
#pragma once

#include <hlip/ops/interpolate.hpp>
#include <hlip/ops/shape.hpp>

#include <cmath>
#include <span>
#include <vector>

HLIP_BEGIN

/// E_D(p) for p = 0 … n-1: all sines, then all cosines. @param dim even  @return (n, dim)
template <class T, class B> Tensor<T, B> sincos_1d(index_t n, index_t dim) {
  expect(dim > 0 && dim % 2 == 0, "sincos", "width {}, expected an even number", dim);
  std::vector<T> values(static_cast<std::size_t>(n * dim));
  const index_t half = dim / 2;
  for (index_t p = 0; p < n; ++p)
    for (index_t k = 0; k < half; ++k) {
      // Single precision throughout, as the published tables were made.
      const float omega = 1.0f /
                          std::pow(10000.0f, static_cast<float>(k) / static_cast<float>(half));
      const float angle = static_cast<float>(p) * omega;
      values[static_cast<std::size_t>(p * dim + k)] = static_cast<T>(std::sin(angle));
      values[static_cast<std::size_t>(p * dim + half + k)] = static_cast<T>(std::cos(angle));
    }
  return Tensor<T, B>::from_values({n, dim}, std::span<const T>(values));
}

/// Spatial table from scratch: E(w), E(h), E(d) side by side, each dim/3 wide. @return (1, d, h, w,
/// dim)
template <class T, class B> Tensor<T, B> sincos_3d(index_t d, index_t h, index_t w, index_t dim) {
  expect(dim % 6 == 0, "sincos", "embed_dim {}, expected a multiple of 6 for a spatial table", dim);
  const index_t third = dim / 3;
  const Shape each{1, d, h, w, third};
  return concat(
      std::vector<Tensor<T, B>>{
          sincos_1d<T, B>(w, third).reshape({1, 1, 1, w, third}).expand(each),
          sincos_1d<T, B>(h, third).reshape({1, 1, h, 1, third}).expand(each),
          sincos_1d<T, B>(d, third).reshape({1, d, 1, 1, third}).expand(each)},
      4);
}

/// Spatial table on another grid, trilinear with half-pixel centres. @param table (1, d, h, w, C)
template <class T, class B>
Tensor<T, B> resize_spatial(const Tensor<T, B>& table, index_t d, index_t h, index_t w) {
  if (table.dim(1) == d && table.dim(2) == h && table.dim(3) == w) return table;
  const index_t sizes[] = {d, h, w};
  return interpolate(table.permute({0, 4, 1, 2, 3}).contiguous(), std::span<const index_t>(sizes),
                     Interpolation::linear)
      .permute({0, 2, 3, 4, 1})
      .contiguous();
}

/// Scan table for n scans: its first n rows, or linear interpolation when there are more scans.
/// @param table (1, max, C)
template <class T, class B> Tensor<T, B> resize_sequential(const Tensor<T, B>& table, index_t n) {
  if (n <= table.dim(1)) return table.slice(1, 0, n);
  const index_t sizes[] = {n};
  return interpolate(table.permute({0, 2, 1}).contiguous(), std::span<const index_t>(sizes),
                     Interpolation::linear)
      .permute({0, 2, 1})
      .contiguous();
}

HLIP_END
