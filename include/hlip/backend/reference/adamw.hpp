// Reference AdamW update.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <cmath>

HLIP_BEGIN

/// One AdamW step; see AdamWArgs.
template <class T>
void adamw_update(Reference, const AdamWArgs<T>& a) {
  const double correction1 = 1 - std::pow(a.beta1, static_cast<double>(a.step)), correction2 = 1 - std::pow(a.beta2, static_cast<double>(a.step));
  for (index_t i = 0; i < a.n; ++i) {
    const double g = a.grad_scale * static_cast<double>(a.grad[i]);
    const double m = a.beta1 * static_cast<double>(a.exp_avg[i]) + (1 - a.beta1) * g;
    const double v = a.beta2 * static_cast<double>(a.exp_avg_sq[i]) + (1 - a.beta2) * g * g;
    double p = static_cast<double>(a.p[i]);
    p *= 1 - a.lr * a.weight_decay;
    p -= a.lr * (m / correction1) / (std::sqrt(v / correction2) + a.eps);
    a.exp_avg[i] = static_cast<T>(m);
    a.exp_avg_sq[i] = static_cast<T>(v);
    a.p[i] = static_cast<T>(p);
  }
}

HLIP_END
