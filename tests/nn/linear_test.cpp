#include "../support/gradients.hpp"

#include <hlip/nn/linear.hpp>
#include <hlip/ops/matmul.hpp>

using namespace test;

TEST_CASE("Linear: y = x·weightᵀ + bias, normal weights, zero bias") {
  Initializer init(1);
  Linear<double, Cpu> layer(300, 200, true, 0.02, init);
  const double spread = std::sqrt(var(layer.weight.value()).item());
  CHECK(std::abs(spread - 0.02) < 0.02 * 5 / std::sqrt(2 * 60000.0));  // five standard errors
  CHECK(largest_difference(layer.bias.value(), Array::zeros({200})) == 0);
  const Array x = numbers({4, 300}, 1);
  CHECK(largest_difference(layer(Variable(x)).value(),
                           matmul(x, layer.weight.value().transpose(0, 1))) < 1e-13);
}

TEST_CASE("Linear: without bias it has one parameter") {
  Initializer init(1);
  Linear<double, Cpu> layer(3, 2, false, 1, init);
  CHECK(named_parameters(layer).size() == 1);
  CHECK(layer(Variable(numbers({3}, 1))).shape() == Shape{2});
}
