// Linear: y = x · weightᵀ + bias.
#pragma once

#include <hlip/autograd/functions/stored_linear.hpp>
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
  /// A weight that lies as bfloat16 (see Var::stored) is read as it is, and takes no part in
  /// training.
  /// @param x (…, in)  @return (…, out)
  /// @throws hlip::error when shapes do not fit, and for options that such a weight does not know
  Var<T, B> operator()(const Var<T, B>& x, const LinearOptions<T, B>& options = {}) const {
    if (weight.stored()) {
      expect(options.activation == Activation::none && options.scale.numel() == 0 &&
                 options.out.numel() == 0,
             "linear",
             "an activation, a scale or a place for the result of a weight that lies as bfloat16");
      return stored_linear(x, weight.template as<bfloat16>(), bias, options.residual);
    }
    return linear(x, weight, bias, options);
  }
};

HLIP_END
