#include "../support/gradients.hpp"

#include <hlip/nn/layer_norm_2d.hpp>

using namespace test;

TEST_CASE("layer_norm_2d: the channels of every pixel are a row of layer_norm") {
  LayerNorm2d<double, Cpu> norm(4, 1e-6);
  norm.weight.value().assign(numbers({4}, 1));
  norm.bias.value().assign(numbers({4}, 2));
  const Variable x(numbers({2, 4, 3, 5}, 3));
  const Array y = norm(x).value();
  REQUIRE(y.shape() == x.shape());
  for (index_t n = 0; n < 2; ++n)
    for (index_t i = 0; i < 15; ++i) {
      const auto pixel = [&](const Array& map) {
        return map.select(0, n).select(1, i / 5).select(1, i % 5).clone();
      };
      const Variable row(pixel(x.value()));
      CHECK(largest_difference(pixel(y), layer_norm(row, norm.weight, norm.bias, 1e-6).value()) <
            1e-14);
    }
}

TEST_CASE("layer_norm_2d: gradients") {
  LayerNorm2d<double, Cpu> norm(3, 1e-2);
  check_gradient("layer_norm_2d",
                 [&](const std::vector<Variable>& v) {
                   norm.weight = v[1], norm.bias = v[2];
                   return norm(v[0]);
                 },
                 {numbers({2, 3, 2, 2}, 1), numbers({3}, 2), numbers({3}, 3)});
}

TEST_CASE("layer_norm_2d: other channels are an error") {
  const LayerNorm2d<double, Cpu> norm(4, 1e-6);
  CHECK(error_of([&] {
          norm(Variable(Array::zeros({1, 3, 2, 2})));
        }) == "layer_norm_2d: x is (1, 3, 2, 2), expected (N, C = 4, H, W)");
}
