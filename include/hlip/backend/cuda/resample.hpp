// Resampling along one axis: a thread for each element, which adds up its taps, or, on the way
// back, what its taps contributed to.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/loop.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/scalar_math.hpp>

#include <vector>

HLIP_BEGIN

namespace detail {

/// to[:, i, :] = Σ weight[k] · from[:, index[k], :] over k in [begin[i], begin[i + 1]).
template <class T> struct WeightedPlanes {
  const T* from;
  T* to;
  const index_t *begin, *index;
  const T* weight;
  index_t n_from, n_to, inner;
  HLIP_FN void operator()(index_t element) const {
    const index_t row = quotient(element, inner), outer = quotient(row, n_to),
                  i = row - outer * n_to;
    const T* plane = from + outer * n_from * inner + element - row * inner;
    T sum = 0;
    for (index_t k = begin[i]; k < begin[i + 1]; ++k)
      sum = multiply_add(weight[k], plane[index[k] * inner], sum);
    to[element] = sum;
  }
};

}  // namespace detail

/// y[:, o, :] = Σ_t weight · x[:, index, :], or its transpose; see ResampleArgs.
template <class T> void resample_axis(Cuda, const ResampleArgs<T>& a) {
  const index_t n_from = a.transposed ? a.n_out : a.n_in, n_to = a.transposed ? a.n_in : a.n_out,
                taps = a.n_out * a.taps, total = a.outer * n_to * a.inner;
  if (total <= 0) return;
  // The table as lists, one for each plane of the result; the transpose sorts the taps by the plane
  // they read, in their order.
  std::vector<index_t> begin(static_cast<std::size_t>(n_to) + 1),
      index(static_cast<std::size_t>(taps));
  std::vector<T> weight(index.size());
  const auto plane = [&](index_t tap) {
    return static_cast<std::size_t>(a.transposed ? a.index[tap] : tap / a.taps);
  };
  for (index_t tap = 0; tap < taps; ++tap) ++begin[plane(tap) + 1];
  for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  std::vector<index_t> next(begin.begin(), begin.end() - 1);
  for (index_t tap = 0; tap < taps; ++tap) {
    const auto at = static_cast<std::size_t>(next[plane(tap)]++);
    index[at] = a.transposed ? tap / a.taps : a.index[tap];
    weight[at] = a.weight[tap];
  }
  const detail::CudaScratch<index_t> begins(begin.data(), n_to + 1), indices(index.data(), taps);
  const detail::CudaScratch<T> weights(weight.data(), taps);
  const T* from = a.transposed ? a.y : a.x;
  T* to = a.transposed ? a.x : a.y;
  for_each_index(Cuda{}, total,
                 detail::WeightedPlanes<T>{from, to, begins.data(), indices.data(), weights.data(),
                                           n_from, n_to, a.inner});
}

HLIP_END
