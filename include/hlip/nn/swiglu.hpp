// The gated feed-forward part of large vision transformers: Linear, SiLU of one half times the
// other, Linear. Source: Shazeer 2020, "GLU variants improve transformer"; names as DINOv2's.
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/nn/linear.hpp>

HLIP_BEGIN

/// w3(silu(a) · b) with [a, b] = w12(x).
template <class T = float, class B = Cpu> struct SwiGlu {
  using value_type = T;
  using backend = B;
  Linear<T, B> w12, w3;

  SwiGlu() = default;
  /// @param hidden width between the two layers
  SwiGlu(index_t dim, index_t hidden, double std, Initializer& init)
      : w12(dim, 2 * hidden, true, std, init), w3(hidden, dim, true, std, init) {}
  template <class V> void visit(V&& v) {
    v("w12", w12);
    v("w3", w3);
  }
  /// Width between the layers that has the parameters of an MLP with `hidden`: two thirds, up to
  /// the next multiple of eight.
  static index_t hidden_like(index_t hidden) { return (hidden * 2 / 3 + 7) / 8 * 8; }

  /// @param x (rows, dim)  @param options of the second Linear  @return (rows, dim)
  Var<T, B> operator()(const Var<T, B>& x, const LinearOptions<T, B>& options = {}) const {
    Var<T, B> gated;
    {
      ModuleScope at("w12");
      const Var<T, B> both = w12(x);
      const index_t hidden = both.dim(-1) / 2;
      const Var<T, B> a = slice(both, 1, 0, hidden), b = slice(both, 1, hidden, 2 * hidden);
      gated = a * sigmoid(a) * b;
    }
    ModuleScope at("w3");
    return w3(gated, options);
  }
};

HLIP_END
