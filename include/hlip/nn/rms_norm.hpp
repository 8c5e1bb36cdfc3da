// RMS norm over the last axis.
#pragma once

#include <hlip/autograd/functions/rms_norm.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

HLIP_BEGIN

/// x / √(mean(x²) + eps) · weight over the last axis.
template <class T = float, class B = Cpu> struct RmsNorm {
  using value_type = T;
  using backend = B;
  Var<T, B> weight;  ///< (dim)
  double eps = 1e-6;

  RmsNorm() = default;
  RmsNorm(index_t dim, double epsilon)
      : weight(Initializer::constant<T, B>({dim}, 1)), eps(epsilon) {}
  template <class V> void visit(V&& v) { v("weight", weight); }
  /// @param x (…, dim)  @return the shape of x
  Var<T, B> operator()(const Var<T, B>& x) const { return rms_norm(x, weight, eps); }
};

HLIP_END
