// Resampling along one axis on the CPU: each output plane is a short weighted sum of input planes.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <algorithm>

HLIP_BEGIN

/// y[:, o, :] = Σ_t weight · x[:, index, :], or its transpose; see ResampleArgs.
template <class T> void resample_axis(Cpu, const ResampleArgs<T>& a) {
  if (a.outer <= 0 || a.inner <= 0) return;
  // Long inner rows are cut so that one outer plane still feeds several threads; columns never mix.
  constexpr index_t width = 4096;
  const index_t strips = (a.inner + width - 1) / width, tasks = a.outer * strips;
#pragma omp parallel for schedule(static) if (tasks > 1 && \
                                              a.outer * a.inner * (a.n_in + a.n_out) > 65536)
  for (index_t task = 0; task < tasks; ++task) {
    const index_t begin = task % strips * width, count = std::min(a.inner, begin + width) - begin;
    T* x = a.x + task / strips * a.n_in * a.inner + begin;
    T* y = a.y + task / strips * a.n_out * a.inner + begin;
    if (a.transposed)
      for (index_t i = 0; i < a.n_in; ++i)
        std::fill(x + i * a.inner, x + i * a.inner + count, T(0));
    for (index_t o = 0; o < a.n_out; ++o) {
      T* out = y + o * a.inner;
      if (count < 16 && !a.transposed) {  // the last axis: sums stay in a register
        for (index_t c = 0; c < count; ++c) {
          T sum = 0;
          for (int t = 0; t < a.taps; ++t)
            sum = multiply_add(a.weight[o * a.taps + t], x[a.index[o * a.taps + t] * a.inner + c],
                               sum);
          out[c] = sum;
        }
        continue;
      }
      for (int t = 0; t < a.taps; ++t) {
        const T weight = a.weight[o * a.taps + t];
        T* in = x + a.index[o * a.taps + t] * a.inner;
        if (a.transposed)
          for (index_t c = 0; c < count; ++c) in[c] = multiply_add(weight, out[c], in[c]);
        else if (t == 0)
          for (index_t c = 0; c < count; ++c) out[c] = weight * in[c];
        else
          for (index_t c = 0; c < count; ++c) out[c] = multiply_add(weight, in[c], out[c]);
      }
    }
  }
}

HLIP_END
