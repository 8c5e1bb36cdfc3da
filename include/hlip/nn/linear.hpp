// Linear: y = x · weightᵀ + bias.
#pragma once

#include <hlip/autograd/functions/linear.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// A matrix and, unless left out, a bias.
template <class T = float, class B = Cpu> struct Linear {
  using value_type = T;
  using backend = B;
  Var<T, B> weight;  ///< (out, in)
  Var<T, B> bias;    ///< (out), or empty

  Linear() = default;
  /// Weights normal with `std`, bias zero.
  Linear(index_t in, index_t out, bool with_bias, double std, Initializer& init)
      : weight(init.normal<T, B>({out, in}, std)) {
    if (with_bias) bias = Initializer::constant<T, B>({out}, 0);
  }
  template <class V> void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  /// @param x (…, in)  @return (…, out)
  Var<T, B> operator()(const Var<T, B>& x, const LinearOptions<T, B>& options = {}) const {
    return linear(x, weight, bias, options);
  }
};

HLIP_END
