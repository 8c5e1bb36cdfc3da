// Binary cross-entropy of labels that may hold together, on logits.
#pragma once

#include <hlip/autograd/functions/reduce.hpp>

HLIP_BEGIN

/// The mean of softplus(z) - z·y over all labels that are known: a target of NaN is an unknown
/// label, which moves nothing.
///
/// @param logits (…); @param targets likewise, 0 to 1 or NaN  @return scalar; 0 if no label is
/// known
/// @throws hlip::error if the shapes differ
template <class T, class B>
Var<T, B> binary_cross_entropy_with_logits(const Var<T, B>& logits, const Tensor<T, B>& targets) {
  expect(logits.shape() == targets.shape(), "binary_cross_entropy",
         "targets are {}, expected the shape of logits {}", to_string(targets.shape()),
         to_string(logits.shape()));
  // (y == y) is false for NaN alone
  const Tensor<T, B> known = where(targets == targets, Tensor<T, B>::ones(Shape{}), 0);
  const Tensor<T, B> y = where(targets == targets, targets, 0);
  const Tensor<T, B> share = 1 / maximum(sum(known), 1);
  const Var<T, B> each = (softplus(logits) - logits * y) * known;
  return sum(each) * share;
}

HLIP_END
