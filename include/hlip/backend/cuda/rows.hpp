// Row-wise kernels of the Cuda backend as block programs: layer norm, softmax and cross entropy over the last axis of a
// (rows, cols) matrix. 32 threads share a row and add up by a fixed tree; sums over rows go by fixed runs of rows first,
// then over the runs in order.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/block.hpp>
#include <hlip/backend/cuda/index_check.hpp>
#include <hlip/backend/cuda/memory.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

HLIP_BEGIN

namespace detail {

inline constexpr int row_lanes = 32, rows_per_block = 8, columns_per_block = 128;

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

template <class Program>
void launch_rows(Cuda, index_t rows, const Program& program) {
  launch_blocks(Cuda{}, (rows + rows_per_block - 1) / rows_per_block, 0, program);
}

template <class T>
struct LayerNormForward : RowProgram {
  LayerNormArgs<T> a;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    auto mean = block.template per_thread<T, 1>(), var = block.template per_thread<T, 1>();
    const T inverse = T(1) / static_cast<T>(a.cols);
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      for (index_t j = lane; j < a.cols; j += row_lanes) mean(thread)[0] += a.x[row * a.cols + j];
    });
    block.template reduce<row_lanes>(mean, Plus{});
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      mean(thread)[0] *= inverse;
      for (index_t j = lane; j < a.cols; j += row_lanes) {
        const T centred = a.x[row * a.cols + j] - mean(thread)[0];
        var(thread)[0] += centred * centred;
      }
    });
    block.template reduce<row_lanes>(var, Plus{});
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      const T rstd = T(1) / std::sqrt(var(thread)[0] * inverse + a.eps);
      for (index_t j = lane; j < a.cols; j += row_lanes) {
        T y = (a.x[row * a.cols + j] - mean(thread)[0]) * rstd;
        if (a.weight) y *= a.weight[j];
        if (a.bias) y += a.bias[j];
        a.y[row * a.cols + j] = y;
      }
      if (lane == 0 && a.mean) a.mean[row] = mean(thread)[0];
      if (lane == 0 && a.rstd) a.rstd[row] = rstd;
    });
  }
};

template <class T>
struct LayerNormPull : RowProgram {
  LayerNormGradArgs<T> a;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    auto sums = block.template per_thread<T, 2>();  // Σ g and Σ g · x̂, g = dy · weight
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      for (index_t j = lane; j < a.cols; j += row_lanes) {
        const T g = a.dy[row * a.cols + j] * (a.weight ? a.weight[j] : T(1));
        sums(thread)[0] += g;
        sums(thread)[1] += g * ((a.x[row * a.cols + j] - a.mean[row]) * a.rstd[row]);
      }
    });
    block.template reduce<row_lanes>(sums, Plus{});
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      const T inverse = T(1) / static_cast<T>(a.cols), shift = inverse * sums(thread)[0], slope = inverse * sums(thread)[1], rstd = a.rstd[row];
      for (index_t j = lane; j < a.cols; j += row_lanes) {
        const T g = a.dy[row * a.cols + j] * (a.weight ? a.weight[j] : T(1)), hat = (a.x[row * a.cols + j] - a.mean[row]) * rstd;
        a.dx[row * a.cols + j] = rstd * (g - shift - hat * slope);
      }
    });
  }
};

/// partial (runs, 2, cols): Σ dy · x̂ and Σ dy over each run of rows, a thread for each column.
template <class T>
struct LayerNormRuns {
  static constexpr int threads = columns_per_block;
  LayerNormGradArgs<T> a;
  T* partial;
  index_t run;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    const index_t blocks = (a.cols + threads - 1) / threads, at = block.index() / blocks;
    block.each([&](int thread) {
      const index_t column = block.index() % blocks * threads + thread, last = (at + 1) * run < a.rows ? (at + 1) * run : a.rows;
      if (column >= a.cols) return;
      T dweight = 0, dbias = 0;
      for (index_t row = at * run; row < last; ++row) {
        const T dy = a.dy[row * a.cols + column];
        dweight += dy * ((a.x[row * a.cols + column] - a.mean[row]) * a.rstd[row]);
        dbias += dy;
      }
      partial[2 * at * a.cols + column] = dweight;
      partial[(2 * at + 1) * a.cols + column] = dbias;
    });
  }
};

/// dweight and dbias from `runs` partial sums.
template <class T>
struct LayerNormTotal {
  static constexpr int threads = columns_per_block;
  LayerNormGradArgs<T> a;
  const T* partial;
  index_t runs;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    block.each([&](int thread) {
      const index_t column = block.index() * threads + thread;
      if (column >= a.cols) return;
      T dweight = 0, dbias = 0;
      for (index_t at = 0; at < runs; ++at) {
        dweight += partial[2 * at * a.cols + column];
        dbias += partial[(2 * at + 1) * a.cols + column];
      }
      if (a.dweight) a.dweight[column] = dweight;
      if (a.dbias) a.dbias[column] = dbias;
    });
  }
};

/// top and Σ exp(x − top) of every row of x, in values(thread)[0] and [1] of all its threads.
template <class Block, class T, class Values>
HLIP_FN void row_exponentials(Block& block, const T* x, index_t rows, index_t cols, Values& top, Values& sum) {
  block.each([&](int thread) { top(thread)[0] = -std::numeric_limits<T>::infinity(); });
  RowProgram::each_row(block, rows, [&](int thread, index_t row, index_t lane) {
    for (index_t j = lane; j < cols; j += row_lanes) top(thread)[0] = Larger{}(x[row * cols + j], top(thread)[0]);
  });
  block.template reduce<row_lanes>(top, Larger{});
  RowProgram::each_row(block, rows, [&](int thread, index_t row, index_t lane) {
    for (index_t j = lane; j < cols; j += row_lanes) sum(thread)[0] += std::exp(x[row * cols + j] - top(thread)[0]);
  });
  block.template reduce<row_lanes>(sum, Plus{});
}

