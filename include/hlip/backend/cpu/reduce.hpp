// Cpu reductions over the middle axis of (outer, n, inner). Floating sums run in fixed blocks that
// are added up in double, so they are accurate for long axes and the same at every thread count.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/cpu/pack.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

HLIP_BEGIN

namespace detail {

template <class T> using sum_type = std::conditional_t<is_floating<T>, double, std::int64_t>;

/// How many neighbouring numbers one task adds up.
inline constexpr index_t sum_chunk = index_t{1} << 16;

/// Sum of n neighbouring numbers, or of their squares: packs within a block of 512, double between
/// blocks.
template <bool Squares = false, class T> sum_type<T> sum_contiguous(const T* x, index_t n) {
  const auto taken = [](const auto& v) {
    if constexpr (Squares) return v * v;
    else return v;
  };
  sum_type<T> total{};
  if constexpr (std::is_floating_point_v<T>) {
    index_t i = 0;
    for (; i + pack_size <= n;) {
      const index_t end = std::min(n - n % pack_size, i + 512);
      Pack<T> sum(T(0));
      for (; i + pack_size <= end; i += pack_size) sum = sum + taken(load_pack(x + i, 1));
      double block = 0;
      for (int lane = 0; lane < pack_size; ++lane) block += static_cast<double>(sum.v[lane]);
      total += block;
    }
    for (; i < n; ++i) total += static_cast<double>(taken(x[i]));
  } else {
    for (index_t i = 0; i < n; ++i)
      total += static_cast<sum_type<T>>(static_cast<compute_type<T>>(x[i]));
  }
  return total;
}

template <class T, class U>
void sum_rows(const T* x, U* y, index_t outer, index_t n, double scale) {  // inner == 1
  constexpr index_t chunk = sum_chunk;
  const index_t chunks = std::max<index_t>(1, (n + chunk - 1) / chunk);
  std::vector<sum_type<T>> parts(static_cast<std::size_t>(outer * chunks));
#pragma omp parallel for schedule(static) if (outer * n > 16384)
  for (index_t task = 0; task < outer * chunks; ++task) {
    const index_t row = task / chunks, begin = (task % chunks) * chunk;
    parts[static_cast<std::size_t>(task)] = sum_contiguous(x + row * n + begin,
                                                           std::min(chunk, n - begin));
  }
  for (index_t row = 0; row < outer; ++row) {
    sum_type<T> total{};
    for (index_t c = 0; c < chunks; ++c) total += parts[static_cast<std::size_t>(row * chunks + c)];
    if constexpr (is_floating<T>)
      y[row] = static_cast<U>(static_cast<compute_type<U>>(total * scale));
    else
      y[row] = static_cast<U>(static_cast<double>(total) == 0 || scale == 1
                                  ? total
                                  : static_cast<sum_type<T>>(static_cast<double>(total) * scale));
  }
}

template <class T, class U>
// inner > 1
void sum_columns(const T* x, U* y, index_t outer, index_t n, index_t inner, double scale) {
  constexpr index_t block = 256;
  const index_t blocks = std::max<index_t>(1, (n + block - 1) / block);
  std::vector<sum_type<T>> parts(static_cast<std::size_t>(outer * blocks * inner));
#pragma omp parallel for schedule(static) if (outer * n * inner > 16384)
  for (index_t task = 0; task < outer * blocks; ++task) {
    const index_t o = task / blocks, begin = (task % blocks) * block,
                  end = std::min(n, begin + block);
    sum_type<T>* part = parts.data() + task * inner;
    std::fill(part, part + inner, sum_type<T>{});
    for (index_t i = begin; i < end; ++i) {
      const T* row = x + (o * n + i) * inner;
      for (index_t j = 0; j < inner; ++j)
        part[j] += static_cast<sum_type<T>>(static_cast<compute_type<T>>(row[j]));
    }
  }
  for (index_t o = 0; o < outer; ++o)
    for (index_t j = 0; j < inner; ++j) {
      sum_type<T> total{};
      for (index_t b = 0; b < blocks; ++b)
        total += parts[static_cast<std::size_t>((o * blocks + b) * inner + j)];
      if constexpr (is_floating<T>)
        y[o * inner + j] = static_cast<U>(static_cast<compute_type<U>>(total * scale));
      else
        y[o * inner + j] = static_cast<U>(
            scale == 1 ? total : static_cast<sum_type<T>>(static_cast<double>(total) * scale));
    }
}

}  // namespace detail

/// y[o, j] = reduction over i of x[o, i, j]. argmax takes the first of equal values; max and argmax
/// propagate NaN.
template <class T, class U>
void reduce(Cpu, Reduction kind, const T* x, U* y, index_t outer, index_t n, index_t inner) {
  if (kind == Reduction::sum || kind == Reduction::mean) {
    const double scale = kind == Reduction::mean ? 1.0 / static_cast<double>(n) : 1.0;
    if (inner == 1) detail::sum_rows(x, y, outer, n, scale);
    else detail::sum_columns(x, y, outer, n, inner, scale);
    return;
  }
#pragma omp parallel for schedule(static) if (outer * n * inner > 16384)
  for (index_t task = 0; task < outer * inner; ++task) {
    using C = compute_type<T>;
    const T* column = x + (task / inner) * n * inner + task % inner;
    index_t best = 0;
    C top = static_cast<C>(column[0]);
    for (index_t i = 1; i < n; ++i) {
      const C v = static_cast<C>(column[i * inner]);
      if (v > top || (v != v && top == top)) {
        top = v;
        best = i;
      }
    }
    if (kind == Reduction::argmax) {
      if constexpr (std::is_integral_v<U>) y[task] = static_cast<U>(best);
    } else if (kind == Reduction::max) {
      y[task] = static_cast<U>(static_cast<compute_type<U>>(top));
    } else if constexpr (std::is_floating_point_v<T>) {
      double sum = 0;
      for (index_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(column[i * inner] - top));
      y[task] = static_cast<U>(std::isinf(top) ? static_cast<double>(top)
                                               : static_cast<double>(top) + std::log(sum));
    }
  }
}

/// to[i] = Σ x² of list[i].
template <class T> void sums_of_squares(Cpu, std::span<const Elements<T>> list, T* to) {
  std::vector<Elements<T>> chunks;
  for (const Elements<T>& e : list)
    for (index_t begin = 0; begin < e.n; begin += detail::sum_chunk)
      chunks.push_back({e.x + begin, std::min(detail::sum_chunk, e.n - begin)});
  std::vector<double> parts(chunks.size());
#pragma omp parallel for schedule(static) if (chunks.size() > 1)
  for (std::size_t c = 0; c < chunks.size(); ++c)
    parts[c] = detail::sum_contiguous<true>(chunks[c].x, chunks[c].n);
  std::size_t c = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    double total = 0;
    for (index_t begin = 0; begin < list[i].n; begin += detail::sum_chunk) total += parts[c++];
    to[i] = static_cast<T>(total);
  }
}

HLIP_END
