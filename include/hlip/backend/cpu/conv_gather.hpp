// What a convolution multiplies its weights by: a matrix that is never written out. Its columns are
// outputs, its rows channels and taps; pieces of it are gathered from the pictures straight into
// the packed panels of a product.
#pragma once

#include <hlip/backend/cpu/kernel.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// One axis: column q reads element q·step + offset[t] at tap t, and nothing outside of [0, size);
/// its product goes to element first + q·stride of a line of target_size.
struct GatherAxis {
  index_t count = 1, size = 1, step = 1;
  std::vector<index_t> offset = {0};
  index_t target_size = 1, first = 0, stride = 1;

  index_t taps() const { return static_cast<index_t>(offset.size()); }
  /// Whether both sides pass through all of it in order, so that it goes on with the axis outside.
  bool whole() const {
    return count == size && count == target_size && step == 1 && stride == 1 && first == 0 &&
           offset.size() == 1 && offset[0] == 0;
  }
};

/// Neighbouring columns of one line: [begin, begin + count) of those asked for.
struct ColumnRun {
  index_t begin, count, picture;
  std::array<index_t, 3> at;  ///< of the first of them, along each axis
};

/// Pictures (N, channels, …) of which `channels` of one group are read.
template <class T> class GatheredColumns {
 public:
  using Axes = std::array<GatherAxis, 3>;

  /// @param x the group's first channel  @param picture elements from one picture to the next
  GatheredColumns(const T* x, index_t batch, index_t channels, index_t picture, Axes axes)
      : x_(x), batch_(batch), channels_(channels), picture_(picture), axes_(std::move(axes)) {
    for (std::size_t a : {std::size_t{1}, std::size_t{0}}) merge(axes_[a], axes_[a + 1]);
  }
  const Axes& axes() const { return axes_; }
  index_t rows() const { return channels_ * axes_[0].taps() * axes_[1].taps() * axes_[2].taps(); }
  /// Of one picture.
  index_t outputs() const { return axes_[0].count * axes_[1].count * axes_[2].count; }
  index_t columns() const { return batch_ * outputs(); }

  /// Columns [begin, end), line by line. Calls fn(ColumnRun).
  template <class Fn> void for_each_run(index_t begin, index_t end, Fn fn) const {
    for (index_t j = begin; j < end;) {
      index_t rest = j;
      ColumnRun run{j - begin, 0, 0, {}};
      for (std::size_t a = 3; a-- > 0;) {
        run.at[a] = rest % axes_[a].count;
        rest /= axes_[a].count;
      }
      run.picture = rest;
      run.count = std::min(end - j, axes_[2].count - run.at[2]);
      fn(run);
      j += run.count;
    }
  }

  /// Where a row of the matrix reads: a channel and an offset along each axis.
  class Row {
   public:
    Row(const GatheredColumns& m, index_t row) : m_(m) {
      for (std::size_t a = 3; a-- > 0;) {
        tap_[a] = row % m.axes_[a].taps();
        row /= m.axes_[a].taps();
      }
      channel_ = row;
    }
    void next() {
      for (std::size_t a = 3; a-- > 0;) {
        if (++tap_[a] < m_.axes_[a].taps()) return;
        tap_[a] = 0;
      }
      ++channel_;
    }
    /// to[run.begin + i] = what column i of the run has in this row
    void gather(const ColumnRun& run, T* to) const {
      const auto& [d, h, w] = m_.axes_;
      const index_t z = run.at[0] * d.step + offset(0), y = run.at[1] * h.step + offset(1),
                    x = run.at[2] * w.step + offset(2);
      to += run.begin;
      if (z < 0 || z >= d.size || y < 0 || y >= h.size)
        return void(std::fill_n(to, run.count, T(0)));
      const T* line = m_.x_ + run.picture * m_.picture_ +
                      ((channel_ * d.size + z) * h.size + y) * w.size;
      // columns [inside, outside) read the line, the others the padding beside it
      const index_t inside = std::clamp<index_t>(x < 0 ? div_up(-x, w.step) : 0, 0, run.count),
                    outside = std::clamp<index_t>(x < w.size ? (w.size - 1 - x) / w.step + 1 : 0,
                                                  inside, run.count);
      for (index_t i = 0; i < inside; ++i) to[i] = T(0);
      if (w.step == 1)
        for (index_t i = inside; i < outside; ++i) to[i] = line[x + i];
      else
        for (index_t i = inside; i < outside; ++i) to[i] = line[x + i * w.step];
      for (index_t i = outside; i < run.count; ++i) to[i] = T(0);
    }

   private:
    index_t offset(std::size_t a) const {
      return m_.axes_[a].offset[static_cast<std::size_t>(tap_[a])];
    }
    const GatheredColumns& m_;
    index_t channel_ = 0;
    std::array<index_t, 3> tap_{};
  };

 private:
  /// An axis that is passed through whole becomes part of the one outside, unless that skips.
  static void merge(GatherAxis& outer, GatherAxis& inner) {
    if (!inner.whole() || outer.step != 1 || outer.stride != 1) return;
    for (index_t& o : outer.offset) o *= inner.count;
    outer.count *= inner.count, outer.size *= inner.count, outer.target_size *= inner.count,
        outer.first *= inner.count;
    inner = std::exchange(outer, GatherAxis{});
  }

  const T* x_;
  index_t batch_, channels_, picture_;
  Axes axes_;
};

/// Rows [k0, k0 + k) of columns [j0, j0 + cols), as pack_b of gemm.hpp has a matrix.
template <class T>
void pack_columns(const GatheredColumns<T>& m, index_t k0, index_t k, index_t j0, index_t cols,
                  std::vector<ColumnRun>& runs, T* to) {
  constexpr int nr = tile_cols<T>;
  for (index_t j = 0; j < cols; j += nr, to += k * nr) {
    const index_t width = std::min<index_t>(nr, cols - j);
    if (width < nr) std::fill(to, to + k * nr, T(0));
    runs.clear();
    m.for_each_run(j0 + j, j0 + j + width, [&](const ColumnRun& run) { runs.push_back(run); });
    typename GatheredColumns<T>::Row row(m, k0);
    for (index_t p = 0; p < k; ++p, row.next())
      for (const ColumnRun& run : runs) row.gather(run, to + p * nr);
  }
}

/// The same of the transpose: its rows are columns [k0, k0 + k), its columns rows [j0, j0 + cols).
/// @param line room for a packet's width of lines of k
template <class T>
void pack_columns_transposed(const GatheredColumns<T>& m, index_t k0, index_t k, index_t j0,
                             index_t cols, std::vector<ColumnRun>& runs, T* line, T* to) {
  constexpr int nr = tile_cols<T>, w = packet_width<T>;
  runs.clear();
  m.for_each_run(k0, k0 + k, [&](const ColumnRun& run) { runs.push_back(run); });
  typename GatheredColumns<T>::Row row(m, j0);
  for (index_t j = 0; j < cols; j += nr, to += k * nr) {
    const index_t width = std::min<index_t>(nr, cols - j);
    if (width < nr) std::fill(to, to + k * nr, T(0));
    for (index_t s = 0; s < width; s += w) {
      const index_t lines = std::min<index_t>(w, width - s);
      for (index_t i = 0; i < lines; ++i, row.next())
        for (const ColumnRun& run : runs) row.gather(run, line + i * k);
      transpose_into(lines, k, line, k, to + s, nr);
    }
  }
}

}  // namespace detail

HLIP_END
