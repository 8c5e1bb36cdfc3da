// Stochastic depth: a residual branch is left out for whole sequences at a time.
#pragma once

#include <hlip/autograd/functions/attention.hpp>
#include <hlip/autograd/fused.hpp>
#include <hlip/core/random.hpp>

HLIP_BEGIN

/// x + branch, where the branch of each sequence of `layouts` is dropped with probability `rate`
/// and scaled by 1/(1−rate) otherwise; draw number r of `key` decides sequence r of all. Without
/// dropping, plain x + branch.
///
/// @param x, branch (rows, C)  @param out memory for the result
template <class T, class B>
Var<T, B> drop_path_add(const Var<T, B>& x, const Var<T, B>& branch, double rate,
                        const TokenLayouts& layouts, const RandomKey& key,
                        const Tensor<T, B>& out) {
  expect(rate >= 0 && rate < 1, "drop_path", "rate {}, expected 0 <= rate < 1", rate);
  const auto factor = Tensor<T, B>::empty({layouts.rows(), 1});
  T* f = factor.data();
  index_t before = 0;  // sequences of earlier layouts
  for (const TokenLayout& layout : layouts) {
    for_each_index(B{}, layout.rows(), [=] HLIP_LAMBDA(index_t i) {
      const index_t prefixes = layout.sequences * layout.prefix;
      const bool in_prefix = i < prefixes;
      const index_t row = in_prefix ? layout.prefix_begin + i : layout.patch_begin + i - prefixes;
      const index_t sequence = before +
                               (in_prefix ? i / layout.prefix : (i - prefixes) / layout.patches);
      f[row] = uniform_at(key, static_cast<std::uint64_t>(sequence)) < rate
                   ? T(0)
                   : static_cast<T>(1.0 / (1.0 - rate));
    });
    before += layout.sequences;
  }
  if constexpr (may_store_bfloat16<T, B>) {
    if (branch.stored()) out.assign(x.value() + branch.template as<bfloat16>() * factor);
    else out.assign(x.value() + branch.value() * factor);
  } else {
    out.assign(x.value() + branch.value() * factor);
  }
  // Recorded by hand: an elementwise statement would keep x and the branch, of which the way back
  // needs nothing.
  return record("drop_path", out, {x, branch},
                [factor](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, dy);
                  if (!grads.wants(1)) return;
                  if constexpr (may_store_bfloat16<T, B>)
                    if (grads.takes_half(1)) return grads.add(1, Tensor<bfloat16, B>(dy * factor));
                  grads.add(1, Tensor<T, B>(dy * factor));
                });
}

HLIP_END
