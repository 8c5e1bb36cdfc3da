// Row-wise kernels on the CPU: layer norm, softmax and cross entropy over the last axis of a (rows,
// cols) matrix. Rows are independent; sums over rows go by fixed blocks of rows, added in order.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cpu/kernel.hpp>
#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/index_check.hpp>

#include <cmath>
#include <limits>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Rows below which starting threads costs more than it saves.
inline bool worth_threads(index_t rows, index_t cols) { return rows > 1 && rows * cols > 16384; }

/// Σ f(pack at j) over one row; packs past the end must make f return 0 lanes.
template <class T, class F> T sum_row(index_t cols, F f) {
  typename Pack<T>::Lanes total = Pack<T>::Lanes::Zero();
  for (index_t j = 0; j < cols; j += pack_size) total += f(j, cols - j);
  return total.sum();
}

template <class T> T max_row(const T* x, index_t cols) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  Pack<T> most(lowest);
  for (index_t j = 0; j < cols; j += pack_size)
    most.v = most.v.max(load_lanes(x + j, cols - j, lowest).v);
  return most.v.maxCoeff();
}

/// log Σ exp(x), stable; -inf for a row of -inf.
template <class T> T log_sum_exp_row(const T* x, index_t cols) {
  const T top = max_row(x, cols);
  if (!std::isfinite(top)) return top;
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  return top + std::log(sum_row<T>(cols, [&](index_t j, index_t left) {
           return exp_(Pack<T>(load_lanes(x + j, left, lowest).v - top)).v;
         }));
}

}  // namespace detail

/// y = (x - mean) · rstd · weight + bias per row; variance in a second pass over the row, so it is
/// accurate.
template <class T> void layer_norm_forward(Cpu, const LayerNormArgs<T>& a) {
  using detail::load_lanes;
  using Lanes = typename Pack<T>::Lanes;
  const T inverse = T(1) / static_cast<T>(a.cols);
#pragma omp parallel for schedule(static) if (detail::worth_threads(a.rows, a.cols))
  for (index_t i = 0; i < a.rows; ++i) {
    const T* x = a.x + i * a.cols;
    T* y = a.y + i * a.cols;
    const T mean = inverse * detail::sum_row<T>(a.cols, [&](index_t j, index_t left) {
                     return load_lanes(x + j, left).v;
                   });
    const T var = inverse * detail::sum_row<T>(a.cols, [&](index_t j, index_t left) {
                    return Lanes((load_lanes(x + j, left, mean).v - mean).square());
                  });
    const T rstd = T(1) / std::sqrt(var + a.eps);
    for (index_t j = 0; j < a.cols; j += pack_size) {
      const index_t left = a.cols - j;
      Lanes v = (load_lanes(x + j, left).v - mean) * rstd;
      if (a.weight) v *= load_lanes(a.weight + j, left).v;
      if (a.bias) v += load_lanes(a.bias + j, left).v;
      detail::store_lanes(y + j, left, Pack<T>(v));
    }
    if (a.mean) a.mean[i] = mean;
    if (a.rstd) a.rstd[i] = rstd;
  }
}

/// dx, dweight, dbias of layer_norm_forward.
template <class T> void layer_norm_backward(Cpu, const LayerNormGradArgs<T>& a) {
  using detail::load_lanes;
  using Lanes = typename Pack<T>::Lanes;
  const bool parameters = a.dweight || a.dbias;
  // Blocks depend on the shape alone; each adds its rows into its own partial sums.
  const index_t per_block = std::max<index_t>(32, detail::div_up(a.rows, 64)),
                blocks = detail::div_up(a.rows, per_block);
  std::vector<T> partial(parameters ? static_cast<std::size_t>(2 * blocks * a.cols) : 0, T(0));
  const T inverse = T(1) / static_cast<T>(a.cols);
#pragma omp parallel for schedule(dynamic) if (blocks > 1 && detail::worth_threads(a.rows, a.cols))
  for (index_t block = 0; block < blocks; ++block) {
    T *dw = partial.data() + (parameters ? 2 * block * a.cols : 0),
      *db = dw + (parameters ? a.cols : 0);
    for (index_t i = block * per_block; i < std::min(a.rows, (block + 1) * per_block); ++i) {
      const T *x = a.x + i * a.cols, *dy = a.dy + i * a.cols, mean = a.mean[i], rstd = a.rstd[i];
      Lanes sum = Lanes::Zero(), sum_x = Lanes::Zero();
      for (index_t j = 0; j < a.cols; j += pack_size) {
        const index_t left = a.cols - j;
        const Lanes hat = (load_lanes(x + j, left).v - mean) * rstd, d = load_lanes(dy + j, left).v;
        const Lanes g = a.weight ? Lanes(d * load_lanes(a.weight + j, left).v) : d;
        sum += g;
        sum_x += g * hat;
        if (parameters) {
          detail::store_lanes(dw + j, left, Pack<T>(Lanes(load_lanes(dw + j, left).v + d * hat)));
          detail::store_lanes(db + j, left, Pack<T>(Lanes(load_lanes(db + j, left).v + d)));
        }
      }
      if (!a.dx) continue;
      const T shift = inverse * sum.sum(), slope = inverse * sum_x.sum();
      for (index_t j = 0; j < a.cols; j += pack_size) {
        const index_t left = a.cols - j;
        const Lanes hat = (load_lanes(x + j, left).v - mean) * rstd, d = load_lanes(dy + j, left).v;
        const Lanes g = a.weight ? Lanes(d * load_lanes(a.weight + j, left).v) : d;
        T* dx = a.dx + i * a.cols + j;
        const Lanes value = rstd * (g - shift - hat * slope);
        detail::store_lanes(dx, left,
                            Pack<T>(a.add_dx ? Lanes(load_lanes(dx, left).v + value) : value));
      }
    }
  }
  for (index_t j = 0; parameters && j < a.cols; ++j) {
    T w = 0, b = 0;
    for (index_t block = 0; block < blocks; ++block) {
      w += partial[static_cast<std::size_t>(2 * block * a.cols + j)];
      b += partial[static_cast<std::size_t>((2 * block + 1) * a.cols + j)];
    }
    if (a.dweight) a.dweight[j] = w;
    if (a.dbias) a.dbias[j] = b;
  }
}

