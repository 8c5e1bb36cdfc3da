// Stochastic depth by subsets: the branch is computed for some sequences only, which saves what the
// others would cost. Source: reference document RAD-DINO §2; Oquab et al. 2023 (DINOv2), §5.
#pragma once

#include <hlip/autograd/functions/attention.hpp>
#include <hlip/autograd/functions/index.hpp>
#include <hlip/core/random.hpp>

#include <numeric>

HLIP_BEGIN

/// How a residual branch is dropped in training.
enum class DropPath {
  by_sequence,  ///< each sequence with the rate's probability, others scaled by 1/(1−rate)
  /// of every layout a random subset of max(1, ⌊n·(1−rate)⌋) of its n sequences is computed, and
  /// scaled by n over their number
  by_subset,
};

/// Which sequences take part, and where their rows lie.
template <class T, class B> struct SequenceSubset {
  Tensor<std::int64_t, B> rows;  ///< (n), of the whole matrix
  Tensor<T, B> factor;           ///< (n, 1)
  TokenLayouts layouts;          ///< of the rows when they are alone
};

/// Draws the subset, every layout from a stream of its own.
template <class T, class B>
SequenceSubset<T, B> draw_subset(const TokenLayouts& layouts, double rate, const RandomKey& key) {
  expect(rate >= 0 && rate < 1, "drop_path", "rate {}, expected 0 <= rate < 1", rate);
  std::vector<std::int64_t> rows;
  std::vector<T> factor;
  std::vector<TokenLayout> alone;
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    const TokenLayout& l = layouts[i];
    std::vector<index_t> order(static_cast<std::size_t>(l.sequences));
    std::iota(order.begin(), order.end(), index_t{0});
    const auto child = static_cast<std::uint32_t>(i + 1);
    RandomStream(key.with_stream(key.stream * 1000003u + child)).shuffle(order);
    const auto kept = std::max<index_t>(
        1, static_cast<index_t>(static_cast<double>(l.sequences) * (1 - rate)));
    order.resize(static_cast<std::size_t>(std::min(kept, l.sequences)));
    const auto begin = static_cast<index_t>(rows.size()), n = static_cast<index_t>(order.size());
    for (const index_t s : order)
      for (index_t p = 0; p < l.prefix; ++p) rows.push_back(l.prefix_begin + s * l.prefix + p);
    for (const index_t s : order)
      for (index_t p = 0; p < l.patches; ++p) rows.push_back(l.patch_begin + s * l.patches + p);
    alone.push_back({n, l.prefix, l.patches, begin, begin + n * l.prefix});
    factor.resize(rows.size(),
                  static_cast<T>(static_cast<double>(l.sequences) / static_cast<double>(n)));
  }
  const auto n = static_cast<index_t>(rows.size());
  return {Tensor<std::int64_t, B>::from_values({n}, std::span<const std::int64_t>(rows)),
          Tensor<T, B>::from_values({n, 1}, std::span<const T>(factor)),
          TokenLayouts(std::move(alone))};
}

/// x + branch(rows of a random subset of the sequences), scaled; the other rows stay as they are.
/// @param x (rows, C)  @param out memory for the result
/// @param branch called as branch(rows of x, their layouts) -> Var
template <class T, class B, class Branch>
Var<T, B> add_branch_of_subset(const Var<T, B>& x, const TokenLayouts& layouts, double rate,
                               const RandomKey& key, const Tensor<T, B>& out, Branch branch) {
  const SequenceSubset<T, B> subset = draw_subset<T, B>(layouts, rate, key);
  return add_to_rows(x, subset.rows, branch(index_select(x, subset.rows), subset.layouts),
                     subset.factor, out);
}

HLIP_END
