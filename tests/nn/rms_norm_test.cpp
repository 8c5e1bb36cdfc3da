#include "../support/gradients.hpp"

#include <hlip/nn/rms_norm.hpp>

using namespace test;

TEST_CASE(
    "RmsNorm: divides by the root mean square, eps under the root, and starts with weight 1") {
  RmsNorm<double, Cpu> layer(4, 0.75);
  // mean of squares 2.5
  const Variable y = layer(Variable(Array::from_values({4}, {-1, 2, -1, 2})));
  const double scale = 1 / std::sqrt(3.25);
  CHECK(largest_difference(
            y.value(), Array::from_values({4}, {-scale, 2 * scale, -scale, 2 * scale})) < 1e-15);
  REQUIRE(named_parameters(layer).size() == 1);
  CHECK(named_parameters(layer)[0].first == "weight");
}

TEST_CASE("rms_norm: gradients of input and weight, of views too; a shape error") {
  check_gradient("rms_norm",
                 [](const std::vector<Variable>& v) { return rms_norm(v[0], v[1], 1e-3); },
                 {numbers({2, 3, 5}, 1), numbers({5}, 2)});
  check_gradient("rms_norm of a view",
                 [](const std::vector<Variable>& v) { return rms_norm(v[0], v[1], 1e-3); },
                 {numbers({5, 3}, 1).transpose(0, 1), numbers({5}, 2)});
  CHECK(error_of([] {
          rms_norm(Variable(Array::ones({2, 4})), Variable(Array::ones({5})), 1e-6);
        }) == "rms_norm: x is (2, 4), expected (…, dim = 5)");
}
