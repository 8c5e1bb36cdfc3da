// Scaled dot-product attention over token rows that lie in two spans: patch tokens, and the few
// prefix tokens of each sequence. Sequences of several lengths lie packed behind one another, a
// layout for each length. Saves the log-sum-exp only; scores are recomputed on the way back.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/tensor/check.hpp>

#include <cmath>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Which rows of a (rows, C) matrix form the sequences: sequence r owns the prefix rows
/// prefix_begin + [r·P, (r+1)·P) and the patch rows patch_begin + [r·L, (r+1)·L).
struct TokenLayout {
  index_t sequences = 0;
  index_t prefix = 0;   ///< P, prefix tokens of one sequence
  index_t patches = 0;  ///< L, patch tokens of one sequence
  index_t prefix_begin = 0, patch_begin = 0;

  index_t tokens() const { return prefix + patches; }
  index_t rows() const { return sequences * tokens(); }
  /// Plain sequences of `tokens` rows each, without prefix, from row `begin` on.
  static TokenLayout plain(index_t sequences, index_t tokens, index_t begin = 0) {
    return {sequences, 0, tokens, 0, begin};
  }
};

/// The sequences of one matrix: of one length, or of several, each with its own layout.
class TokenLayouts {
 public:
  TokenLayouts(const TokenLayout& layout) : layouts_{layout} {}
  explicit TokenLayouts(std::vector<TokenLayout> layouts) : layouts_(std::move(layouts)) {}

  std::size_t size() const { return layouts_.size(); }
  const TokenLayout& operator[](std::size_t i) const { return layouts_[i]; }
  auto begin() const { return layouts_.begin(); }
  auto end() const { return layouts_.end(); }
  /// Rows that the sequences have together.
  index_t rows() const {
    index_t rows = 0;
    for (const TokenLayout& layout : layouts_) rows += layout.rows();
    return rows;
  }

 private:
  std::vector<TokenLayout> layouts_;
};

/// Dropout on the probabilities, drawn from the key; none by default.
struct AttentionOptions {
  double dropout = 0;  ///< on the probabilities
  RandomKey dropout_key = {};
};

namespace detail {

template <class S> TokenRows<S> token_rows(S* base, index_t stride, const TokenLayout& layout) {
  return {base + layout.prefix_begin * stride, base + layout.patch_begin * stride, stride};
}

/// Attention of given queries, keys and values, which lie in memory as S, and what its pull-back
/// needs.
template <class T, class B, class S> struct SavedAttention {
  TokenLayouts layouts;
  index_t heads = 0, dim = 0;
  AttentionOptions options;
  Tensor<std::uint8_t, B> key_mask;  ///< or empty
  std::vector<Tensor<T, B>> lse;     ///< of each layout: (sequences, heads, tokens)

  SavedAttention(const TokenLayouts& which, index_t count, index_t width, const AttentionOptions& o,
                 const Tensor<std::uint8_t, B>& mask)
      : layouts(which), heads(count), dim(width), options(o), key_mask(mask.contiguous()) {
    expect(heads > 0 && dim % heads == 0, "attention", "width {} does not divide into {} heads",
           dim, heads);
    expect(layouts.size() == 1 || (key_mask.numel() == 0 && options.dropout == 0), "attention",
           "a key mask or dropout for sequences of {} lengths, expected of one", layouts.size());
    expect(key_mask.numel() == 0 || key_mask.numel() == rows(), "attention",
           "key mask is {}, expected (sequences = {}, tokens = {})", to_string(key_mask.shape()),
           layouts[0].sequences, layouts[0].tokens());
    for (const TokenLayout& layout : layouts)
      lse.push_back(Tensor<T, B>::empty({layout.sequences, heads, layout.tokens()}));
  }
  index_t rows() const { return layouts.rows(); }
  /// @param q, k, v first element of their rows, which are `stride` apart  @param out (rows, dim)
  void forward(const S* q, const S* k, const S* v, index_t stride, const Tensor<S, B>& out) const {
    for (std::size_t i = 0; i < layouts.size(); ++i)
      attention_forward(B{}, args(i, q, k, v, stride, out));
  }
  /// dq, dk, dv, whose rows are `stride` apart as those of q, k and v are
  void pull(const S* q, const S* k, const S* v, const Tensor<S, B>& out, const Tensor<S, B>& dy,
            S* dq, S* dk, S* dv, index_t stride) const {
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      const TokenLayout& layout = layouts[i];
      AttentionGradArgs<T, S> g;
      g.forward = args(i, q, k, v, stride, out);
      g.d_out = token_rows(static_cast<const S*>(dy.data()), dim, layout);
      g.dq = token_rows(dq, stride, layout), g.dk = token_rows(dk, stride, layout),
      g.dv = token_rows(dv, stride, layout);
      attention_backward(B{}, g);
    }
  }
  /// What is kept of q, k, v or the result: what lies in 16 bits already, as it is.
  static Kept<T, B> keep(const Tensor<S, B>& x) {
    if constexpr (std::is_same_v<S, T>) return Kept<T, B>::for_products(x);
    else return x;
  }
  /// The node of an attention whose result is kept as `kept_y`; where that is a rounded copy, those
  /// who need the result again take it from there.
  template <class Pull>
  static Var<T, B> record(const Tensor<S, B>& y, const std::vector<Var<T, B>>& inputs,
                          const Kept<T, B>& kept_y, Pull pull) {
    if (!std::is_same_v<S, T> || !kept_y.rounded())
      return record_value("attention", y, inputs, std::move(pull));
    return record_value("attention", y, inputs, std::move(pull), false,
                        [kept_y](index_t first, index_t last) { return kept_y.rows(first, last); });
  }

