// Normalisation by the root mean square over the last axis.
// Source: Zhang and Sennrich 2019, "Root mean square layer normalization".
#pragma once

#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/tensor/check.hpp>

HLIP_BEGIN

/// x / √(mean(x²) + eps) · weight over the last axis.
///
/// @param x (…, dim)  @param weight (dim)  @return the shape of x
template <class T, class B>
Var<T, B> rms_norm(const Var<T, B>& x, const Var<T, B>& weight, double eps) {
  expect_shape("rms_norm", "weight", weight.shape(), {{"dim"}});
  expect(x.rank() >= 1 && x.dim(-1) == weight.numel(), "rms_norm",
         "x is {}, expected (…, dim = {})", to_string(x.shape()), weight.numel());
  const Var<T, B> squares = mean(Var<T, B>(square(x)), {-1}, true);
  const Var<T, B> root = sqrt(squares + eps);
  return x / root * weight;
}

HLIP_END
