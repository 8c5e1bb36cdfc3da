// Scaled dot-product attention in which a token sees itself and what comes before it, with fewer
// heads of keys and values than of queries where they are shared. Scores are made for some queries
// at a time and made again on the way back: no (tokens × keys) matrix of all heads is ever stored.
// Source: Vaswani et al. 2017; Ainslie et al. 2023, "GQA".
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/matmul.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Queries, keys and values of a causal attention, and what is computed from some of its queries.
template <class T, class B> struct CausalAttention {
  index_t batch, heads, groups, tokens, keys, dim;  // groups: heads of keys and values
  T scale;
  Tensor<T, B> q, k, v;  // q (batch, groups, heads of a group, tokens, dim), k, v (batch, groups,
                         // keys, dim)
  std::vector<std::uint8_t> key_mask;  // (batch, keys), or empty

  CausalAttention(const Tensor<T, B>& queries, const Tensor<T, B>& ks, const Tensor<T, B>& vs,
                  const Tensor<std::uint8_t, B>& mask)
      : batch(queries.dim(0)),
        heads(queries.dim(1)),
        groups(ks.dim(1)),
        tokens(queries.dim(2)),
        keys(ks.dim(2)),
        dim(queries.dim(3)),
        scale(static_cast<T>(1 / std::sqrt(static_cast<double>(dim)))),
        q(queries.reshape({batch, groups, heads / groups, tokens, dim})),
        k(ks),
        v(vs) {
    if (mask.numel() > 0) key_mask = mask.to_vector();
  }
  /// Queries whose scores are made at a time: some sixteen megabytes of them.
  index_t queries_at_a_time() const {
    const index_t row = std::max<index_t>(1, batch * heads * keys);
    return std::clamp<index_t>((index_t{1} << 22) / row, 16, std::max<index_t>(16, tokens));
  }
  /// How many keys query number t sees.
  index_t seen_by(index_t t) const { return keys - tokens + t + 1; }

  /// Some queries of x, those of a group behind one another: (batch, groups, rows, dim).
  Tensor<T, B> rows_of(const Tensor<T, B>& x, index_t first, index_t last) const {
    return x.slice(3, first, last).reshape({batch, groups, heads / groups * (last - first), dim});
  }
  /// 0 where query first + i sees a key and a number below all scores where it does not:
  /// (batch or 1, 1, 1, last − first, keys that any of them sees).
  Tensor<T, B> hidden(index_t first, index_t last) const {
    const index_t n = key_mask.empty() ? 1 : batch, seen = seen_by(last - 1);
    std::vector<T> values;
    values.reserve(static_cast<std::size_t>(n * (last - first) * seen));
    for (index_t b = 0; b < n; ++b)
      for (index_t t = first; t < last; ++t)
        for (index_t j = 0; j < seen; ++j) {
          const bool masked = !key_mask.empty() &&
                              key_mask[static_cast<std::size_t>(b * keys + j)] == 0;
          values.push_back(j >= seen_by(t) || masked ? T(-1e30) : T(0));
        }
    return Tensor<T, B>::from_values({n, 1, 1, last - first, seen}, std::span<const T>(values));
  }
  /// Probabilities of the keys: (batch, groups, rows, keys that any of these queries sees).
  Tensor<T, B> probabilities(const Tensor<T, B>& some, index_t first, index_t last) const {
    const index_t seen = seen_by(last - 1);
    const Tensor<T, B> scores = matmul(some, k.slice(2, 0, seen).transpose(-1, -2));
    const Tensor<T, B> apart = scores.reshape({batch, groups, heads / groups, last - first, seen});
    // The last token of a text sees all of it: nothing is hidden while a text is continued
    if (last - first == 1 && key_mask.empty()) apart.assign(apart * scale);
    else apart.assign(apart * scale + hidden(first, last));
    const auto p = Tensor<T, B>::empty(scores.shape());
    softmax_forward(B{}, scores.data(), p.data(), scores.numel() / seen, seen);
    return p;
  }
  /// The tokens of heads in memory order (batch, tokens, heads · dim) as (batch, groups, heads of a
  /// group, tokens, dim).
  Tensor<T, B> by_heads(const Tensor<T, B>& rows) const {
    return rows.reshape({batch, tokens, groups, heads / groups, dim}).permute({0, 2, 3, 1, 4});
  }
  Tensor<T, B> forward() const {
    const auto y = Tensor<T, B>::empty({batch, tokens, heads * dim});
    const Tensor<T, B> to = by_heads(y);
    const index_t step = queries_at_a_time();
    for (index_t first = 0; first < tokens; first += step) {
      const index_t last = std::min(tokens, first + step);
      const Tensor<T, B> p = probabilities(rows_of(q, first, last), first, last);
      const Tensor<T, B> some = matmul(p, v.slice(2, 0, seen_by(last - 1)));
      to.slice(3, first, last)
          .assign(some.reshape({batch, groups, heads / groups, last - first, dim}));
    }
    return y;
  }
  /// Gradients of q, k and v, in their shapes, from that of the result.
  void backward(const Tensor<T, B>& dy, const Tensor<T, B>& dq, const Tensor<T, B>& dk,
                const Tensor<T, B>& dv) const {
    const Tensor<T, B> given = by_heads(dy.contiguous()), to = dq.reshape(q.shape());
    const index_t step = queries_at_a_time();
    for (index_t first = 0; first < tokens; first += step) {
      const index_t last = std::min(tokens, first + step), seen = seen_by(last - 1);
      const Tensor<T, B> some = rows_of(q, first, last), d = rows_of(given, first, last),
                         p = probabilities(some, first, last);
      const Tensor<T, B> dv_seen = dv.slice(2, 0, seen), dk_seen = dk.slice(2, 0, seen);
      dv_seen.assign(dv_seen + matmul(p.transpose(-1, -2), d));
      const Tensor<T, B> dp = matmul(d, v.slice(2, 0, seen).transpose(-1, -2));
      const auto ds = Tensor<T, B>::empty(p.shape());
      softmax_backward(B{}, p.data(), dp.data(), ds.data(), p.numel() / seen, seen);
      ds.assign(ds * scale);
      to.slice(3, first, last)
          .assign(matmul(ds, k.slice(2, 0, seen))
                      .reshape({batch, groups, heads / groups, last - first, dim}));
      dk_seen.assign(dk_seen + matmul(ds.transpose(-1, -2), some));
    }
  }
};

}  // namespace detail