 private:
  AttentionArgs<T, S> args(std::size_t i, const S* q, const S* k, const S* v, index_t stride,
                           const Tensor<S, B>& out) const {
    const TokenLayout& layout = layouts[i];
    AttentionArgs<T, S> a;
    a.sequences = layout.sequences, a.prefix = layout.prefix, a.patches = layout.patches;
    a.heads = heads, a.head_dim = dim / heads;
    a.scale = static_cast<T>(1.0 / std::sqrt(static_cast<double>(dim / heads)));
    a.key_mask = key_mask.numel() > 0 ? key_mask.data() : nullptr;
    a.dropout = options.dropout, a.dropout_key = options.dropout_key;
    a.q = token_rows(q, stride, layout), a.k = token_rows(k, stride, layout),
    a.v = token_rows(v, stride, layout);
    a.out = token_rows(out.data(), dim, layout);
    a.lse = lse[i].data();
    return a;
  }
};

template <class S, class T, class B>
Var<T, B> attention_as(const Var<T, B>& qkv, const SavedAttention<T, B, S>& saved) {
  const index_t dim = saved.dim;
  const Tensor<S, B> input = qkv.template as<S>().contiguous(),
                     y = Tensor<S, B>::empty({saved.rows(), dim});
  const S* first = input.data();
  saved.forward(first, first + dim, first + 2 * dim, 3 * dim, y);
  if (!is_recorded<T, B>({&qkv})) return Var<T, B>(y, std::shared_ptr<Node<T, B>>());
  const Kept<T, B> kept = saved.keep(input), kept_y = saved.keep(y);
  return saved.record(y, {qkv}, kept_y, [=](const auto& dy, InputGrads<T, B>& grads) {
    const Tensor<S, B> in = kept.template as<S>(), out = kept_y.template as<S>(),
                       d = Tensor<S, B>::empty(in.shape());
    const S* q = in.data();
    saved.pull(q, q + dim, q + 2 * dim, out, stored_as<S>(dy), d.data(), d.data() + dim,
               d.data() + 2 * dim, 3 * dim);
    grads.add(0, d);
  });
}

