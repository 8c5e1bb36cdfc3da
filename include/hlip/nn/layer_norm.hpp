// LayerNorm over the last axis.
#pragma once

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// (x - mean) / sqrt(var + eps) · weight + bias over the last axis.
template <class T = float, class B = Cpu> struct LayerNorm {
  using value_type = T;
  using backend = B;
  Var<T, B> weight, bias;  ///< (dim)
  double eps = 1e-6;

  LayerNorm() = default;
  LayerNorm(index_t dim, double epsilon)
      : weight(Initializer::constant<T, B>({dim}, 1)),
        bias(Initializer::constant<T, B>({dim}, 0)),
        eps(epsilon) {}
  template <class V> void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  Var<T, B> operator()(const Var<T, B>& x, ResultFor result = ResultFor::anything) const {
    return layer_norm(x, weight, bias, eps, result);
  }
};

HLIP_END
