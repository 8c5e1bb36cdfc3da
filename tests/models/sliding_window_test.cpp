#include "../support/errors.hpp"

#include <hlip/models/segmentation/sliding_window.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace hlip;
using test::error_of;

namespace {

using Volume = Tensor<float, Cpu>;
using Starts = std::vector<index_t>;

Volume volume_of(const Shape& shape) {
  auto volume = Volume::empty(shape);
  for (index_t i = 0; i < volume.numel(); ++i)
    volume.data()[i] = std::sin(static_cast<float>(i + 1));
  return volume;
}
/// Two classes that say what the window holds.
Volume twice(const Volume& windows) {
  const Volume first = windows.slice(1, 0, 1), negative = first * -1;
  return concat(std::vector<Volume>{first.contiguous(), negative}, 1);
}
double largest_difference(const Volume& a, const Volume& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector(), y = b.to_vector();
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max<double>(most, std::abs(x[i] - y[i]));
  return most;
}

}  // namespace

TEST_CASE("sliding_window: where windows begin") {
  CHECK(window_starts(11, 6) == Starts{0, 3, 5});
  CHECK(window_starts(9, 5) == Starts{0, 2, 4});
  CHECK(window_starts(5, 5) == Starts{0});
  CHECK(window_starts(6, 5, 0) == Starts{0, 1});
  CHECK(window_starts(10, 5, 0) == Starts{0, 5});
  CHECK(window_starts(3, 1) == Starts{0, 1, 2});
  CHECK(window_starts(14, 10, 0.8) == Starts{0, 2, 4});
  CHECK(window_starts(6, 4, 0.99) == Starts{0, 1, 2});
  CHECK(error_of([] { window_starts(4, 5); }) ==
        "window_starts: a window of 5 on an axis of 4, expected 1 to 4");
  CHECK(error_of([] { window_starts(4, 2, 1); }).find("hint: 0.5 is half a window") !=
        std::string::npos);
}

TEST_CASE("sliding_window: a Gaussian weighs the middle most, and no voxel nothing") {
  const Volume weight = gaussian_window({5, 6, 1});
  CHECK(weight.data()[2 * 6 + 2] == 1);
  CHECK(weight.data()[2 * 6 + 3] == 1);  // even sides have two in the middle
  CHECK(weight.data()[0] == doctest::Approx(1e-3));
  CHECK(weight.data()[2 * 6 + 1] ==
        doctest::Approx(std::exp((0.5 * 0.5 - 1.5 * 1.5) / (2 * 0.75 * 0.75))));
  CHECK(error_of([] { gaussian_window({5, 6}); }).find("window is (5, 6)") != std::string::npos);
}

TEST_CASE("sliding_window: what all windows agree on comes out, in batches of what was asked") {
  const Volume volume = volume_of({2, 11, 14, 9});
  const Shape window{6, 6, 5};
  const Volume whole = volume.slice(0, 0, 1).contiguous(), negative = whole * -1,
               want = concat(std::vector<Volume>{whole, negative}, 0);
  for (const WindowWeight weight : {WindowWeight::constant, WindowWeight::gaussian})
    for (const index_t batch : {1, 4, 5, 1000}) {
      Starts batches;
      const auto predict = [&](const Volume& windows) {
        REQUIRE(windows.shape() == Shape{windows.dim(0), 2, 6, 6, 5});
        batches.push_back(windows.dim(0));
        return twice(windows);
      };
      const Volume got = sliding_window(volume, window, {.weight = weight, .batch = batch},
                                        predict);
      REQUIRE(largest_difference(got, want) < 1e-5);
      REQUIRE(batches.front() == std::min<index_t>(batch, 36));
      index_t all = 0;
      for (const index_t n : batches) all += n;
      REQUIRE(all == 36);  // 3 x 4 x 3
    }
}

