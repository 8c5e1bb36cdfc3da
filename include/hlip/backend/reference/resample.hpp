// Reference resampling along one axis.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <vector>

HLIP_BEGIN

/// y[:, o, :] = Σ_t weight · x[:, index, :], or its transpose; see ResampleArgs.
template <class T> void resample_axis(Reference, const ResampleArgs<T>& a) {
  for (index_t outer = 0; outer < a.outer; ++outer)
    for (index_t c = 0; c < a.inner; ++c) {
      T *x = a.x + outer * a.n_in * a.inner + c, *y = a.y + outer * a.n_out * a.inner + c;
      std::vector<double> sum(static_cast<std::size_t>(a.transposed ? a.n_in : a.n_out));
      for (index_t o = 0; o < a.n_out; ++o)
        for (int t = 0; t < a.taps; ++t) {
          const index_t i = a.index[o * a.taps + t];
          const auto weight = static_cast<double>(a.weight[o * a.taps + t]);
          if (a.transposed)
            sum[static_cast<std::size_t>(i)] += weight * static_cast<double>(y[o * a.inner]);
          else sum[static_cast<std::size_t>(o)] += weight * static_cast<double>(x[i * a.inner]);
        }
      T* to = a.transposed ? x : y;
      for (std::size_t i = 0; i < sum.size(); ++i)
        to[static_cast<index_t>(i) * a.inner] = static_cast<T>(sum[i]);
    }
}

HLIP_END
