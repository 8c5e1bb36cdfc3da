// Layer norm of the Cuda backend. 32 threads share a row and keep it in registers between their passes over it: what is read of a row of up
// to 1024 numbers is read once. Which thread adds which numbers depends on the shape alone.
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

/// Numbers of a row that a thread keeps, and columns that its 32 threads have then: longer rows are read anew in each pass, piece by piece.
inline constexpr int kept_numbers = 32, kept_columns = kept_numbers * row_lanes;

/// fn(i, column, n) for the quads that a lane has in the columns from `first` on: kept as numbers i … i + 3, n of them in the row (n <= 0: none).
template <class Fn>
HLIP_FN void each_quad(index_t cols, index_t first, index_t lane, Fn fn) {
  const int left = static_cast<int>(cols - first < kept_columns ? cols - first : kept_columns), at = 4 * static_cast<int>(lane);
  HLIP_UNROLL
  for (int i = 0; i < kept_numbers; i += 4) fn(i, first + at + i * row_lanes, left - at - i * row_lanes);
}

/// Every fn(first) for the pieces of a row.
template <class Fn>
HLIP_FN void each_piece(index_t cols, Fn fn) {
  for (index_t first = 0; first < cols; first += kept_columns) fn(first);
}

// `Whole`: rows begin where quads can be read, and consist of them.

template <bool Whole, class T, class S>
struct LayerNormForward : RowProgram {
  LayerNormArgs<T, S> a;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
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
            const T centred = (Whole ? n > 0 : k < n) ? kept(thread)[i + k] - mean(thread)[0] : T(0);
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

template <bool Whole, class T, class S>
struct LayerNormPull : RowProgram {
  LayerNormGradArgs<T, S> a;

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    auto hat = block.template per_thread<T, kept_numbers>(), g = block.template per_thread<T, kept_numbers>();  // x̂, and dy · weight
    auto sums = block.template per_thread<T, 2>();                                                            // Σ g and Σ g · x̂
    const auto fetch = [&](int thread, index_t row, index_t lane, index_t first) {
      const T mean = a.mean[row], rstd = a.rstd[row];
      each_quad(a.cols, first, lane, [&](int i, index_t column, int n) {
        const Quad<T> x = some_of_quad<Whole>(a.x + row * a.cols + column, n);
        const Quad<S> dy = some_of_quad<Whole>(a.dy + row * a.cols + column, n);
        Quad<T> weight{{T(1), T(1), T(1), T(1)}};
        if (a.weight) weight = some_of_quad<Whole>(a.weight + column, n);
        for (int k = 0; k < 4; ++k) {
          hat(thread)[i + k] = (x.v[k] - mean) * rstd;
          g(thread)[i + k] = static_cast<T>(dy.v[k]) * weight.v[k];
        }
      });
    };
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      each_piece(a.cols, [&](index_t first) {
        fetch(thread, row, lane, first);
        HLIP_UNROLL
        for (int i = 0; i < kept_numbers; ++i) {
          sums(thread)[0] += g(thread)[i];
          sums(thread)[1] += g(thread)[i] * hat(thread)[i];
        }
      });
    });
    block.template reduce<row_lanes>(sums, Plus{});
    each_row(block, a.rows, [&](int thread, index_t row, index_t lane) {
      const T inverse = T(1) / static_cast<T>(a.cols), shift = inverse * sums(thread)[0], slope = inverse * sums(thread)[1], rstd = a.rstd[row];
      each_piece(a.cols, [&](index_t first) {
        if (a.cols > kept_columns) fetch(thread, row, lane, first);
        each_quad(a.cols, first, lane, [&](int i, index_t column, int n) {
          T* to = a.dx + row * a.cols + column;
          Quad<T> dx{};
          if (a.add_dx) dx = some_of_quad<Whole>(to, n);
          for (int k = 0; k < 4; ++k) dx.v[k] += rstd * (g(thread)[i + k] - shift - hat(thread)[i + k] * slope);
          store_some_of_quad<Whole>(to, dx, n);
        });
      });
    });
  }
};

/// What a row adds to four columns of dweight and dbias.
template <class T>
struct LayerNormTerms {
  Quad<T> dweight, dbias;
};
/// dy · x̂ and dy.
template <bool Whole, class T, class S>
struct LayerNormRowTerms {
  LayerNormGradArgs<T, S> a;
  HLIP_FN LayerNormTerms<T> operator()(index_t row, index_t column, int n) const {
    const Quad<T> x = some_of_quad<Whole>(a.x + row * a.cols + column, n);
    const Quad<S> dy = some_of_quad<Whole>(a.dy + row * a.cols + column, n);
    const T mean = a.mean[row], rstd = a.rstd[row];
    LayerNormTerms<T> terms;
    for (int k = 0; k < 4; ++k) {
      terms.dbias.v[k] = static_cast<T>(dy.v[k]);
      terms.dweight.v[k] = terms.dbias.v[k] * ((x.v[k] - mean) * rstd);
    }
    return terms;
  }
};
/// The sums of runs of rows, (runs, 2, cols).
template <bool Whole, class T>
struct LayerNormRunTerms {
  const T* partial;
  index_t cols;
  HLIP_FN LayerNormTerms<T> operator()(index_t run, index_t column, int n) const {
    const T* p = partial + 2 * run * cols + column;
    return {some_of_quad<Whole>(p, n), some_of_quad<Whole>(p + cols, n)};
  }
};