TEST_CASE("sliding_window: windows that disagree are weighed") {
  // two windows of 4 on an axis of 6, which say 0 and 1
  const Volume volume = Volume::zeros({1, 1, 1, 6});
  float next = 0;
  const auto number = [&](const Volume& windows) { return Volume::full(windows.shape(), next++); };
  SlidingWindowOptions options{.weight = WindowWeight::constant, .batch = 1};
  CHECK(sliding_window(volume, {1, 1, 4}, options, number).to_vector() ==
        std::vector<float>{0, 0, 0.5f, 0.5f, 1, 1});
  next = 0;
  options.weight = WindowWeight::gaussian;
  const auto got = sliding_window(volume, {1, 1, 4}, options, number).to_vector();
  const Volume weight = gaussian_window({1, 1, 4});
  const float* w = weight.data();
  CHECK(got[1] == 0);
  CHECK(got[2] == doctest::Approx(w[0] / (w[2] + w[0])));
  CHECK(got[3] == doctest::Approx(w[1] / (w[3] + w[1])));
}

TEST_CASE("sliding_window: a volume smaller than the window is padded and cut back") {
  const Volume volume = volume_of({1, 3, 8, 4});
  const auto predict = [&](const Volume& windows) {
    REQUIRE(windows.shape() == Shape{windows.dim(0), 1, 6, 6, 4});
    const auto first = windows.select(0, 0).select(0, 0);
    REQUIRE(first.select(0, 0).contiguous().to_vector() == std::vector<float>(24, -1));
    return twice(windows);
  };
  const Volume got = sliding_window(volume, {6, 6, 4}, {.padding = -1}, predict);
  CHECK(got.is_contiguous());
  CHECK(got.shape() == Shape{2, 3, 8, 4});
  CHECK(largest_difference(got.slice(0, 0, 1).contiguous(), volume) < 1e-5);
}

TEST_CASE("sliding_window: double, and a volume that is a view") {
  const auto wide = Tensor<double, Cpu>::arange(2 * 5 * 6 * 7).reshape({2, 5, 6, 7});
  const auto view = wide.transpose(1, 3).slice(2, 1, 6);
  const auto got = sliding_window(view, {4, 4, 4}, {},
                                  [](const Tensor<double, Cpu>& windows) { return windows; });
  const auto a = got.to_vector(), b = view.contiguous().to_vector();
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a[i] == doctest::Approx(b[i]));
}

TEST_CASE("sliding_window: what does not fit is refused") {
  const Volume volume = volume_of({1, 6, 6, 6});
  const auto with = [&](const Volume& v, const Shape& window, const SlidingWindowOptions& o,
                        auto predict) {
    return error_of([&] { sliding_window(v, window, o, predict); });
  };
  CHECK(with(volume_of({6, 6, 6}), {4, 4, 4}, {}, twice) ==
        "sliding_window: volume is (6, 6, 6), expected (C, D, H, W)");
  CHECK(with(volume, {4, 4}, {}, twice) == "sliding_window: window is (4, 4), expected (d, h, w)");
  CHECK(with(volume, {4, 4, 4}, {.batch = 0}, twice) ==
        "sliding_window: batch is 0, expected at least 1");
  CHECK(with(volume, {4, 4, 4}, {.overlap = 1}, twice).find("overlap is 1") != std::string::npos);
  CHECK(with(volume, {4, 0, 4}, {}, twice).find("expected some voxels") != std::string::npos);
  CHECK(
      with(volume, {4, 4, 4}, {}, [](const Volume& w) { return w.slice(4, 0, 3).contiguous(); }) ==
      "sliding_window: what predict gives is (4, 1, 4, 4, 3), expected (n = 4, classes, d = 4, h "
      "= 4, w = 4)");
  index_t call = 0;
  CHECK(with(volume, {4, 4, 4}, {}, [&](const Volume& w) {
          return ++call == 1 ? twice(w) : w;
        }).find("(n = 4, classes = 2, ") != std::string::npos);
}