template <class S, class T, class B>
Var<T, B> attention_as(const Var<T, B>& q, const Var<T, B>& k, const Var<T, B>& v,
                       const SavedAttention<T, B, S>& saved) {
  const index_t dim = saved.dim;
  const Tensor<S, B> qt = q.template as<S>().contiguous(), kt = k.template as<S>().contiguous(),
                     vt = v.template as<S>().contiguous(),
                     y = Tensor<S, B>::empty({saved.rows(), dim});
  saved.forward(qt.data(), kt.data(), vt.data(), dim, y);
  if (!is_recorded<T, B>({&q, &k, &v})) return Var<T, B>(y, std::shared_ptr<Node<T, B>>());
  const Kept<T, B> kept_q = saved.keep(qt), kept_k = saved.keep(kt), kept_v = saved.keep(vt),
                   kept_y = saved.keep(y);
  return saved.record(y, {q, k, v}, kept_y, [=](const auto& dy, InputGrads<T, B>& grads) {
    const Tensor<S, B> qs = kept_q.template as<S>(), ks = kept_k.template as<S>(),
                       vs = kept_v.template as<S>(), out = kept_y.template as<S>();
    const auto dq = Tensor<S, B>::empty(qs.shape()), dk = Tensor<S, B>::empty(ks.shape()),
               dv = Tensor<S, B>::empty(vs.shape());
    saved.pull(qs.data(), ks.data(), vs.data(), out, stored_as<S>(dy), dq.data(), dk.data(),
               dv.data(), dim);
    grads.add(0, dq);
    grads.add(1, dk);
    grads.add(2, dv);
  });
}

}  // namespace detail

/// Attention of packed queries, keys and values, as qkv = Linear(C → 3C) makes them. Where they are
/// stored() in bfloat16, so is the result.
///
/// @param qkv (rows, 3C): q, k, v blocks, heads inside each  @param layouts which rows form
/// sequences: every row belongs to one
/// @param key_mask (sequences, tokens), 0 hides a key; empty for none, and only with one layout
/// @return (rows, C)
/// Source: reference document HLIP §1.5; streaming softmax after Dao et al. 2022.
template <class T, class B>
Var<T, B> attention(const Var<T, B>& qkv, const TokenLayouts& layouts, index_t heads,
                    const Tensor<std::uint8_t, B>& key_mask = {},
                    const AttentionOptions& options = {}) {
  const index_t dim = qkv.dim(-1) / 3;
  expect_shape("attention", "qkv", qkv.shape(), {{"rows", layouts.rows()}, {"3·dim", 3 * dim}});
  if constexpr (may_store_bfloat16<T, B>)
    if (qkv.stored())
      return detail::attention_as(
          qkv, detail::SavedAttention<T, B, bfloat16>(layouts, heads, dim, options, key_mask));
  return detail::attention_as(
      qkv, detail::SavedAttention<T, B, T>(layouts, heads, dim, options, key_mask));
}

/// Attention of separate queries, keys and values, each (rows, C).
template <class T, class B>
Var<T, B> attention(const Var<T, B>& q, const Var<T, B>& k, const Var<T, B>& v,
                    const TokenLayouts& layouts, index_t heads,
                    const Tensor<std::uint8_t, B>& key_mask = {},
                    const AttentionOptions& options = {}) {
  const index_t dim = q.dim(-1), rows = layouts.rows();
  for (const auto* x : {&q, &k, &v})
    expect_shape("attention", "q, k, v", x->shape(), {{"rows", rows}, {"dim", dim}});
  if constexpr (may_store_bfloat16<T, B>)
    if (q.stored() && k.stored() && v.stored())
      return detail::attention_as(
          q, k, v, detail::SavedAttention<T, B, bfloat16>(layouts, heads, dim, options, key_mask));
  return detail::attention_as(
      q, k, v, detail::SavedAttention<T, B, T>(layouts, heads, dim, options, key_mask));
}

HLIP_END
