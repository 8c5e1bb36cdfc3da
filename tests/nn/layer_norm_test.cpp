#include "../support/gradients.hpp"

#include <hlip/nn/layer_norm.hpp>

using namespace test;

TEST_CASE("LayerNorm: starts as plain normalisation with weight 1 and bias 0, and uses its eps") {
  LayerNorm<double, Cpu> layer(4, 0.75);
  // variance 1: scaled by 1/sqrt(1.75)
  const Variable y = layer(Variable(Array::from_values({4}, {-1, 1, -1, 1})));
  const double scale = 1 / std::sqrt(1.75);
  CHECK(largest_difference(y.value(), Array::from_values({4}, {-scale, scale, -scale, scale})) <
        1e-15);
  CHECK(named_parameters(layer)[0].first == "weight");
  CHECK(named_parameters(layer)[1].first == "bias");
}
