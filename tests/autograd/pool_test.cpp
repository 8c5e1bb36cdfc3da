#include "../support/gradients.hpp"

#include <hlip/autograd/functions/pool.hpp>

#include <limits>

using namespace test;

TEST_CASE("pooling: gradients") {
  check_gradient("max_pool2d", [](const std::vector<Variable>& v) { return max_pool2d(v[0], {2}); },
                 {numbers({2, 2, 5, 4}, 1)});
  check_gradient("max_pool2d, windows that overlap",
                 [](const std::vector<Variable>& v) {
                   return max_pool2d(v[0], {3, 2}, {.stride{1, 2}, .padding{1, 0}});
                 },
                 {numbers({1, 2, 4, 5}, 2)});
  check_gradient("max_pool3d",
                 [](const std::vector<Variable>& v) {
                   return max_pool3d(v[0], {3}, {.stride{2}, .padding{1}});
                 },
                 {numbers({1, 2, 3, 4, 5}, 3)});
  check_gradient("avg_pool2d",
                 [](const std::vector<Variable>& v) {
                   return avg_pool2d(v[0], {3}, {.stride{2}, .padding{1}});
                 },
                 {numbers({1, 2, 5, 4}, 4)});
  check_gradient("avg_pool3d",
                 [](const std::vector<Variable>& v) {
                   return avg_pool3d(v[0], {1, 2, 2});
                 },
                 {numbers({1, 2, 3, 4, 5}, 5)});
  check_gradient("adaptive_avg_pool",
                 [](const std::vector<Variable>& v) {
                   return adaptive_avg_pool(v[0], {3, 1});
                 },
                 {numbers({2, 2, 7, 4}, 6)});
  check_gradient("pixel_shuffle",
                 [](const std::vector<Variable>& v) { return pixel_shuffle(v[0], 2); },
                 {numbers({2, 8, 2, 3}, 7)});
}

TEST_CASE("pooling: values by hand") {
  const auto values = [](const Variable& y) { return y.value().to_vector(); };
  const Variable x(Array::arange(12).reshape({1, 1, 3, 4}));
  CHECK(values(max_pool2d(x, {2})) == std::vector<double>{5, 7});
  CHECK(values(max_pool2d(x, {2}, {.stride{1}, .padding{1}})) ==
        std::vector<double>{0, 1, 2, 3, 3, 4, 5, 6, 7, 7, 8, 9, 10, 11, 11, 8, 9, 10, 11, 11});
  CHECK(values(avg_pool2d(x, {2})) == std::vector<double>{2.5, 4.5});
  CHECK(values(avg_pool2d(x, {2}, {.stride{3}, .padding{1}})) ==
        std::vector<double>{0, 1.25, 2, 5.25});  // 0, 2 + 3, 8 and 10 + 11: a quarter each
  CHECK(values(adaptive_avg_pool(x, {2, 3})) == std::vector<double>{2.5, 3.5, 4.5, 6.5, 7.5, 8.5});
  const Variable channels(Array::arange(8).reshape({1, 4, 1, 2}));
  CHECK(values(pixel_shuffle(channels, 2)) == std::vector<double>{0, 2, 1, 3, 4, 6, 5, 7});
}

TEST_CASE("max pooling: of equal elements the first has the gradient, and a NaN comes through") {
  Variable x(Array::zeros({1, 1, 2, 2}), true);
  max_pool2d(x, {2}).backward(Array::ones({1, 1, 1, 1}));
  CHECK(x.grad().to_vector() == std::vector<double>{1, 0, 0, 0});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& v : {std::vector<double>{nan, 1, 2, 3}, std::vector<double>{3, nan, 2, 1}})
    CHECK(std::isnan(
        max_pool2d(Variable(Array::from_values({1, 1, 2, 2}, std::span(v))), {2}).value().item()));
}

TEST_CASE("pooling says what does not fit") {
  const Variable x(Array::zeros({1, 1, 3, 4}));
  CHECK(error_of([&] { max_pool3d(x, {2}); }) == "max_pool3d: x is (1, 1, 3, 4), expected 5 axes");
  CHECK(error_of([&] {
          max_pool2d(x, {1, 2, 3});
        }) ==
        "max_pool2d: kernel is (1, 2, 3), stride (0), padding (0): expected one number each, or 2");
  CHECK(error_of([&] { avg_pool2d(x, {2}, {.padding{2}}); }) ==
        "avg_pool2d: kernel 2, stride 2, padding 2: expected a padding of at most half a kernel");
  CHECK(error_of([&] { max_pool2d(x, {5}); }) ==
        "max_pool2d: x is (1, 1, 3, 4): axis 2 is smaller than the window of 5");
  CHECK(
      error_of([&] { adaptive_avg_pool(x, {2}); }) ==
      "adaptive_avg_pool: x is (1, 1, 3, 4) and sizes (2), expected (N, C, …) and a size for each "
      "axis behind the channels");
  CHECK(error_of([&] { pixel_shuffle(x, 2); }) ==
        "pixel_shuffle: x is (1, 1, 3, 4), expected (N, C·2·2, H, W)");
}
