// A block that lets tokens ask other tokens: cross-attention and an MLP, each behind a gate that
// begins closed, so that what it is put on works as before until there is something to learn.
// Source: reference document T3D §2; Alayrac et al. 2022, "Flamingo" (the gates).
#pragma once

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/nn/layer_norm.hpp>
#include <hlip/nn/linear.hpp>

#include <cmath>

HLIP_BEGIN

/// z + tanh(gate)·o(MHA(norm_q z; norm_kv t)), then z + tanh(gate_m)·fc2(gelu(fc1(norm_m z))).
template <class T = float, class B = Cpu> struct GatedCrossAttention {
  using value_type = T;
  using backend = B;
  LayerNorm<T, B> norm_q, norm_kv;
  Linear<T, B> q, k, v, o;
  Var<T, B> gate, gate_m;  ///< (1), before tanh; 0 at first
  LayerNorm<T, B> norm_m;
  Linear<T, B> fc1, fc2;
  index_t num_heads = 1;

  GatedCrossAttention() = default;
  /// @param dim of the tokens that ask  @param context_dim of those that are asked
  /// @param hidden of the MLP
  GatedCrossAttention(index_t dim, index_t context_dim, index_t heads, index_t hidden,
                      Initializer& init, double std = 0.02)
      : norm_q(dim, 1e-6),
        norm_kv(context_dim, 1e-6),
        q(dim, dim, true, std, init),
        k(context_dim, dim, true, std, init),
        v(context_dim, dim, true, std, init),
        o(dim, dim, true, std, init),
        gate(Initializer::constant<T, B>({1}, 0)),
        gate_m(Initializer::constant<T, B>({1}, 0)),
        norm_m(dim, 1e-6),
        fc1(dim, hidden, true, std, init),
        fc2(hidden, dim, true, std, init),
        num_heads(heads) {
    expect(heads > 0 && dim % heads == 0, "gated_cross_attention",
           "dim {} does not divide into {} heads", dim, heads);
  }
  template <class V> void visit(V&& visit) {
    visit("norm_q", norm_q);
    visit("norm_kv", norm_kv);
    visit("q", q);
    visit("k", k);
    visit("v", v);
    visit("o", o);
    visit("gate", gate);
    visit("gate_m", gate_m);
    visit("norm_m", norm_m);
    visit("fc1", fc1);
    visit("fc2", fc2);
  }

  /// @param z (N, L, dim)  @param t (N, K, context_dim)
  /// @param mask (N, K), 0 hides; a row that hides everything leaves its z as it was
  /// @return (N, L, dim)
  /// @throws hlip::error for shapes that do not fit
  Var<T, B> operator()(const Var<T, B>& z, const Var<T, B>& t,
                       const Tensor<std::uint8_t, B>& mask) const {
    const index_t n = z.dim(0), length = z.dim(1), dim = q.weight.dim(0);
    const Var<T, B> weights = attention(z, t, mask), values = heads(v(norm_kv(t))),
                    mixed = matmul(weights, values),
                    rows = reshape(permute(mixed, {0, 2, 1, 3}), {n, length, dim});
    const Var<T, B> asked = o(rows), once = z + tanh(gate) * asked;
    const Var<T, B> hidden = gelu(fc1(norm_m(once))), more = fc2(hidden);
    return where(max(mask, {1}).reshape({n, 1, 1}) != 0, once + tanh(gate_m) * more, z);
  }
  /// How much every token asks every other: (N, heads, L, K), rows sum to 1.
  Var<T, B> attention(const Var<T, B>& z, const Var<T, B>& t,
                      const Tensor<std::uint8_t, B>& mask) const {
    const index_t n = z.dim(0), count = t.dim(1), head_dim = q.weight.dim(0) / num_heads;
    expect_shape("gated_cross_attention", "z", z.shape(), {{"N"}, {"L"}, {"dim", q.weight.dim(1)}});
    expect_shape("gated_cross_attention", "t", t.shape(),
                 {{"N", n}, {"K"}, {"context_dim", k.weight.dim(1)}});
    expect_shape("gated_cross_attention", "mask", mask.shape(), {{"N", n}, {"K", count}});
    // large and finite: where all is hidden the softmax still has numbers
    const Tensor<T, B> hidden = where(mask != 0, Tensor<T, B>::zeros(Shape{}), -1e30);
    const Var<T, B> queries = heads(q(norm_q(z))), keys = heads(k(norm_kv(t))),
                    scores = matmul(queries, transpose(keys, -1, -2));
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    return softmax(Var<T, B>(scores * scale + hidden.reshape({n, 1, 1, count})));
  }

 private:
  /// (N, L, dim) to (N, heads, L, dim / heads)
  Var<T, B> heads(const Var<T, B>& x) const {
    const index_t width = x.dim(2) / num_heads;
    return permute(reshape(x, {x.dim(0), x.dim(1), num_heads, width}), {0, 2, 1, 3});
  }
};

HLIP_END
