// Multi-head self-attention at any nesting level. One set of weights, one kernel; the level only
// decides which rows form a sequence.
#pragma once

#include <hlip/nn/hierarchy.hpp>
#include <hlip/nn/linear.hpp>

HLIP_BEGIN

/// Self-attention within the groups of the level its tokens are at.
template <int Levels, class T = float, class B = Cpu> struct HierarchicalAttention {
  using value_type = T;
  using backend = B;
  Linear<T, B> qkv, proj;
  index_t num_heads = 1;

  HierarchicalAttention() = default;
  HierarchicalAttention(index_t dim, index_t heads, double std, Initializer& init)
      : qkv(dim, 3 * dim, true, std, init), proj(dim, dim, true, std, init), num_heads(heads) {
    expect(heads > 0 && dim % heads == 0, "attention", "embed_dim {} does not divide into {} heads",
           dim, heads);
  }
  template <class V> void visit(V&& v) {
    v("qkv", qkv);
    v("proj", proj);
  }

  /// Every token attends to the tokens of its own group at `tokens.level`.
  /// @param normed (rows, C), the tokens after normalisation  @param tokens layout and level
  /// @param options of the projection
  Var<T, B> operator()(const Var<T, B>& normed, const Tokens<Levels, T, B>& tokens,
                       const LinearOptions<T, B>& options = {}) const {
    return (*this)(normed, tokens.layout(), options);
  }
  /// The same for sequences that are known by their layouts.
  Var<T, B> operator()(const Var<T, B>& normed, const TokenLayouts& layouts,
                       const LinearOptions<T, B>& options = {}) const {
    Var<T, B> packed;
    {
      ModuleScope at("qkv");
      packed = qkv(normed, {.result = ResultFor::products});
    }
    const Var<T, B> mixed = attention(packed, layouts, num_heads);
    // the widest tensor of this half: not beside the next product, unless the way back keeps it
    packed = {};
    ModuleScope at("proj");
    return proj(mixed, options);
  }
};

HLIP_END
