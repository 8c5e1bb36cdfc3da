// Reference AdamW update.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <cmath>

HLIP_BEGIN

/// One AdamW step; see AdamWArgs.
template <class T> void adamw_update(Reference, const AdamWArgs<T>& a) {
  const double correction1 = 1 - std::pow(a.beta1, static_cast<double>(a.step)),
               correction2 = 1 - std::pow(a.beta2, static_cast<double>(a.step));
  for (const AdamWParameter<T>& x : a.parameters)
    for (index_t i = 0; i < x.n; ++i) {
      const double g = a.grad_scale * static_cast<double>(x.grad[i]);
      const double m = a.beta1 * static_cast<double>(x.exp_avg[i]) + (1 - a.beta1) * g;
      const double v = a.beta2 * static_cast<double>(x.exp_avg_sq[i]) + (1 - a.beta2) * g * g;
      double p = static_cast<double>(x.p[i]);
      p *= 1 - a.lr * x.weight_decay;
      p -= a.lr * (m / correction1) / (std::sqrt(v / correction2) + a.eps);
      x.exp_avg[i] = static_cast<T>(m);
      x.exp_avg_sq[i] = static_cast<T>(v);
      x.p[i] = static_cast<T>(p);
    }
}

HLIP_END
