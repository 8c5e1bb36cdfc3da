// The AdamW update on the CPU: one pass over parameter, gradient and both moments.
// Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/cpu/memory.hpp>

#include <cmath>

HLIP_BEGIN

/// One AdamW step; see AdamWArgs.
template <class T> void adamw_update(Cpu, const AdamWArgs<T>& a) {
  using Lanes = typename Pack<T>::Lanes;
  const double correction1 = 1.0 - std::pow(a.beta1, static_cast<double>(a.step)),
               correction2 = 1.0 - std::pow(a.beta2, static_cast<double>(a.step));
  const T scale = static_cast<T>(a.grad_scale), b1 = static_cast<T>(a.beta1),
          b2 = static_cast<T>(a.beta2);
  const T c1 = static_cast<T>(1.0 - a.beta1), c2 = static_cast<T>(1.0 - a.beta2),
          eps = static_cast<T>(a.eps);
  const T step_size = static_cast<T>(a.lr / correction1),
          root = static_cast<T>(1.0 / std::sqrt(correction2));
  for (const AdamWParameter<T>& x : a.parameters) {
    const T keep = static_cast<T>(1.0 - a.lr * x.weight_decay);
#pragma omp parallel for schedule(static) if (x.n > 16384)
    for (index_t i = 0; i < x.n; i += pack_size) {
      const index_t left = x.n - i;
      const Lanes g = detail::load_lanes(x.grad + i, left).v * scale;
      const Lanes m = detail::load_lanes(x.exp_avg + i, left).v * b1 + g * c1;
      const Lanes v = detail::load_lanes(x.exp_avg_sq + i, left).v * b2 + g.square() * c2;
      const Lanes p = detail::load_lanes(x.p + i, left).v * keep -
                      step_size * m / (v.sqrt() * root + eps);
      detail::store_lanes(x.exp_avg + i, left, Pack<T>(m));
      detail::store_lanes(x.exp_avg_sq + i, left, Pack<T>(v));
      detail::store_lanes(x.p + i, left, Pack<T>(p));
    }
  }
}

HLIP_END