/// y = softmax(x) per row.
template <class T> void softmax_forward(Cpu, const T* x, T* y, index_t rows, index_t cols) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
#pragma omp parallel for schedule(static) if (detail::worth_threads(rows, cols))
  for (index_t i = 0; i < rows; ++i) {
    const T* from = x + i * cols;
    T* to = y + i * cols;
    const T top = detail::max_row(from, cols);
    const T total = detail::sum_row<T>(cols, [&](index_t j, index_t left) {
      const Pack<T> e = exp_(Pack<T>(detail::load_lanes(from + j, left, lowest).v - top));
      detail::store_lanes(to + j, left, e);
      return e.v;
    });
    const T scale = T(1) / total;
    for (index_t j = 0; j < cols; ++j) to[j] *= scale;
  }
}

/// dx = y · (dy − Σ y · dy) per row.
template <class T>
void softmax_backward(Cpu, const T* y, const T* dy, T* dx, index_t rows, index_t cols) {
  using detail::load_lanes;
  using Lanes = typename Pack<T>::Lanes;
#pragma omp parallel for schedule(static) if (detail::worth_threads(rows, cols))
  for (index_t i = 0; i < rows; ++i) {
    const T *p = y + i * cols, *d = dy + i * cols;
    const T dot = detail::sum_row<T>(cols, [&](index_t j, index_t left) {
      return Lanes(load_lanes(p + j, left).v * load_lanes(d + j, left).v);
    });
    for (index_t j = 0; j < cols; j += pack_size)
      detail::store_lanes(
          dx + i * cols + j, cols - j,
          Pack<T>(Lanes(load_lanes(p + j, cols - j).v * (load_lanes(d + j, cols - j).v - dot))));
  }
}

/// loss[i] = lse[i] − logits[i, labels[i]], lse = log-sum-exp of the row.
/// @throws hlip::error if a label is outside [0, cols)
template <class T>
void cross_entropy_forward(Cpu, const T* logits, const std::int64_t* labels, T* loss, T* lse,
                           index_t rows, index_t cols) {
  detail::expect_labels(labels, rows, cols);
#pragma omp parallel for schedule(static) if (detail::worth_threads(rows, cols))
  for (index_t i = 0; i < rows; ++i) {
    lse[i] = detail::log_sum_exp_row(logits + i * cols, cols);
    loss[i] = lse[i] - logits[i * cols + labels[i]];
  }
}

/// dlogits = dloss · (softmax(logits) − one-hot(label)).
template <class T>
void cross_entropy_backward(Cpu, const T* logits, const std::int64_t* labels, const T* lse,
                            const T* dloss, T* dlogits, index_t rows, index_t cols) {
#pragma omp parallel for schedule(static) if (detail::worth_threads(rows, cols))
  for (index_t i = 0; i < rows; ++i) {
    const T* x = logits + i * cols;
    T* dx = dlogits + i * cols;
    for (index_t j = 0; j < cols; j += pack_size)
      detail::store_lanes(
          dx + j, cols - j,
          Pack<T>(exp_(Pack<T>(detail::load_lanes(x + j, cols - j).v - lse[i])).v * dloss[i]));
    dx[labels[i]] -= dloss[i];
  }
}

HLIP_END