/// Sums of the terms of each run of rows: a block takes 128 columns of a run, and 32 threads of it every eighth row, four of them at a time
/// so that enough is on its way.
template <class T, class Terms>
struct LayerNormColumns {
  static constexpr int groups = 8, threads = groups * row_lanes, columns = 4 * row_lanes, rows_at_once = 4;
  static constexpr std::size_t shared_bytes = 2 * groups * columns * sizeof(T);
  Terms terms;
  index_t rows, cols, run;
  T *dweight, *dbias;  ///< of the first run, or none
  index_t step;        ///< from one run to the next

  template <class Block>
  HLIP_FN void operator()(Block& block) const {
    T* sums = block.template shared<T>(2 * groups * columns);  // (2, groups, columns)
    const index_t across = (cols + columns - 1) / columns, at = quotient(block.index(), across), left = (block.index() - at * across) * columns;
    block.phase([&](int thread) {
      const int group = thread / row_lanes, lane = thread % row_lanes;
      const index_t column = left + 4 * lane, last = (at + 1) * run < rows ? (at + 1) * run : rows;
      const int n = cols - column < 4 ? static_cast<int>(cols - column) : 4;
      Quad<T> sum[2] = {};
      for (index_t row = at * run + group; row < last; row += groups * rows_at_once) {
        LayerNormTerms<T> next[rows_at_once];
        HLIP_UNROLL
        for (int u = 0; u < rows_at_once; ++u) next[u] = terms(row + u * groups < last ? row + u * groups : last - 1, column, n);
        HLIP_UNROLL
        for (int u = 0; u < rows_at_once; ++u)
          for (int k = 0; k < 4; ++k) {
            sum[0].v[k] += row + u * groups < last ? next[u].dweight.v[k] : T(0);
            sum[1].v[k] += row + u * groups < last ? next[u].dbias.v[k] : T(0);
          }
      }
      for (int which = 0; which < 2; ++which)
        for (int k = 0; k < 4; ++k) sums[(which * groups + group) * columns + 4 * lane + k] = sum[which].v[k];
    });
    block.each([&](int thread) {  // as many threads as sums
      const int which = thread / columns, c = thread % columns;
      T* to = which == 0 ? dweight : dbias;
      if (!to || left + c >= cols) return;
      T sum = 0;
      for (int group = 0; group < groups; ++group) sum += sums[(which * groups + group) * columns + c];
      to[at * step + left + c] = sum;
    });
  }
};

template <class T, class Terms>
void launch_columns(Cuda, const Terms& terms, index_t rows, index_t cols, index_t run, T* dweight, T* dbias, index_t step) {
  using Program = LayerNormColumns<T, Terms>;
  static_assert(2 * Program::columns == Program::threads);
  const index_t runs = std::max<index_t>(1, (rows + run - 1) / run), across = (cols + Program::columns - 1) / Program::columns;
  launch_blocks(Cuda{}, runs * across, Program::shared_bytes, Program{terms, rows, cols, run, dweight, dbias, step});
}

template <bool Whole, class T, class S>
void layer_norm_pull(Cuda, const LayerNormGradArgs<T, S>& a) {
  if (a.dx) launch_rows(Cuda{}, a.rows, LayerNormPull<Whole, T, S>{{}, a});
  if (!a.dweight && !a.dbias) return;
  const index_t run = std::max<index_t>(32, (a.rows + 127) / 128), runs = std::max<index_t>(1, (a.rows + run - 1) / run);
  const CudaScratch<T> partial(2 * runs * a.cols);
  launch_columns(Cuda{}, LayerNormRowTerms<Whole, T, S>{a}, a.rows, a.cols, run, partial.data(), partial.data() + a.cols, 2 * a.cols);
  launch_columns(Cuda{}, LayerNormRunTerms<Whole, T>{partial.data(), a.cols}, runs, a.cols, runs, a.dweight, a.dbias, 0);
}

}  // namespace detail

/// y = (x - mean) · rstd · weight + bias per row; variance in a second pass over the row, so it is accurate.
template <class T, class S>
void layer_norm_forward(Cuda, const LayerNormArgs<T, S>& a) {
  using namespace detail;
  if (a.cols % 4 == 0 && takes_quads(a.x) && takes_quads(a.y) && takes_quads(a.weight) && takes_quads(a.bias)) launch_rows(Cuda{}, a.rows, LayerNormForward<true, T, S>{{}, a});
  else launch_rows(Cuda{}, a.rows, LayerNormForward<false, T, S>{{}, a});
}

/// dx, dweight, dbias of layer_norm_forward.
template <class T, class S>
void layer_norm_backward(Cuda, const LayerNormGradArgs<T, S>& a) {
  using namespace detail;
  if (a.cols % 4 == 0 && takes_quads(a.x) && takes_quads(a.dy) && takes_quads(a.dx) && takes_quads(a.weight)) layer_norm_pull<true>(Cuda{}, a);
  else layer_norm_pull<false>(Cuda{}, a);
}

HLIP_END
