// Linear resampling along three axes in one pass, of a volume that need not exist in memory: rows
// are asked for when they are needed, and each thread keeps two planes.
#pragma once

#include <hlip/backend/cpu/memory.hpp>
#include <hlip/backend/cpu/resample.hpp>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One axis of resample_planes: output o, begin <= o < begin + count, is first[o]·x[index[o]] +
/// second[o]·x[index[o] + 1] (the last index twice at the end of the axis), or x[o] when the size
/// stays.
struct PlaneAxis {
  index_t n_in = 0, begin = 0, count = 0;
  bool same = false;
  std::vector<std::int32_t> index, next;  ///< of the wanted outputs only
  std::vector<float> first, second;
};

namespace detail {

/// out = a·wa + b·wb, rounded as resample_axis does it; without b a copy of a.
inline void blend_rows(float* out, const float* a, float wa, const float* b, float wb, index_t n) {
  if (!b) std::copy(a, a + n, out);
  else
    for (index_t i = 0; i < n; ++i) out[i] = multiply_add(wb, b[i], wa * a[i]);
}

/// Two rows or planes, by the index they were made for: reused as long as the next output needs
/// them.
class PlanePair {
 public:
  explicit PlanePair(index_t size) : memory_(static_cast<std::size_t>(2 * size)), size_(size) {}
  void forget() { held_ = {-1, -1}; }
  /// The entry `i`; `make(memory)` fills it when it is not there. `keep` stays.
  template <class Make> float* get(index_t i, index_t keep, Make make) {
    for (std::size_t s : {std::size_t{0}, std::size_t{1}})
      if (held_[s] == i) return slot(s);
    const std::size_t s = held_[0] == keep ? 1 : 0;
    held_[s] = i;
    make(slot(s));
    return slot(s);
  }

 private:
  float* slot(std::size_t s) { return memory_.data() + s * static_cast<std::size_t>(size_); }
  std::vector<float> memory_;
  index_t size_;
  std::array<index_t, 2> held_ = {-1, -1};
};

/// What one thread of resample_planes works with.
struct PlaneScratch {
  std::vector<float> row;
  PlanePair rows, planes;
  PlaneScratch(index_t n_in, index_t width, index_t height)
      : row(static_cast<std::size_t>(n_in)), rows(width), planes(width * height) {}
};

/// Resamples a row along W.
inline void resample_row(const PlaneAxis& w, const float* in, float* out) {
  if (w.same) {
    std::copy(in + w.begin, in + w.begin + w.count, out);
    return;
  }
  const std::int32_t *index = w.index.data(), *next = w.next.data();
  const float *first = w.first.data(), *second = w.second.data();
  for (index_t i = 0; i < w.count; ++i)
    out[i] = multiply_add(second[i], in[next[i]], first[i] * in[index[i]]);
}

/// Calls use(lower, upper, weight of lower, weight of upper) with the two entries output i of an
/// axis is made of; without an upper one it is the lower as it stands.
template <class Get, class Use>
void blend_pair(const PlaneAxis& axis, index_t i, Get get, Use use) {
  if (axis.same) {
    use(get(axis.begin + i, index_t{-1}), nullptr, 1.f, 0.f);
    return;
  }
  const auto at = static_cast<std::size_t>(i);
  const index_t a = axis.index[at], b = axis.next[at];
  const float* lower = get(a, b);
  use(lower, get(b, a), axis.first[at], axis.second[at]);
}

}  // namespace detail

/// Resamples W, then H, then D, each output plane as soon as its two input planes are there: the
/// values of three calls of resample_axis, bit for bit and with any number of threads.
///
/// @param axes   D, H, W; their `begin` and `count` say which outputs are wanted: nothing else is
///               computed
/// @param row    row(d, h, scratch) gives the n_in(W) values of an input row, in `scratch` or
///               anywhere else
/// @param target target(d, h) says where row (d, h) of the wanted outputs is written
/// @param finish finish(row) may change the count(W) values of a finished row
template <class Row, class Target, class Finish>
void resample_planes(Cpu, const std::array<PlaneAxis, 3>& axes, Row row, Target target,
                     Finish finish) {
  const PlaneAxis &D = axes[0], &H = axes[1], &W = axes[2];
  if (D.count <= 0 || H.count <= 0 || W.count <= 0) return;
  index_t threads = 1;
#if defined(_OPENMP)
  threads = std::min<index_t>(omp_get_max_threads(), D.count);
#endif
  // Made here: memory that runs out must not do so inside a parallel region
  std::vector<detail::PlaneScratch> scratch;
  for (index_t t = 0; t < threads; ++t) scratch.emplace_back(W.n_in, W.count, H.count);
  const auto plane = [&](detail::PlaneScratch& mine, index_t d, float* out) {
    mine.rows.forget();
    for (index_t h = 0; h < H.count; ++h) {
      const auto get = [&](index_t i, index_t keep) {
        return mine.rows.get(
            i, keep, [&](float* to) { detail::resample_row(W, row(d, i, mine.row.data()), to); });
      };
      detail::blend_pair(H, h, get, [&](const float* a, const float* b, float wa, float wb) {
        detail::blend_rows(out + h * W.count, a, wa, b, wb, W.count);
      });
    }
  };
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(threads))
  // A run of neighbouring planes each, so that input planes are seldom made twice
  for (index_t t = 0; t < threads; ++t) {
    detail::PlaneScratch& mine = scratch[static_cast<std::size_t>(t)];
    for (index_t d = D.count * t / threads; d < D.count * (t + 1) / threads; ++d) {
      const auto get = [&](index_t i, index_t keep) {
        return mine.planes.get(i, keep, [&](float* to) { plane(mine, i, to); });
      };
      detail::blend_pair(D, d, get, [&](const float* a, const float* b, float wa, float wb) {
        for (index_t h = 0; h < H.count; ++h) {
          float* out = target(d, h);
          detail::blend_rows(out, a + h * W.count, wa, b ? b + h * W.count : nullptr, wb, W.count);
          finish(out);
        }
      });
    }
  }
}

HLIP_END
