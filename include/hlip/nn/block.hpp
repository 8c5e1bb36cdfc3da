// The transformer block: x ← x + Attn(LN(x)); x ← x + MLP(LN(x)), each branch under drop path.
#pragma once

#include <hlip/autograd/functions/drop_path.hpp>
#include <hlip/nn/hierarchical_attention.hpp>
#include <hlip/nn/layer_norm.hpp>
#include <hlip/nn/mlp.hpp>

HLIP_BEGIN

/// Pre-norm transformer block at any nesting level.
template <int Levels, class T = float, class B = Cpu> struct Block {
  using value_type = T;
  using backend = B;
  LayerNorm<T, B> norm1, norm2;
  HierarchicalAttention<Levels, T, B> attn;
  Mlp<T, B> mlp;
  double drop_path = 0;

  Block() = default;
  Block(index_t dim, index_t heads, double mlp_ratio, double drop_path_rate, double std,
        Initializer& init)
      : norm1(dim, 1e-6),
        norm2(dim, 1e-6),
        attn(dim, heads, std, init),
        mlp(dim, static_cast<index_t>(static_cast<double>(dim) * mlp_ratio), std, init),
        drop_path(drop_path_rate) {}
  template <class V> void visit(V&& v) {
    v("norm1", norm1);
    v("attn", attn);
    v("norm2", norm2);
    v("mlp", mlp);
  }

  /// @param tokens at the level this block works on  @return the same layout
  Tokens<Levels, T, B> operator()(Tokens<Levels, T, B> tokens, const Context& context) const {
    tokens.x = residual(
        "attn", norm1, tokens, context.child(0), false,
        [&](const Var<T, B>& y, const LinearOptions<T, B>& o) { return attn(y, tokens, o); });
    tokens.x = residual(
        "mlp", norm2, tokens, context.child(1), true,
        [&](const Var<T, B>& y, const LinearOptions<T, B>& o) { return mlp(y, o); });
    tokens.free_rows = tokens.hierarchy.room();
    return tokens;
  }

 private:
  /// x + branch(norm(x)). The last result of a block gets room for the prefix rows of another
  /// level.
  template <class Branch>
  Var<T, B> residual(std::string_view name, const LayerNorm<T, B>& norm,
                     const Tokens<Levels, T, B>& tokens, const Context& context, bool last,
                     Branch branch) const {
    ModuleScope at(name);
    const Var<T, B> normed = norm(tokens.x, ResultFor::products);
    const Tensor<T, B> out = last ? tokens.empty_like(tokens.x.dim(-1))
                                  : Tensor<T, B>::empty(tokens.x.shape());
    if (!context.training || drop_path == 0)
      return branch(normed, LinearOptions<T, B>{Activation::none, tokens.x, out});
    return drop_path_add(tokens.x, branch(normed, {.result = ResultFor::branch}), drop_path,
                         tokens.layout(), context.key, out);
  }
};

HLIP_END
