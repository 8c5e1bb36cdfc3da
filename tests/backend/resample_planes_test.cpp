#include <hlip/backend/cpu/resample_planes.hpp>
#include <hlip/core/random.hpp>
#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/ops/interpolate.hpp>

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>

using namespace hlip;

namespace {

Tensor<float> noise(const Shape& shape) {
  auto x = Tensor<float>::empty(shape);
  for (index_t i = 0; i < x.numel(); ++i)
    x.data()[i] = static_cast<float>(2000 * uniform_at({7, 1, 0}, static_cast<std::uint64_t>(i)) -
                                     1000);
  return x;
}

// The wanted part of a resampled tensor, made by resample_planes.
Tensor<float> planes(const Tensor<float>& x, const Shape& size, const Shape& begin,
                     const Shape& count) {
  std::array<PlaneAxis, 3> axes;
  for (int d = 0; d < 3; ++d)
    axes[static_cast<std::size_t>(d)] = detail::plane_axis(x.shape()[d], size[d], begin[d],
                                                           count[d]);
  auto out = Tensor<float>::full(count, -1);
  resample_planes(
      Cpu{}, axes, detail::rows_of(x),
      [&](index_t d, index_t h) { return out.data() + (d * count[1] + h) * count[2]; },
      [](float*) {});
  return out;
}

}  // namespace

TEST_CASE(
    "resample_planes: one pass gives the bits of one axis after the other, for any part and any "
    "number of threads") {
  const int before = omp_get_max_threads();
  const auto x = noise({7, 23, 40});
  const Shape sizes[] = {{7, 23, 40}, {13, 23, 40}, {7, 9, 40}, {7, 23, 77},
                         {3, 50, 17}, {12, 11, 90}, {1, 1, 1}};
  for (const Shape& size : sizes) {
    CAPTURE(to_string(size));
    const auto want = interpolate(x, {size[0], size[1], size[2]}, Interpolation::linear);
    Shape begin{0, 0, 0}, count = size;
    for (const bool part : {false, true}) {
      if (part)
        for (int d = 0; d < 3; ++d) {
          begin[d] = size[d] / 3;
          count[d] = std::max<index_t>(1, size[d] / 2);
        }
      const auto piece = want.slice(0, begin[0], begin[0] + count[0])
                             .slice(1, begin[1], begin[1] + count[1])
                             .slice(2, begin[2], begin[2] + count[2]);
      for (const int threads : {1, 2, 5}) {
        omp_set_num_threads(threads);
        CHECK(planes(x, size, begin, count).to_vector() == piece.to_vector());
      }
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE(
    "resample_planes: rows are finished once, and nothing outside of the wanted part is asked "
    "for") {
  const auto x = noise({5, 6, 8});
  std::array<PlaneAxis, 3> axes = {detail::plane_axis(5, 10, 2, 3), detail::plane_axis(6, 6, 1, 2),
                                   detail::plane_axis(8, 4, 0, 4)};
  index_t lowest = 5, highest = -1;
  const auto rows = detail::rows_of(x);
  const auto row = [&](index_t d, index_t h, float* scratch) {
#pragma omp critical
    lowest = std::min(lowest, d), highest = std::max(highest, d);
    CHECK((h == 1 || h == 2));
    return rows(d, h, scratch);
  };
  std::vector<float> out(3 * 2 * 4);
  resample_planes(
      Cpu{}, axes, row, [&](index_t d, index_t h) { return out.data() + (d * 2 + h) * 4; },
      [](float* v) { std::for_each(v, v + 4, [](float& y) { y += 1e6f; }); });
  // Outputs 2, 3, 4 of 10 lie at inputs 0.75, 1.25 and 1.75.
  CHECK(lowest == 0);
  CHECK(highest == 2);
  for (const float v : out) CHECK(std::abs(v - 1e6f) <= 1000);
}
