// Layer norm of the Cuda backend. 32 threads share a row and keep it in registers between their
// passes over it: what is read of a row of up to 1024 numbers is read once. Which thread adds which
// numbers depends on the shape alone.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/cuda/block.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/quad.hpp>
#include <hlip/backend/cuda/rows.hpp>

#include <algorithm>
#include <cmath>

HLIP_BEGIN

namespace detail {

/// Numbers of a row that a thread keeps, and columns that its 32 threads have then: longer rows are
/// read anew in each pass, piece by piece.
inline constexpr int kept_numbers = 32, kept_columns = kept_numbers * row_lanes;

/// fn(i, column, n) for the quads that a lane has in the columns from `first` on: kept as numbers i
/// … i + 3, n of them in the row (n <= 0: none).
template <class Fn> HLIP_FN void each_quad(index_t cols, index_t first, index_t lane, Fn fn) {
  const int left = static_cast<int>(cols - first < kept_columns ? cols - first : kept_columns),
            at = 4 * static_cast<int>(lane);
  HLIP_UNROLL
  for (int i = 0; i < kept_numbers; i += 4)
    fn(i, first + at + i * row_lanes, left - at - i * row_lanes);
}

/// Every fn(first) for the pieces of a row.
template <class Fn> HLIP_FN void each_piece(index_t cols, Fn fn) {
  for (index_t first = 0; first < cols; first += kept_columns) fn(first);
}

// `Whole`: rows begin where quads can be read, and consist of them.

template <bool Whole, class T, class S> struct LayerNormForward : RowProgram {
  LayerNormArgs<T, S> a;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    auto kept = block.template per_thread<T, kept_numbers>();
    auto mean = block.template per_thread<T, 1>(), var = block.template per_thread<T, 1>();
    const T inverse = T(1) / static_cast<T>(a.cols);
    const auto fetch = [&](T(&x)[kept_numbers], index_t row, index_t lane, index_t first) {
      each_quad(a.cols, first, lane, [&](int i, index_t column, int n) {
        const Quad<T> q = some_of_quad<Whole>(a.x + row * a.cols + column, n);
        for (int k = 0; k < 4; ++k) x[i + k] = q.v[k];
      });
    };
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      each_piece(a.cols, [&](index_t first) {
        fetch(kept(thread), row, lane, first);
        HLIP_UNROLL
        for (int i = 0; i < kept_numbers; ++i) mean(thread)[0] += kept(thread)[i];
      });
    });
    block.template reduce<row_lanes>(mean, Plus{});
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      mean(thread)[0] *= inverse;
      each_piece(a.cols, [&](index_t first) {
        if (a.cols > kept_columns) fetch(kept(thread), row, lane, first);
        each_quad(a.cols, first, lane, [&](int i, index_t, int n) {
          for (int k = 0; k < 4; ++k) {
            const T centred = (Whole ? n > 0 : k < n) ? kept(thread)[i + k] - mean(thread)[0]
                                                      : T(0);
            var(thread)[0] += centred * centred;
          }
        });
      });
    });
    block.template reduce<row_lanes>(var, Plus{});
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      const T rstd = T(1) / std::sqrt(var(thread)[0] * inverse + a.eps);
      each_piece(a.cols, [&](index_t first) {
        if (a.cols > kept_columns) fetch(kept(thread), row, lane, first);
        each_quad(a.cols, first, lane, [&](int i, index_t column, int n) {
          Quad<T> weight{}, bias{};
          if (a.weight) weight = some_of_quad<Whole>(a.weight + column, n);
          if (a.bias) bias = some_of_quad<Whole>(a.bias + column, n);
          Quad<S> y;
          for (int k = 0; k < 4; ++k) {
            T value = (kept(thread)[i + k] - mean(thread)[0]) * rstd;
            if (a.weight) value *= weight.v[k];
            if (a.bias) value += bias.v[k];
            y.v[k] = static_cast<S>(value);
          }
          store_some_of_quad<Whole>(a.y + row * a.cols + column, y, n);
        });
      });
      if (lane == 0 && a.mean) a.mean[row] = mean(thread)[0];
      if (lane == 0 && a.rstd) a.rstd[row] = rstd;
    });
  }
};

