// Contrastive gradients of a batch that does not fit at once: features of all parts first, then one
// part at a time with its graph. Source: reference document HLIP §5 (--accum-freq); Gao et al.
// 2021, "Scaling deep contrastive learning batch size under memory limited setup".
#pragma once

#include <hlip/autograd/functions/shape.hpp>

#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Features of one batch (or micro-batch, or all of them), each (studies·targets, E) of length 1.
template <class T, class B> struct PairFeatures {
  Var<T, B> image, text;
  index_t targets = 1;  ///< pairs of a study, in rows one after the other: see mean_over_targets

  /// What accumulate_gradients puts together from all micro-batches.
  std::vector<Var<T, B>*> rows() { return {&image, &text}; }
};

enum class AccumulationPass {
  cache,     ///< features only, no graph
  gradient,  ///< with graph
};

namespace detail {
struct NothingAfterwards {
  void operator()(index_t) const {}
};
}  // namespace detail

/// Adds the gradients of one optimiser step to the parameters. The loss always sees all
/// micro-batches; in pass j only the features of micro-batch j carry gradient, so the towers
/// receive one full-loss gradient per micro-batch and every scalar in the loss `n` of them: the
/// losses of the passes add up, without division, as in the reference. One micro-batch is an
/// ordinary forward and backward.
///
/// @param n       micro-batches
/// @param encode  called as encode(j, AccumulationPass) -> features with rows(), such as
/// PairFeatures, first for every j without graph, then again for every j with it; both
///                calls for one j should make the same random draws
/// @param loss    called as loss(const features& all) -> Var, one element
/// @param after   called as after(j) when the gradient of pass j is there and its graph is gone
/// @return the loss of every gradient pass, tensors of one element: nothing is read here, so a
/// device is not waited for
template <class Encode, class Loss, class After = detail::NothingAfterwards>
auto accumulate_gradients(index_t n, Encode&& encode, Loss&& loss, After&& after = {}) {
  using Features = std::decay_t<decltype(encode(index_t{}, AccumulationPass::cache))>;
  using Rows = std::decay_t<decltype(*std::declval<Features&>().rows()[0])>;
  expect(n >= 1, "accumulate_gradients", "{} micro-batches, expected at least 1", n);
  std::vector<std::vector<Rows>> cached;  // of every micro-batch
  if (n > 1) {
    NoGrad guard;
    for (index_t j = 0; j < n; ++j) {
      Features part = encode(j, AccumulationPass::cache);
      cached.emplace_back();
      for (const Rows* rows : part.rows()) cached.back().push_back(*rows);
    }
  }
  std::vector<std::decay_t<decltype(std::declval<const Rows&>().value())>> losses;
  for (index_t j = 0; j < n; ++j) {
    {
      Features all = encode(j, AccumulationPass::gradient);
      const auto rows = all.rows();
      for (std::size_t k = 0; n > 1 && k < rows.size(); ++k) {
        std::vector<Rows> parts;
        for (index_t i = 0; i < n; ++i)
          parts.push_back(i == j ? *rows[k] : cached[static_cast<std::size_t>(i)][k]);
        *rows[k] = concat(parts, 0);
      }
      const auto value = loss(static_cast<const Features&>(all));
      losses.push_back(value.value());
      value.backward();
    }
    after(j);
  }
  return losses;
}

HLIP_END
