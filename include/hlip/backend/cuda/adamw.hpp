// The AdamW update: one pass over parameters, gradients and both moments, in one loop over all
// parameters. Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/task_list.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <cmath>
#include <vector>

HLIP_BEGIN

namespace detail {

/// A thread takes `adamw_width` elements, `adamw_stride` apart, so that neighbouring threads read
/// neighbouring memory.
inline constexpr index_t adamw_stride = 256, adamw_width = 8;

template <class T> struct AdamWEntry {
  T* p;
  const T* grad;
  T *exp_avg, *exp_avg_sq;
  T keep;
  index_t n, first;
};

template <class T> struct AdamWTask {
  const AdamWEntry<T>* list;
  index_t count;
  T scale, b1, b2, c1, c2, eps, step_size, root;
  HLIP_FN void operator()(index_t task) const {
    const AdamWEntry<T> x = entry_of_task(list, count, task);
    const index_t chunk = (task - x.first) / adamw_stride, lane = (task - x.first) % adamw_stride;
    HLIP_UNROLL
    for (index_t k = 0; k < adamw_width; ++k) {
      const index_t i = (chunk * adamw_width + k) * adamw_stride + lane;
      if (i >= x.n) return;
      const T g = x.grad[i] * scale;
      const T m = x.exp_avg[i] * b1 + g * c1;
      const T v = x.exp_avg_sq[i] * b2 + g * g * c2;
      x.p[i] = x.p[i] * x.keep - step_size * m / (sqrt_(v) * root + eps);
      x.exp_avg[i] = m;
      x.exp_avg_sq[i] = v;
    }
  }
};

}  // namespace detail

/// One AdamW step; see AdamWArgs.
template <class T> void adamw_update(Cuda, const AdamWArgs<T>& a) {
  const double correction1 = 1.0 - std::pow(a.beta1, static_cast<double>(a.step)),
               correction2 = 1.0 - std::pow(a.beta2, static_cast<double>(a.step));
  const auto number = [](double x) { return static_cast<T>(x); };
  constexpr index_t chunk = detail::adamw_stride * detail::adamw_width;
  std::vector<detail::AdamWEntry<T>> list;
  index_t tasks = 0;
  for (const AdamWParameter<T>& x : a.parameters) {
    list.push_back(
        {x.p, x.grad, x.exp_avg, x.exp_avg_sq, number(1.0 - a.lr * x.weight_decay), x.n, tasks});
    tasks += (x.n + chunk - 1) / chunk * detail::adamw_stride;
  }
  if (tasks == 0) return;
  const auto count = static_cast<index_t>(list.size());
  const detail::CudaScratch<detail::AdamWEntry<T>> there(list.data(), count);
  for_each_index(Cuda{}, tasks,
                 detail::AdamWTask<T>{there.data(), count, number(a.grad_scale), number(a.beta1),
                                      number(a.beta2), number(1.0 - a.beta1), number(1.0 - a.beta2),
                                      number(a.eps), number(a.lr / correction1),
                                      number(1.0 / std::sqrt(correction2))});
}

HLIP_END
