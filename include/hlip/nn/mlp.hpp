// The transformer's feed-forward part: Linear, exact GELU, Linear.
#pragma once

#include <hlip/nn/linear.hpp>

HLIP_BEGIN

/// fc2(gelu(fc1(x))).
template <class T = float, class B = Cpu> struct Mlp {
  using value_type = T;
  using backend = B;
  Linear<T, B> fc1, fc2;

  Mlp() = default;
  Mlp(index_t dim, index_t hidden, double std, Initializer& init)
      : fc1(dim, hidden, true, std, init), fc2(hidden, dim, true, std, init) {}
  template <class V> void visit(V&& v) {
    v("fc1", fc1);
    v("fc2", fc2);
  }
  /// @param x (rows, dim)  @param options of the second Linear (residual, out)  @return (rows, dim)
  Var<T, B> operator()(const Var<T, B>& x, const LinearOptions<T, B>& options = {}) const {
    Var<T, B> hidden;
    {
      ModuleScope at("fc1");
      hidden = fc1(x, {.activation = Activation::gelu, .result = ResultFor::products});
    }
    ModuleScope at("fc2");
    return fc2(hidden, options);
  }
};

HLIP_END
