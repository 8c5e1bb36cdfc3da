// Matrix products of Vars.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/matmul.hpp>

HLIP_BEGIN

/// a (…, m, k) · b (…, k, n) -> (…, m, n); batch axes broadcast.
template <class T, class B> Var<T, B> matmul(const Var<T, B>& a, const Var<T, B>& b) {
  const Tensor<T, B> left = a.value(), right = b.value();
  return record("matmul", matmul(left, right), {a, b},
                [left, right](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  if (grads.wants(0))
                    grads.add(0, sum_to(matmul(dy, right.transpose(-1, -2)), left.shape()));
                  if (grads.wants(1))
                    grads.add(1, sum_to(matmul(left.transpose(-1, -2), dy), right.shape()));
                });
}

HLIP_END
