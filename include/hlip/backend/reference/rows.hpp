// Reference row-wise kernels: layer norm, softmax, cross entropy, one row and one element at a
// time, in double.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/index_check.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

HLIP_BEGIN

namespace detail {
/// log Σ exp over one row, in double.
template <class T> double row_log_sum_exp(const T* x, index_t n) {
  double top = static_cast<double>(x[0]), sum = 0;
  for (index_t j = 1; j < n; ++j) top = std::max(top, static_cast<double>(x[j]));
  if (!std::isfinite(top)) return top;
  for (index_t j = 0; j < n; ++j) sum += std::exp(static_cast<double>(x[j]) - top);
  return top + std::log(sum);
}
}  // namespace detail

/// y = (x - mean) · rstd · weight + bias per row.
template <class T> void layer_norm_forward(Reference, const LayerNormArgs<T>& a) {
  const auto n = static_cast<double>(a.cols);
  for (index_t i = 0; i < a.rows; ++i) {
    const T* x = a.x + i * a.cols;
    double mean = 0, var = 0;
    for (index_t j = 0; j < a.cols; ++j) mean += static_cast<double>(x[j]) / n;
    for (index_t j = 0; j < a.cols; ++j)
      var += (static_cast<double>(x[j]) - mean) * (static_cast<double>(x[j]) - mean) / n;
    const double rstd = 1 / std::sqrt(var + static_cast<double>(a.eps));
    for (index_t j = 0; j < a.cols; ++j) {
      double y = (static_cast<double>(x[j]) - mean) * rstd;
      if (a.weight) y *= static_cast<double>(a.weight[j]);
      if (a.bias) y += static_cast<double>(a.bias[j]);
      a.y[i * a.cols + j] = static_cast<T>(y);
    }
    if (a.mean) a.mean[i] = static_cast<T>(mean);
    if (a.rstd) a.rstd[i] = static_cast<T>(rstd);
  }
}

/// dx, dweight, dbias of layer_norm_forward.
template <class T> void layer_norm_backward(Reference, const LayerNormGradArgs<T>& a) {
  const auto cols = static_cast<std::size_t>(a.cols);
  std::vector<double> dweight(cols), dbias(cols), hat(cols), g(cols);
  for (index_t i = 0; i < a.rows; ++i) {
    double shift = 0, slope = 0;
    for (std::size_t j = 0; j < cols; ++j) {
      const auto at = static_cast<std::size_t>(i) * cols + j;
      const auto dy = static_cast<double>(a.dy[at]);
      hat[j] = (static_cast<double>(a.x[at]) - static_cast<double>(a.mean[i])) *
               static_cast<double>(a.rstd[i]);
      g[j] = a.weight ? dy * static_cast<double>(a.weight[j]) : dy;
      shift += g[j] / static_cast<double>(a.cols);
      slope += g[j] * hat[j] / static_cast<double>(a.cols);
      dweight[j] += dy * hat[j];
      dbias[j] += dy;
    }
    if (a.dx)
      for (std::size_t j = 0; j < cols; ++j) {
        T& dx = a.dx[static_cast<std::size_t>(i) * cols + j];
        dx = static_cast<T>(static_cast<double>(a.rstd[i]) * (g[j] - shift - hat[j] * slope) +
                            (a.add_dx ? static_cast<double>(dx) : 0.0));
      }
  }
  for (std::size_t j = 0; j < cols; ++j) {
    if (a.dweight) a.dweight[j] = static_cast<T>(dweight[j]);
    if (a.dbias) a.dbias[j] = static_cast<T>(dbias[j]);
  }
}

/// y = softmax(x) per row.
template <class T> void softmax_forward(Reference, const T* x, T* y, index_t rows, index_t cols) {
  for (index_t i = 0; i < rows; ++i) {
    const double lse = cols > 0 ? detail::row_log_sum_exp(x + i * cols, cols) : 0;
    for (index_t j = 0; j < cols; ++j)
      y[i * cols + j] = static_cast<T>(std::exp(static_cast<double>(x[i * cols + j]) - lse));
  }
}

/// dx = y · (dy − Σ y · dy) per row.
template <class T>
void softmax_backward(Reference, const T* y, const T* dy, T* dx, index_t rows, index_t cols) {
  for (index_t i = 0; i < rows; ++i) {
    double dot = 0;
    for (index_t j = i * cols; j < (i + 1) * cols; ++j)
      dot += static_cast<double>(y[j]) * static_cast<double>(dy[j]);
    for (index_t j = i * cols; j < (i + 1) * cols; ++j)
      dx[j] = static_cast<T>(static_cast<double>(y[j]) * (static_cast<double>(dy[j]) - dot));
  }
}

/// loss[i] = lse[i] − logits[i, labels[i]], lse = log-sum-exp of the row.
/// @throws hlip::error if a label is outside [0, cols)
template <class T>
void cross_entropy_forward(Reference, const T* logits, const std::int64_t* labels, T* loss, T* lse,
                           index_t rows, index_t cols) {
  detail::expect_labels(labels, rows, cols);
  for (index_t i = 0; i < rows; ++i) {
    const double total = detail::row_log_sum_exp(logits + i * cols, cols);
    lse[i] = static_cast<T>(total);
    loss[i] = static_cast<T>(total - static_cast<double>(logits[i * cols + labels[i]]));
  }
}

/// dlogits = dloss · (softmax(logits) − one-hot(label)).
template <class T>
void cross_entropy_backward(Reference, const T* logits, const std::int64_t* labels, const T* lse,
                            const T* dloss, T* dlogits, index_t rows, index_t cols) {
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < cols; ++j) {
      const double p = std::exp(static_cast<double>(logits[i * cols + j]) -
                                static_cast<double>(lse[i]));
      dlogits[i * cols + j] = static_cast<T>(static_cast<double>(dloss[i]) *
                                             (p - (labels[i] == j ? 1 : 0)));
    }
}

HLIP_END
