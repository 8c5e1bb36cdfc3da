// Scaled dot-product attention over token rows that lie in two spans: patch tokens, and the few prefix tokens of
// each sequence. Saves the log-sum-exp only; scores are recomputed on the way back.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

#include <cmath>

HLIP_BEGIN

/// Which rows of a (rows, C) matrix form the sequences: sequence r owns the prefix rows prefix_begin + [r·P, (r+1)·P)
/// and the patch rows patch_begin + [r·L, (r+1)·L).
struct TokenLayout {
  index_t sequences = 0;
  index_t prefix = 0;   ///< P, prefix tokens of one sequence
  index_t patches = 0;  ///< L, patch tokens of one sequence
  index_t prefix_begin = 0, patch_begin = 0;

  index_t tokens() const { return prefix + patches; }
  index_t rows() const { return sequences * tokens(); }
  /// Plain sequences of `tokens` rows each, without prefix.
  static TokenLayout plain(index_t sequences, index_t tokens) { return {sequences, 0, tokens, 0, 0}; }
};

/// Dropout on the probabilities, drawn from the key; none by default.
struct AttentionOptions {
  double dropout = 0;  ///< on the probabilities
  RandomKey dropout_key = {};
};

namespace detail {

template <class T>
TokenRows<T> token_rows(T* base, index_t stride, const TokenLayout& layout) {
  return {base + layout.prefix_begin * stride, base + layout.patch_begin * stride, stride};
}

/// @param q, k, v first element of their rows, which are `stride` apart  @param out (rows, dim)  @param lse (sequences, heads, tokens)
template <class T, class B>
AttentionArgs<T> attention_args(const TokenLayout& layout, index_t heads, index_t dim, const AttentionOptions& options, const Tensor<std::uint8_t, B>& key_mask, const T* q, const T* k, const T* v,
                                index_t stride, const Tensor<T, B>& out, const Tensor<T, B>& lse) {
  expect(heads > 0 && dim % heads == 0, "attention", "width {} does not divide into {} heads", dim, heads);
  expect(key_mask.numel() == 0 || key_mask.numel() == layout.rows(), "attention", "key mask is {}, expected (sequences = {}, tokens = {})", to_string(key_mask.shape()),
         layout.sequences, layout.tokens());
  AttentionArgs<T> a;
  a.sequences = layout.sequences, a.prefix = layout.prefix, a.patches = layout.patches;
  a.heads = heads, a.head_dim = dim / heads;
  a.scale = static_cast<T>(1.0 / std::sqrt(static_cast<double>(dim / heads)));
  a.key_mask = key_mask.numel() > 0 ? key_mask.data() : nullptr;
  a.dropout = options.dropout, a.dropout_key = options.dropout_key;
  a.q = token_rows(q, stride, layout), a.k = token_rows(k, stride, layout), a.v = token_rows(v, stride, layout);
  a.out = token_rows(out.data(), dim, layout);
  a.lse = lse.data();
  return a;
}

/// The node of an attention whose result is kept as `kept_y`; where that is a rounded copy, those who need the result again take
/// it from there.
template <class T, class B, class Pull>
Var<T, B> record_attention(const Tensor<T, B>& y, const std::vector<Var<T, B>>& inputs, const Kept<T, B>& kept_y, Pull pull) {
  if (!kept_y.rounded()) return record("attention", y, inputs, std::move(pull));
  return record("attention", y, inputs, std::move(pull), false, [kept_y](index_t first, index_t last) { return kept_y.rows(first, last); });
}

}  // namespace detail

