// Dropout with counter-based draws: nothing is stored, the mask is drawn again on the way back.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/core/random.hpp>

HLIP_BEGIN

namespace detail {
template <class T, class B>
Tensor<T, B> drop(const Tensor<T, B>& x, double p, const RandomKey& key) {
  const auto y = Tensor<T, B>::empty(x.shape());
  const Tensor<T, B> input = x.contiguous();
  const T* from = input.data();
  T* to = y.data();
  const T scale = static_cast<T>(1.0 / (1.0 - p));
  for_each_index(B{}, x.numel(), [=] HLIP_LAMBDA(index_t i) {
    to[i] = uniform_at(key, static_cast<std::uint64_t>(i)) < p ? T(0) : from[i] * scale;
  });
  return y;
}
}  // namespace detail

/// Zeroes each element with probability p and scales the others by 1/(1−p). Element i is dropped
/// where draw i of `key` < p.
template <class T, class B> Var<T, B> dropout(const Var<T, B>& x, double p, const RandomKey& key) {
  expect(p >= 0 && p < 1, "dropout", "probability {}, expected 0 <= p < 1", p);
  if (p == 0) return x;
  return record("dropout", detail::drop(x.value(), p, key), {x},
                [p, key](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, detail::drop(dy, p, key));
                });
}

HLIP_END
