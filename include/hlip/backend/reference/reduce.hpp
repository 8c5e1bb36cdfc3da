// Reference reductions over the middle axis of (outer, n, inner), in double.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>
#include <hlip/tensor/dtype.hpp>

#include <cmath>
#include <type_traits>

HLIP_BEGIN

template <class T, class U>
void reduce(Reference, Reduction kind, const T* x, U* y, index_t outer, index_t n, index_t inner) {
  using Wide = std::conditional_t<is_floating<T>, double, std::int64_t>;
  for (index_t o = 0; o < outer; ++o)
    for (index_t j = 0; j < inner; ++j) {
      const auto at = [&](index_t i) {
        return static_cast<Wide>(static_cast<compute_type<T>>(x[(o * n + i) * inner + j]));
      };
      Wide sum = 0, top = n > 0 ? at(0) : Wide{};
      index_t best = 0;
      for (index_t i = 0; i < n; ++i) {
        sum += at(i);
        if (at(i) > top || (at(i) != at(i) && top == top)) {
          top = at(i);
          best = i;
        }
      }
      Wide result = sum;
      if (kind == Reduction::mean)
        result = static_cast<Wide>(static_cast<double>(sum) / static_cast<double>(n));
      if (kind == Reduction::max) result = top;
      if (kind == Reduction::argmax) result = static_cast<Wide>(best);
      if (kind == Reduction::logsumexp) {
        double total = 0;
        for (index_t i = 0; i < n; ++i)
          total += std::exp(static_cast<double>(at(i)) - static_cast<double>(top));
        result = static_cast<Wide>(std::isinf(static_cast<double>(top))
                                       ? static_cast<double>(top)
                                       : static_cast<double>(top) + std::log(total));
      }
      y[o * inner + j] = static_cast<U>(static_cast<compute_type<U>>(result));
    }
}

/// to[i] = Σ x² of list[i].
template <class T> void sums_of_squares(Reference, std::span<const Elements<T>> list, T* to) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    double total = 0;
    for (index_t k = 0; k < list[i].n; ++k)
      total += static_cast<double>(list[i].x[k]) * static_cast<double>(list[i].x[k]);
    to[i] = static_cast<T>(total);
  }
}

HLIP_END