/// Attention of packed queries, keys and values, as qkv = Linear(C → 3C) makes them.
///
/// @param qkv (rows, 3C): q, k, v blocks, heads inside each  @param layout which rows form sequences
/// @param key_mask (sequences, tokens), 0 hides a key; empty for none  @return (rows, C)
/// Source: reference document HLIP §1.5; streaming softmax after Dao et al. 2022.
template <class T, class B>
Var<T, B> attention(const Var<T, B>& qkv, const TokenLayout& layout, index_t heads, const Tensor<std::uint8_t, B>& key_mask = {}, const AttentionOptions& options = {}) {
  const index_t dim = qkv.dim(-1) / 3;
  expect_shape("attention", "qkv", qkv.shape(), {{"rows", layout.rows()}, {"3·dim", 3 * dim}});
  const Tensor<T, B> input = qkv.value().contiguous();
  const Tensor<std::uint8_t, B> keys = key_mask.contiguous();
  const auto y = Tensor<T, B>::empty({layout.rows(), dim});
  const auto lse = Tensor<T, B>::empty({layout.sequences, heads, layout.tokens()});
  const auto args_of = [=](const Tensor<T, B>& in, const Tensor<T, B>& out) {
    const T* first = in.data();
    return detail::attention_args<T>(layout, heads, dim, options, keys, first, first + dim, first + 2 * dim, 3 * dim, out, lse);
  };
  attention_forward(B{}, args_of(input, y));
  if (!is_recorded<T, B>({&qkv})) return Var<T, B>(y);
  const Kept<T, B> kept(input), kept_y(y);
  return detail::record_attention(y, {qkv}, kept_y, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    const Tensor<T, B> in = kept.value(), out = kept_y.value();
    const auto d = Tensor<T, B>::empty(in.shape());
    AttentionGradArgs<T> g;
    g.forward = args_of(in, out);
    g.d_out = detail::token_rows(static_cast<const T*>(dy.data()), dim, layout);
    g.dq = detail::token_rows(d.data(), 3 * dim, layout);
    g.dk = detail::token_rows(d.data() + dim, 3 * dim, layout);
    g.dv = detail::token_rows(d.data() + 2 * dim, 3 * dim, layout);
    attention_backward(B{}, g);
    grads.add(0, d);
  });
}

/// Attention of separate queries, keys and values, each (rows, C).
template <class T, class B>
Var<T, B> attention(const Var<T, B>& q, const Var<T, B>& k, const Var<T, B>& v, const TokenLayout& layout, index_t heads, const Tensor<std::uint8_t, B>& key_mask = {},
                    const AttentionOptions& options = {}) {
  const index_t dim = q.dim(-1);
  for (const auto* x : {&q, &k, &v}) expect_shape("attention", "q, k, v", x->shape(), {{"rows", layout.rows()}, {"dim", dim}});
  const Tensor<T, B> qt = q.value().contiguous(), kt = k.value().contiguous(), vt = v.value().contiguous();
  const Tensor<std::uint8_t, B> keys = key_mask.contiguous();
  const auto y = Tensor<T, B>::empty({layout.rows(), dim});
  const auto lse = Tensor<T, B>::empty({layout.sequences, heads, layout.tokens()});
  const auto args_of = [=](const Tensor<T, B>& qs, const Tensor<T, B>& ks, const Tensor<T, B>& vs, const Tensor<T, B>& out) {
    return detail::attention_args<T>(layout, heads, dim, options, keys, qs.data(), ks.data(), vs.data(), dim, out, lse);
  };
  attention_forward(B{}, args_of(qt, kt, vt, y));
  if (!is_recorded<T, B>({&q, &k, &v})) return Var<T, B>(y);
  const Kept<T, B> kept_q(qt), kept_k(kt), kept_v(vt), kept_y(y);
  return detail::record_attention(y, {q, k, v}, kept_y, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    const Tensor<T, B> qs = kept_q.value(), ks = kept_k.value(), vs = kept_v.value(), out = kept_y.value();
    const auto dq = Tensor<T, B>::empty(qs.shape()), dk = Tensor<T, B>::empty(ks.shape()), dv = Tensor<T, B>::empty(vs.shape());
    AttentionGradArgs<T> g;
    g.forward = args_of(qs, ks, vs, out);
    g.d_out = detail::token_rows(static_cast<const T*>(dy.data()), dim, layout);
    g.dq = detail::token_rows(dq.data(), dim, layout);
    g.dk = detail::token_rows(dk.data(), dim, layout);
    g.dv = detail::token_rows(dv.data(), dim, layout);
    attention_backward(B{}, g);
    grads.add(0, dq);
    grads.add(1, dk);
    grads.add(2, dv);
  });
}

HLIP_END
