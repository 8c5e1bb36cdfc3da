// Row-wise kernels of the Cuda backend as block programs: softmax and cross entropy over the last
// axis of a (rows, cols) matrix. 32 threads share a row and add up by a fixed tree.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/block.hpp>
#include <hlip/backend/cuda/index_check.hpp>

#include <cmath>
#include <limits>

HLIP_BEGIN

namespace detail {

inline constexpr int row_lanes = 32, rows_per_block = 8;

/// A program in which 32 threads take a row.
struct RowProgram {
  static constexpr int threads = row_lanes * rows_per_block;
  template <class Block, class Fn>
  HLIP_FN static void each_row(Block& block, index_t rows, Fn fn) {  // fn(thread, row, lane)
    block.each([&](int thread) {
      const index_t row = block.index() * rows_per_block + thread / row_lanes;
      if (row < rows) fn(thread, row, thread % row_lanes);
    });
  }
};

template <class Program> void launch_rows(Cuda, index_t rows, const Program& program) {
  launch_blocks(Cuda{}, (rows + rows_per_block - 1) / rows_per_block, 0, program);
}

/// top and Σ exp(x − top) of every row of x, in values(thread)[0] and [1] of all its threads.
template <class Block, class T, class Values>
HLIP_FN void row_exponentials(Block& block, const T* x, index_t rows, index_t cols, Values& top,
                              Values& sum) {
  block.each([&](int thread) { top(thread)[0] = -std::numeric_limits<T>::infinity(); });
  RowProgram::each_row(block, rows, [&](int thread, index_t row, index_t lane) {
    for (index_t j = lane; j < cols; j += row_lanes)
      top(thread)[0] = Larger{}(x[row * cols + j], top(thread)[0]);
  });
  block.template reduce<row_lanes>(top, Larger{});
  RowProgram::each_row(block, rows, [&](int thread, index_t row, index_t lane) {
    for (index_t j = lane; j < cols; j += row_lanes)
      sum(thread)[0] += std::exp(x[row * cols + j] - top(thread)[0]);
  });
  block.template reduce<row_lanes>(sum, Plus{});
}

template <class T> struct SoftmaxForward : RowProgram {
  const T* x;
  T* y;
  index_t rows, cols;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    auto top = block.template per_thread<T, 1>(), sum = block.template per_thread<T, 1>();
    row_exponentials(block, x, rows, cols, top, sum);
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      const T scale = T(1) / sum(thread)[0];
      for (index_t j = lane; j < cols; j += row_lanes)
        y[row * cols + j] = std::exp(x[row * cols + j] - top(thread)[0]) * scale;
    });
  }
};

template <class T> struct SoftmaxPull : RowProgram {
  const T *y, *dy;
  T* dx;
  index_t rows, cols;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    auto dot = block.template per_thread<T, 1>();
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      for (index_t j = lane; j < cols; j += row_lanes)
        dot(thread)[0] += y[row * cols + j] * dy[row * cols + j];
    });
    block.template reduce<row_lanes>(dot, Plus{});
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      for (index_t j = lane; j < cols; j += row_lanes)
        dx[row * cols + j] = y[row * cols + j] * (dy[row * cols + j] - dot(thread)[0]);
    });
  }
};

template <class T> struct CrossEntropyForward : RowProgram {
  const T* logits;
  const std::int64_t* labels;
  T *loss, *lse;
  index_t rows, cols;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    auto top = block.template per_thread<T, 1>(), sum = block.template per_thread<T, 1>();
    row_exponentials(block, logits, rows, cols, top, sum);
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      if (lane != 0) return;
      // An infinite maximum is the result
      const T most = top(thread)[0],
              total = most - most == T(0) ? most + std::log(sum(thread)[0]) : most;
      lse[row] = total;
      loss[row] = is_inside(labels[row], cols) ? total - logits[row * cols + labels[row]]
                                               : std::numeric_limits<T>::quiet_NaN();
    });
  }
};

template <class T> struct CrossEntropyPull : RowProgram {
  const T* logits;
  const std::int64_t* labels;
  const T *lse, *dloss;
  T* dlogits;
  index_t rows, cols;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    each_row(block, rows, [&](int, index_t row, index_t lane) {
      for (index_t j = lane; j < cols; j += row_lanes)
        dlogits[row * cols + j] = dloss[row] * (std::exp(logits[row * cols + j] - lse[row]) -
                                                (labels[row] == j ? T(1) : T(0)));
    });
  }
};

}  // namespace detail

/// y = softmax(x) per row.
template <class T> void softmax_forward(Cuda, const T* x, T* y, index_t rows, index_t cols) {
  detail::launch_rows(Cuda{}, rows, detail::SoftmaxForward<T>{{}, x, y, rows, cols});
}

/// dx = y · (dy − Σ y · dy) per row.
template <class T>
void softmax_backward(Cuda, const T* y, const T* dy, T* dx, index_t rows, index_t cols) {
  detail::launch_rows(Cuda{}, rows, detail::SoftmaxPull<T>{{}, y, dy, dx, rows, cols});
}

/// loss[i] = lse[i] − logits[i, labels[i]], lse = log-sum-exp of the row.
/// A label outside [0, cols) makes its loss NaN, and gives an error when the host reads a value the
/// next time.
template <class T>
void cross_entropy_forward(Cuda, const T* logits, const std::int64_t* labels, T* loss, T* lse,
                           index_t rows, index_t cols) {
  detail::note_outside(Cuda{}, "cross_entropy", labels, rows, cols, true);
  detail::launch_rows(Cuda{}, rows,
                      detail::CrossEntropyForward<T>{{}, logits, labels, loss, lse, rows, cols});
}

/// dlogits = dloss · (softmax(logits) − one-hot(label)).
template <class T>
void cross_entropy_backward(Cuda, const T* logits, const std::int64_t* labels, const T* lse,
                            const T* dloss, T* dlogits, index_t rows, index_t cols) {
  detail::launch_rows(
      Cuda{}, rows,
      detail::CrossEntropyPull<T>{{}, logits, labels, lse, dloss, dlogits, rows, cols});
}

HLIP_END
