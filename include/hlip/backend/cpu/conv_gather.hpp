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
      : x_(x),
        end_(x + (batch - 1) * picture + channels * axes[0].size * axes[1].size * axes[2].size),
        batch_(batch),
        channels_(channels),
        picture_(picture),
        axes_(std::move(axes)) {
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

  /// Goes through rows of the matrix and gathers what some columns have in them.
  class Rows {
   public:
    /// @param runs the columns; `lines` is room for as many pointers
    Rows(const GatheredColumns& m, index_t row, const std::vector<ColumnRun>& runs,
         std::vector<const T*>& lines)
        : m_(m), runs_(runs), lines_(lines) {
      for (std::size_t a = 3; a-- > 0;) {
        tap_[a] = row % m.axes_[a].taps();
        row /= m.axes_[a].taps();
      }
      channel_ = row;
      find_lines();
    }
    /// to[run.begin + i] = what column i of each run has in this row; then the next row's turn
    void gather_next(T* to) {
      const GatherAxis& w = m_.axes_[2];
      const index_t offset = w.offset[static_cast<std::size_t>(tap_[2])];
      for (std::size_t r = 0; r < runs_.size(); ++r)
        gather(w, lines_[r], runs_[r].at[2] * w.step + offset, runs_[r].count, to + runs_[r].begin);
      if (++tap_[2] < w.taps()) return;
      tap_[2] = 0;
      for (std::size_t a : {std::size_t{1}, std::size_t{0}}) {
        if (++tap_[a] < m_.axes_[a].taps()) return find_lines();
        tap_[a] = 0;
      }
      if (++channel_ < m_.channels_) find_lines();
    }

   private:
    /// The line that each run reads in this row; none outside of the picture.
    void find_lines() {
      const auto& [d, h, w] = m_.axes_;
      const index_t deep = d.offset[static_cast<std::size_t>(tap_[0])],
                    down = h.offset[static_cast<std::size_t>(tap_[1])];
      lines_.clear();
      for (const ColumnRun& run : runs_) {
        const index_t z = run.at[0] * d.step + deep, y = run.at[1] * h.step + down;
        const bool inside = z >= 0 && z < d.size && y >= 0 && y < h.size;
        lines_.push_back(inside ? m_.x_ + run.picture * m_.picture_ +
                                      ((channel_ * d.size + z) * h.size + y) * w.size
                                : nullptr);
      }
    }
    /// to[i] = line[x + i · step], zero outside of the line. Writes whole packets, and so a little
    /// further: that is where the next run or row goes.
    void gather(const GatherAxis& w, const T* line, index_t x, index_t count, T* to) const {
      if (!line) return static_cast<void>(std::fill_n(to, count, T(0)));
      // columns [inside, outside) read the line, the others the padding beside it
      index_t inside = 0, outside = count;
      if (x < 0) inside = std::min(count, div_up(-x, w.step));
      if (x + (count - 1) * w.step >= w.size)
        outside = std::max(inside, x < w.size ? (w.size - 1 - x) / w.step + 1 : 0);
      if (w.step == 1) copy(line + x + inside, outside - inside, to + inside);
      else
        for (index_t i = inside; i < outside; ++i) to[i] = line[x + i * w.step];
      for (index_t i = 0; i < inside; ++i) to[i] = T(0);
      for (index_t i = outside; i < count; ++i) to[i] = T(0);
    }
    void copy(const T* from, index_t n, T* to) const {
      if (m_.end_ - from < round_up(n, packet_width<T>))
        return static_cast<void>(std::copy_n(from, n, to));
      for (index_t i = 0; i < n; i += packet_width<T>)
        simd::pstoreu(to + i, simd::ploadu<Packet<T>>(from + i));
    }

    const GatheredColumns& m_;
    const std::vector<ColumnRun>& runs_;
    std::vector<const T*>& lines_;
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

  const T *x_, *end_;
  index_t batch_, channels_, picture_;
  Axes axes_;
};

/// What packing works with, kept by a thread from tile to tile.
template <class T> struct GatherScratch {
  std::vector<ColumnRun> runs;
  std::vector<const T*> lines;

  void find_runs(const GatheredColumns<T>& m, index_t begin, index_t end) {
    runs.clear();
    m.for_each_run(begin, end, [&](const ColumnRun& run) { runs.push_back(run); });
  }
};

/// Rows [k0, k0 + k) of columns [j0, j0 + cols), as pack_b of gemm.hpp has a matrix.
template <class T>
void pack_columns(const GatheredColumns<T>& m, index_t k0, index_t k, index_t j0, index_t cols,
                  GatherScratch<T>& scratch, T* to) {
  constexpr int nr = tile_cols<T>;
  for (index_t j = 0; j < cols; j += nr, to += k * nr) {
    const index_t width = std::min<index_t>(nr, cols - j);
    if (width < nr) std::fill(to, to + k * nr, T(0));
    scratch.find_runs(m, j0 + j, j0 + j + width);
    typename GatheredColumns<T>::Rows rows(m, k0, scratch.runs, scratch.lines);
    for (index_t p = 0; p < k; ++p) rows.gather_next(to + p * nr);
  }
}

/// The same of the transpose: its rows are columns [k0, k0 + k), its columns rows [j0, j0 + cols).
/// @param line room for a packet's width of lines of k and a packet
template <class T>
void pack_columns_transposed(const GatheredColumns<T>& m, index_t k0, index_t k, index_t j0,
                             index_t cols, GatherScratch<T>& scratch, T* line, T* to) {
  constexpr int nr = tile_cols<T>, w = packet_width<T>;
  scratch.find_runs(m, k0, k0 + k);
  typename GatheredColumns<T>::Rows rows(m, j0, scratch.runs, scratch.lines);
  for (index_t j = 0; j < cols; j += nr, to += k * nr) {
    const index_t width = std::min<index_t>(nr, cols - j);
    if (width < nr) std::fill(to, to + k * nr, T(0));
    for (index_t s = 0; s < width; s += w) {
      const index_t lines = std::min<index_t>(w, width - s);
      for (index_t i = 0; i < lines; ++i) rows.gather_next(line + i * k);
      transpose_into(lines, k, line, k, to + s, nr);
    }
  }
}

}  // namespace detail

HLIP_END
