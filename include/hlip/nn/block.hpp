// The transformer block: x ← x + Attn(LN(x)); x ← x + MLP(LN(x)), each branch with LayerScale where
// the model has it and under stochastic depth.
#pragma once

#include <hlip/autograd/functions/drop_path.hpp>
#include <hlip/nn/hierarchical_attention.hpp>
#include <hlip/nn/layer_norm.hpp>
#include <hlip/nn/layer_scale.hpp>
#include <hlip/nn/mlp.hpp>
#include <hlip/nn/stochastic_depth.hpp>
#include <hlip/nn/swiglu.hpp>

HLIP_BEGIN

/// The feed-forward part of a block.
enum class FeedForward { mlp, swiglu };

struct BlockOptions {
  double mlp_ratio = 4.0;  ///< hidden width over width
  FeedForward ffn = FeedForward::mlp;
  double layer_scale = 0;  ///< initial value, 0: none
  double drop_path = 0;    ///< rate of stochastic depth
  DropPath drop_path_form = DropPath::by_sequence;
  double init_std = 0.02;  ///< of the linear layers
};

/// Sequences of one length or of several, packed into one (rows, C) matrix.
template <class T, class B> struct PackedTokens {
  Var<T, B> x;
  TokenLayouts layouts;
};

/// Pre-norm transformer block at any nesting level.
template <int Levels, class T = float, class B = Cpu> struct Block {
  using value_type = T;
  using backend = B;
  LayerNorm<T, B> norm1, norm2;
  HierarchicalAttention<Levels, T, B> attn;
  LayerScale<T, B> ls1, ls2;
  Mlp<T, B> mlp;  ///< one of these two
  SwiGlu<T, B> swiglu;
  double drop_path = 0;
  DropPath drop_path_form = DropPath::by_sequence;

  Block() = default;
  Block(index_t dim, index_t heads, const BlockOptions& o, Initializer& init)
      : norm1(dim, 1e-6),
        norm2(dim, 1e-6),
        attn(dim, heads, o.init_std, init),
        ls1(dim, o.layer_scale),
        ls2(dim, o.layer_scale),
        drop_path(o.drop_path),
        drop_path_form(o.drop_path_form) {
    const auto hidden = static_cast<index_t>(static_cast<double>(dim) * o.mlp_ratio);
    if (o.ffn == FeedForward::mlp) mlp = Mlp<T, B>(dim, hidden, o.init_std, init);
    else swiglu = SwiGlu<T, B>(dim, SwiGlu<T, B>::hidden_like(hidden), o.init_std, init);
  }
  template <class V> void visit(V&& v) {
    v("norm1", norm1);
    v("attn", attn);
    v("ls1", ls1);
    v("norm2", norm2);
    v("mlp", mlp);
    v("mlp", swiglu);
    v("ls2", ls2);
  }

  /// @param tokens at the level this block works on  @return the same layout
  Tokens<Levels, T, B> operator()(Tokens<Levels, T, B> tokens, const Context& context) const {
    const TokenLayouts layouts = tokens.layout();
    tokens.x = attend(tokens.x, layouts, context);
    // the last result of a block gets room for the prefix rows of another level
    tokens.x = feed_forward(tokens.x, layouts, context, tokens.empty_like(tokens.x.dim(-1)));
    tokens.free_rows = tokens.hierarchy.room();
    return tokens;
  }
  /// @return the same layouts
  PackedTokens<T, B> operator()(PackedTokens<T, B> tokens, const Context& context) const {
    tokens.x = attend(tokens.x, tokens.layouts, context);
    tokens.x = feed_forward(tokens.x, tokens.layouts, context,
                            Tensor<T, B>::empty(tokens.x.shape()));
    return tokens;
  }

 private:
  Var<T, B> attend(const Var<T, B>& x, const TokenLayouts& layouts, const Context& context) const {
    ModuleScope at("attn");
    return residual(norm1, ls1, x, layouts, context.child(0), Tensor<T, B>::empty(x.shape()),
                    [&](const Var<T, B>& y, const TokenLayouts& which,
                        const LinearOptions<T, B>& o) { return attn(y, which, o); });
  }
  Var<T, B> feed_forward(const Var<T, B>& x, const TokenLayouts& layouts, const Context& context,
                         const Tensor<T, B>& out) const {
    ModuleScope at("mlp");
    return residual(norm2, ls2, x, layouts, context.child(1), out,
                    [&](const Var<T, B>& y, const TokenLayouts&, const LinearOptions<T, B>& o) {
                      return swiglu.w3.weight.numel() > 0 ? swiglu(y, o) : mlp(y, o);
                    });
  }

  /// x + scale · branch(norm(x)), into `out`.
  template <class Branch>
  Var<T, B> residual(const LayerNorm<T, B>& norm, const LayerScale<T, B>& scale, const Var<T, B>& x,
                     const TokenLayouts& layouts, const Context& context, const Tensor<T, B>& out,
                     Branch branch) const {
    LinearOptions<T, B> options;
    options.scale = scale.gamma;
    if (!context.training || drop_path == 0) {
      options.residual = x;
      options.out = out;
      return branch(norm(x, ResultFor::products), layouts, options);
    }
    options.result = ResultFor::branch;
    if (drop_path_form == DropPath::by_subset)
      return add_branch_of_subset(x, layouts, drop_path, context.key, out,
                                  [&](const Var<T, B>& kept, const TokenLayouts& which) {
                                    return branch(norm(kept, ResultFor::products), which, options);
                                  });
    return drop_path_add(x, branch(norm(x, ResultFor::products), layouts, options), drop_path,
                         layouts, context.key, out);
  }
};

HLIP_END
