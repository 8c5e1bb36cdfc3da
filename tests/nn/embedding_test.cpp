#include "../support/gradients.hpp"

#include <hlip/nn/embedding.hpp>

using namespace test;

TEST_CASE("Embedding: rows of the table by id, in the shape of the ids") {
  using Ids = Tensor<std::int64_t, Cpu>;
  Initializer init(1);
  const Embedding<double, Cpu> layer(10, 3, 1.0, init);
  const Variable y = layer(Ids::from_values({2, 2}, {9, 0, 4, 4}));
  CHECK(y.shape() == Shape{2, 2, 3});
  CHECK(same_bits(y.value().select(0, 0).select(0, 0), layer.weight.value().select(0, 9)));
  CHECK(same_bits(y.value().select(0, 1).select(0, 0), y.value().select(0, 1).select(0, 1)));
  CHECK_THROWS_AS(layer(Ids::from_values({1}, {10})), error);
}