/// dx, and in partial (runs, 2, cols) what each run of rows adds to dweight and dbias. A block
/// takes a run, eight rows at a time, and one piece of the columns: it goes through all pieces of a
/// row for the sums, and its own comes last and is still there for the rest.
template <bool Whole, class T, class S> struct LayerNormPull : RowProgram {
  static constexpr std::size_t shared_bytes = rows_per_block * kept_columns * sizeof(T);
  LayerNormGradArgs<T, S> a;
  T* partial;  ///< or none
  index_t run;

  HLIP_FN Quad<T> weights(index_t column, int n) const {
    return a.weight ? some_of_quad<Whole>(a.weight + column, n) : Quad<T>{{T(1), T(1), T(1), T(1)}};
  }

  template <class Block> HLIP_FN void operator()(Block& block) const {
    // One function: a block program, whose phases share its registers.
    auto hat = block.template per_thread<T, kept_numbers>(),
         dy = block.template per_thread<T, kept_numbers>();
    auto dweight = block.template per_thread<T, kept_numbers>(),
         dbias = block.template per_thread<T, kept_numbers>();
    auto sums = block.template per_thread<T, 2>();  // Σ g and Σ g · x̂, g = dy · weight
    T* shared = block.template shared<T>(rows_per_block * kept_columns);
    const index_t pieces = (a.cols + kept_columns - 1) / kept_columns,
                  at = quotient(block.index(), pieces), piece = block.index() - at * pieces;
    const index_t own = piece * kept_columns,
                  end = (at + 1) * run < a.rows ? (at + 1) * run : a.rows;
    for (index_t top = at * run; top < end; top += rows_per_block) {
      block.each([&](int thread) {
        const index_t row = top + thread / row_lanes, lane = thread % row_lanes;
        if (row >= end) return;
        const T mean = a.mean[row], rstd = a.rstd[row];
        sums(thread)[0] = sums(thread)[1] = 0;
        for (index_t turn = 1; turn <= pieces; ++turn) {
          each_quad(a.cols, (piece + turn) % pieces * kept_columns, lane,
                    [&](int i, index_t column, int n) {
                      const Quad<T> x = some_of_quad<Whole>(a.x + row * a.cols + column, n),
                                    weight = weights(column, n);
                      const Quad<S> d = some_of_quad<Whole>(a.dy + row * a.cols + column, n);
                      for (int k = 0; k < 4; ++k) {
                        hat(thread)[i + k] = (x.v[k] - mean) * rstd;
                        dy(thread)[i + k] = static_cast<T>(d.v[k]);
                        const T g = dy(thread)[i + k] * weight.v[k];
                        sums(thread)[0] += g;
                        sums(thread)[1] += g * hat(thread)[i + k];
                      }
                    });
        }
        HLIP_UNROLL
        for (int i = 0; i < kept_numbers; ++i) {
          dweight(thread)[i] += dy(thread)[i] * hat(thread)[i];
          dbias(thread)[i] += dy(thread)[i];
        }
      });
      block.template reduce<row_lanes>(sums, Plus{});
      block.each([&](int thread) {
        const index_t row = top + thread / row_lanes, lane = thread % row_lanes;
        if (row >= end || !a.dx) return;
        const T inverse = T(1) / static_cast<T>(a.cols), shift = inverse * sums(thread)[0],
                slope = inverse * sums(thread)[1], rstd = a.rstd[row];
        each_quad(a.cols, own, lane, [&](int i, index_t column, int n) {
          const Quad<T> weight = weights(column, n);
          T* to = a.dx + row * a.cols + column;
          Quad<T> dx{};
          if (a.add_dx) dx = some_of_quad<Whole>(to, n);
          for (int k = 0; k < 4; ++k)
            dx.v[k] += rstd *
                       (dy(thread)[i + k] * weight.v[k] - shift - hat(thread)[i + k] * slope);
          store_some_of_quad<Whole>(to, dx, n);
        });
      });
    }
    if (!partial) return;
    for (int which = 0; which < 2; ++which) {
      block.phase([&](int thread) {
        each_quad(a.cols, own, thread % row_lanes, [&](int i, index_t column, int) {
          for (int k = 0; k < 4; ++k)
            shared[thread / row_lanes * kept_columns + column - own + k] =
                which == 0 ? dweight(thread)[i + k] : dbias(thread)[i + k];
        });
      });
      block.phase([&](int thread) {
        for (index_t c = thread; c < kept_columns && own + c < a.cols; c += threads) {
          T sum = 0;
          for (int row = 0; row < rows_per_block; ++row) sum += shared[row * kept_columns + c];
          partial[(2 * at + which) * a.cols + own + c] = sum;
        }
      });
    }
  }
};

