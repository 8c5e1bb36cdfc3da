// Multi-head self-attention with separate query, key and value layers, over plain padded sequences
// (text).
#pragma once

#include <hlip/autograd/functions/attention.hpp>
#include <hlip/nn/lora.hpp>

HLIP_BEGIN

/// Self-attention with the separate projections of BERT.
template <class T = float, class B = Cpu> struct MultiheadAttention {
  using value_type = T;
  using backend = B;
  LoraLinear<T, B> query;
  Linear<T, B> key;
  LoraLinear<T, B> value;
  index_t num_heads = 1;

  MultiheadAttention() = default;
  MultiheadAttention(index_t dim, index_t heads, double std, Initializer& init)
      : query(dim, dim, true, std, init),
        key(dim, dim, true, std, init),
        value(dim, dim, true, std, init),
        num_heads(heads) {}
  template <class V> void visit(V&& v) {
    v("query", query);
    v("key", key);
    v("value", value);
  }
  /// @param x (N·L, C)  @param key_mask (N, L), 0 hides  @param dropout on the probabilities
  /// @return (N·L, C)
  Var<T, B> operator()(const Var<T, B>& x, const TokenLayout& layout,
                       const Tensor<std::uint8_t, B>& key_mask,
                       const AttentionOptions& options = {}) const {
    constexpr ResultFor products = ResultFor::products;
    return attention(query(x, products), this->key(x, {.result = products}), value(x, products),
                     layout, num_heads, key_mask, options);
  }
};

HLIP_END