template <class T>
struct SoftmaxForward : RowProgram {
  const T* x;
  T* y;
  index_t rows, cols;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    auto top = block.template per_thread<T, 1>(), sum = block.template per_thread<T, 1>();
    row_exponentials(block, x, rows, cols, top, sum);
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      const T scale = T(1) / sum(thread)[0];
      for (index_t j = lane; j < cols; j += row_lanes) y[row * cols + j] = std::exp(x[row * cols + j] - top(thread)[0]) * scale;
    });
  }
};

template <class T>
struct SoftmaxPull : RowProgram {
  const T *y, *dy;
  T* dx;
  index_t rows, cols;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    auto dot = block.template per_thread<T, 1>();
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      for (index_t j = lane; j < cols; j += row_lanes) dot(thread)[0] += y[row * cols + j] * dy[row * cols + j];
    });
    block.template reduce<row_lanes>(dot, Plus{});
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      for (index_t j = lane; j < cols; j += row_lanes) dx[row * cols + j] = y[row * cols + j] * (dy[row * cols + j] - dot(thread)[0]);
    });
  }
};

template <class T>
struct CrossEntropyForward : RowProgram {
  const T* logits;
  const std::int64_t* labels;
  T *loss, *lse;
  index_t rows, cols;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    auto top = block.template per_thread<T, 1>(), sum = block.template per_thread<T, 1>();
    row_exponentials(block, logits, rows, cols, top, sum);
    each_row(block, rows, [&](int thread, index_t row, index_t lane) {
      if (lane != 0) return;
      const T most = top(thread)[0], total = most - most == T(0) ? most + std::log(sum(thread)[0]) : most;  // an infinite maximum is the result
      lse[row] = total;
      loss[row] = is_inside(labels[row], cols) ? total - logits[row * cols + labels[row]] : std::numeric_limits<T>::quiet_NaN();
    });
  }
};

template <class T>
struct CrossEntropyPull : RowProgram {
  const T* logits;
  const std::int64_t* labels;
  const T *lse, *dloss;
  T* dlogits;
  index_t rows, cols;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    each_row(block, rows, [&](int, index_t row, index_t lane) {
      for (index_t j = lane; j < cols; j += row_lanes)
        dlogits[row * cols + j] = dloss[row] * (std::exp(logits[row * cols + j] - lse[row]) - (labels[row] == j ? T(1) : T(0)));
    });
  }
};

}  // namespace detail

/// y = (x - mean) · rstd · weight + bias per row; variance in a second pass over the row, so it is accurate.
template <class T>
void layer_norm_forward(Cuda, const LayerNormArgs<T>& a) {
  detail::launch_rows(Cuda{}, a.rows, detail::LayerNormForward<T>{{}, a});
}

/// dx, dweight, dbias of layer_norm_forward.
template <class T>
void layer_norm_backward(Cuda, const LayerNormGradArgs<T>& a) {
  if (a.dx) detail::launch_rows(Cuda{}, a.rows, detail::LayerNormPull<T>{{}, a});
  if (!a.dweight && !a.dbias) return;
  // Runs depend on the shape alone.
  const index_t run = std::max<index_t>(32, (a.rows + 127) / 128), runs = (a.rows + run - 1) / run, blocks = (a.cols + detail::columns_per_block - 1) / detail::columns_per_block;
  const detail::CudaScratch<T> partial(2 * runs * a.cols);
  detail::launch_blocks(Cuda{}, runs * blocks, 0, detail::LayerNormRuns<T>{a, partial.data(), run});
  detail::launch_blocks(Cuda{}, blocks, 0, detail::LayerNormTotal<T>{a, partial.data(), runs});
}

/// y = softmax(x) per row.
template <class T>
void softmax_forward(Cuda, const T* x, T* y, index_t rows, index_t cols) {
  detail::launch_rows(Cuda{}, rows, detail::SoftmaxForward<T>{{}, x, y, rows, cols});
}

/// dx = y · (dy − Σ y · dy) per row.
template <class T>
void softmax_backward(Cuda, const T* y, const T* dy, T* dx, index_t rows, index_t cols) {
  detail::launch_rows(Cuda{}, rows, detail::SoftmaxPull<T>{{}, y, dy, dx, rows, cols});
}

/// loss[i] = lse[i] − logits[i, labels[i]], lse = log-sum-exp of the row.
/// A label outside [0, cols) makes its loss NaN, and gives an error when the host reads a value the next time.
template <class T>
void cross_entropy_forward(Cuda, const T* logits, const std::int64_t* labels, T* loss, T* lse, index_t rows, index_t cols) {
  detail::note_outside(Cuda{}, "cross_entropy", labels, rows, cols, true);
  detail::launch_rows(Cuda{}, rows, detail::CrossEntropyForward<T>{{}, logits, labels, loss, lse, rows, cols});
}

/// dlogits = dloss · (softmax(logits) − one-hot(label)).
template <class T>
void cross_entropy_backward(Cuda, const T* logits, const std::int64_t* labels, const T* lse, const T* dloss, T* dlogits, index_t rows, index_t cols) {
  detail::launch_rows(Cuda{}, rows, detail::CrossEntropyPull<T>{{}, logits, labels, lse, dloss, dlogits, rows, cols});
}

HLIP_END