/// dweight and dbias from the partial sums of all runs: 32 threads take columns side by side, and
/// eight times that every eighth run.
template <class T> struct LayerNormTotal : RowProgram {
  static constexpr std::size_t shared_bytes = threads * sizeof(T);
  const T* partial;
  index_t runs, cols;
  T *dweight, *dbias;  ///< or none

  template <class Block> HLIP_FN void operator()(Block& block) const {
    T* sums = block.template shared<T>(threads);
    const index_t across = (cols + row_lanes - 1) / row_lanes,
                  which = quotient(block.index(), across),
                  left = (block.index() - which * across) * row_lanes;
    T* to = which == 0 ? dweight : dbias;
    block.phase([&](int thread) {
      const index_t column = left + thread % row_lanes;
      T sum = 0;
      if (column < cols)
        for (index_t at = thread / row_lanes; at < runs; at += rows_per_block)
          sum += partial[(2 * at + which) * cols + column];
      sums[thread] = sum;
    });
    block.each([&](int thread) {
      if (thread >= row_lanes || left + thread >= cols || !to) return;
      T sum = 0;
      for (int part = 0; part < rows_per_block; ++part) sum += sums[part * row_lanes + thread];
      to[left + thread] = sum;
    });
  }
};

template <bool Whole, class T, class S>
void layer_norm_pull(Cuda, const LayerNormGradArgs<T, S>& a) {
  using Pull = LayerNormPull<Whole, T, S>;
  const bool sums = a.dweight || a.dbias;
  // Runs depend on the shape alone: at most 128, so that each multiprocessor of a large GPU has
  // one.
  const index_t run = (a.rows + 128 * rows_per_block - 1) / (128 * rows_per_block) * rows_per_block,
                runs = run > 0 ? (a.rows + run - 1) / run : 0;
  const CudaScratch<T> partial(sums ? 2 * runs * a.cols : 0);
  launch_blocks(Cuda{}, runs * ((a.cols + kept_columns - 1) / kept_columns), Pull::shared_bytes,
                Pull{{}, a, sums ? partial.data() : nullptr, run});
  if (sums)
    launch_blocks(Cuda{}, 2 * ((a.cols + row_lanes - 1) / row_lanes),
                  LayerNormTotal<T>::shared_bytes,
                  LayerNormTotal<T>{{}, partial.data(), runs, a.cols, a.dweight, a.dbias});
}

}  // namespace detail

/// y = (x - mean) · rstd · weight + bias per row; variance in a second pass over the row, so it is
/// accurate.
template <class T, class S> void layer_norm_forward(Cuda, const LayerNormArgs<T, S>& a) {
  using namespace detail;
  if (a.cols % 4 == 0 && takes_quads(a.x) && takes_quads(a.y) && takes_quads(a.weight) &&
      takes_quads(a.bias))
    launch_rows(Cuda{}, a.rows, LayerNormForward<true, T, S>{{}, a});
  else launch_rows(Cuda{}, a.rows, LayerNormForward<false, T, S>{{}, a});
}

/// dx, dweight, dbias of layer_norm_forward.
template <class T, class S> void layer_norm_backward(Cuda, const LayerNormGradArgs<T, S>& a) {
  using namespace detail;
  if (a.cols % 4 == 0 && takes_quads(a.x) && takes_quads(a.dy) && takes_quads(a.dx) &&
      takes_quads(a.weight))
    layer_norm_pull<true>(Cuda{}, a);
  else layer_norm_pull<false>(Cuda{}, a);
}

HLIP_END
