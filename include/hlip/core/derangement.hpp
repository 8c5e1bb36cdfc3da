// Everybody gets what was somebody else's: the control of pairs.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/core/random.hpp>

#include <numeric>
#include <utility>
#include <vector>

HLIP_BEGIN

/// A permutation of 0 to n - 1 that leaves nothing in its place: one cycle through all of them.
/// @return where i gets something from; the same for the same n and seed
/// @throws hlip::error when n is 1: there is nobody else
/// Source: Sattolo, "An algorithm to generate a random cyclic permutation", 1986.
HLIP_LAZY std::vector<std::size_t> derangement(std::size_t n, std::uint64_t seed) {
  expect(n != 1, "derangement", "there is one, expected two or more, or none");
  std::vector<std::size_t> from(n);
  std::iota(from.begin(), from.end(), std::size_t{0});
  RandomStream random({seed, 0xDE4Au, 0});
  for (std::size_t i = n; i-- > 1;)
    std::swap(from[i], from[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
  return from;
}

HLIP_END
