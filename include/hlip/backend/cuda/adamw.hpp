// The AdamW update: one pass over parameter, gradient and both moments, a thread for each parameter.
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <cmath>

HLIP_BEGIN

namespace detail {

template <class T>
struct AdamWElement {
  T* p;
  const T* grad;
  T *exp_avg, *exp_avg_sq;
  T keep, scale, b1, b2, c1, c2, eps, step_size, root;
  HLIP_FN void operator()(index_t i) const {
    const T g = grad[i] * scale;
    const T m = exp_avg[i] * b1 + g * c1;
    const T v = exp_avg_sq[i] * b2 + g * g * c2;
    p[i] = p[i] * keep - step_size * m / (sqrt_(v) * root + eps);
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
  }
};

}  // namespace detail

/// One AdamW step; see AdamWArgs.
template <class T>
void adamw_update(Cuda, const AdamWArgs<T>& a) {
  const double correction1 = 1.0 - std::pow(a.beta1, static_cast<double>(a.step)), correction2 = 1.0 - std::pow(a.beta2, static_cast<double>(a.step));
  const auto number = [](double x) { return static_cast<T>(x); };
  for_each_index(Cuda{}, a.n,
                 detail::AdamWElement<T>{a.p, a.grad, a.exp_avg, a.exp_avg_sq, number(1.0 - a.lr * a.weight_decay), number(a.grad_scale), number(a.beta1), number(a.beta2),
                                         number(1.0 - a.beta1), number(1.0 - a.beta2), number(a.eps), number(a.lr / correction1), number(1.0 / std::sqrt(correction2))});
}

HLIP_END
