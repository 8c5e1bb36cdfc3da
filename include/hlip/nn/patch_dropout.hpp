// Patch dropout: training on a random part of the patch tokens of every sequence.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

HLIP_BEGIN

/// Which patch tokens each row keeps: the first max(1, ⌊L·(1−rate)⌋) of the order that sorts normal
/// noise.
/// @return (rows, kept), indices within the row. Source: reference document HLIP §1.6.
template <class B>
Tensor<std::int64_t, B> patch_dropout_indices(index_t rows, index_t patches, double rate,
                                              const RandomKey& key) {
  expect(rate >= 0 && rate < 1, "patch_dropout", "rate {}, expected 0 <= rate < 1", rate);
  const index_t keep = std::max<index_t>(
      1, static_cast<index_t>(std::floor(static_cast<double>(patches) * (1 - rate))));
  std::vector<std::int64_t> kept;
  std::vector<std::int64_t> order(static_cast<std::size_t>(patches));
  std::vector<double> noise(order.size());
  for (index_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < noise.size(); ++i)
      noise[i] = normal_at(key, static_cast<std::uint64_t>(r * patches) + i);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) {
      return noise[static_cast<std::size_t>(a)] < noise[static_cast<std::size_t>(b)];
    });
    kept.insert(kept.end(), order.begin(), order.begin() + keep);
  }
  return Tensor<std::int64_t, B>::from_values({rows, keep}, std::span<const std::int64_t>(kept));
}

HLIP_END