/// Attention of the last tokens of a text: token t of `tokens` is token keys − tokens + t of the
/// text, and sees the keys up to that one. Head h of the queries reads head h / (heads / kv_heads)
/// of the keys and values.
///
/// @param q (batch, heads, tokens, head_dim)  @param k, v (batch, kv_heads, keys, head_dim), at
/// least as many keys as tokens
/// @param key_mask (batch, keys), 0 hides a key; empty for none. What a token gets of which every
/// key is hidden means nothing
/// @return (batch, tokens, heads · head_dim)
/// @throws hlip::error when shapes do not fit
template <class T, class B>
Var<T, B> causal_attention(const Var<T, B>& q, const Var<T, B>& k, const Var<T, B>& v,
                           const Tensor<std::uint8_t, B>& key_mask = {}) {
  expect_shape("causal_attention", "q", q.shape(),
               {{"batch"}, {"heads"}, {"tokens"}, {"head_dim"}});
  const index_t batch = q.dim(0), heads = q.dim(1), tokens = q.dim(2), dim = q.dim(3);
  expect_shape("causal_attention", "k", k.shape(),
               {{"batch", batch}, {"kv_heads"}, {"keys"}, {"head_dim", dim}});
  const index_t groups = k.dim(1), keys = k.dim(2);
  expect_shape("causal_attention", "v", v.shape(),
               {{"batch", batch}, {"kv_heads", groups}, {"keys", keys}, {"head_dim", dim}});
  expect(groups > 0 && heads % groups == 0, "causal_attention",
         "{} heads of queries do not divide into {} of keys", heads, groups);
  expect(keys >= tokens, "causal_attention", "{} keys for {} tokens", keys, tokens);
  if (key_mask.numel() > 0)
    expect_shape("causal_attention", "key_mask", key_mask.shape(),
                 {{"batch", batch}, {"keys", keys}});
  const detail::CausalAttention<T, B> a(q.value(), k.value(), v.value(), key_mask);
  return record("causal_attention", a.forward(), {q, k, v},
                [a](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  const auto dq = Tensor<T, B>::empty({a.batch, a.heads, a.tokens, a.dim}),
                             dk = Tensor<T, B>::zeros(a.k.shape()),
                             dv = Tensor<T, B>::zeros(a.k.shape());
                  a.backward(dy, dq, dk, dv);
                  grads.add(0, dq);
                  grads.add(1, dk);
                  grads.add(2, dv);
                });
}

HLIP_END
