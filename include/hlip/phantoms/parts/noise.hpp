// Random fields of the phantom: smooth ones for texture, warping and shading, white noise for the
// scanner.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Replaces the middle axis of (outer, n, inner) by `m` points that interpolate it linearly, first
/// and last point kept.
HLIP_LAZY std::vector<float> stretch_axis(const std::vector<float>& from, index_t outer, index_t n,
                                          index_t m, index_t inner) {
  std::vector<float> to(static_cast<std::size_t>(outer * m * inner));
  for (index_t o = 0; o < outer; ++o)
    for (index_t k = 0; k < m; ++k) {
      const float at = m > 1 ? static_cast<float>(k) * static_cast<float>(n - 1) /
                                   static_cast<float>(m - 1)
                             : 0.f;
      const index_t left = std::min(static_cast<index_t>(at), n - 2);
      const float w = at - static_cast<float>(left);
      const float* a = from.data() + (o * n + left) * inner;
      float* out = to.data() + (o * m + k) * inner;
      for (index_t x = 0; x < inner; ++x) out[x] = (1 - w) * a[x] + w * a[x + inner];
    }
  return to;
}

/// Standard normal values on a coarse grid of `cells` points, interpolated linearly to `size`; both
/// (z, y, x).
HLIP_LAZY std::vector<float> smooth_noise(RandomStream& random, std::array<index_t, 3> size,
                                          std::array<index_t, 3> cells) {
  std::vector<float> g(static_cast<std::size_t>(cells[0] * cells[1] * cells[2]));
  for (float& x : g) x = static_cast<float>(random.normal());
  // Rows first: the last and largest pass then runs along memory
  g = stretch_axis(g, cells[0] * cells[1], cells[2], size[2], 1);
  g = stretch_axis(g, cells[0], cells[1], size[1], size[2]);
  return stretch_axis(g, 1, cells[0], size[0], size[1] * size[2]);
}

/// 4096 equally likely values of unit variance that follow the normal distribution. Looking one up
/// is many times cheaper than Box-Muller, and the steps between them are far below the 1 HU a
/// volume is rounded to.
HLIP_LAZY const std::array<float, 4096>& normal_table() {
  static const std::array<float, 4096> table = [] {
    std::array<double, 2048> positive{};
    double z = 0, variance = 0;
    for (std::size_t k = 0; k < positive.size(); ++k) {
      const double tail = 0.5 - (static_cast<double>(k) + 0.5) / 4096;
      // Newton; from below it never overshoots, because the tail is convex
      for (int turn = 0; turn < 60; ++turn) {
        const double move = (0.5 * std::erfc(z * 0.70710678118654752) - tail) /
                            (0.3989422804014327 * std::exp(-0.5 * z * z));
        z += move;
        if (std::abs(move) < 1e-12) break;
      }
      positive[k] = z;
      variance += z * z / 2048;
    }
    std::array<float, 4096> t{};
    for (std::size_t k = 0; k < positive.size(); ++k) {
      t[2048 + k] = static_cast<float>(positive[k] / std::sqrt(variance));
      t[2047 - k] = -t[2048 + k];
    }
    return t;
  }();
  return table;
}

/// Adds white normal noise of standard deviation `sd` to every value; eight values come from one
/// block of random bits.
HLIP_LAZY void add_white_noise(std::vector<float>& v, const RandomKey& key, float sd) {
  const auto& table = normal_table();
  for (std::size_t i = 0; i < v.size(); i += 8) {
    const auto words = philox(key, i / 8);
    for (std::size_t k = 0; k < 8 && i + k < v.size(); ++k)
      v[i + k] += sd * table[(words[k / 2] >> (k % 2 ? 20 : 4)) & 4095u];
  }
}

}  // namespace detail

HLIP_END
