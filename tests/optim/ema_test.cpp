#include "../support/gradients.hpp"

#include <hlip/optim/ema.hpp>

using namespace test;

TEST_CASE("EMA: starts from the parameters, follows them slowly, and can take their place") {
  Variable x(Array::from_values({2}, {1, 2}), true);
  Ema<double, Cpu> ema({{"x", &x}}, 0.9);
  CHECK(ema.names() == std::vector<std::string>{"x"});
  CHECK(same_bits(ema.averages()[0], x.value()));
  x.value().assign(Array::from_values({2}, {11, 2}));
  ema.update();
  CHECK(largest_difference(ema.averages()[0], Array::from_values({2}, {2, 2})) < 1e-15);
  ema.update();
  CHECK(largest_difference(ema.averages()[0], Array::from_values({2}, {2.9, 2})) < 1e-14);
  CHECK(x.value().at({0}) == 11);
  const Array average = ema.averages()[0].clone();
  ema.swap_with_parameters();
  CHECK(same_bits(x.value(), average));
  ema.swap_with_parameters();
  CHECK(x.value().at({0}) == 11);
  CHECK(same_bits(ema.averages()[0], average));
  CHECK_FALSE(ema.averages()[0].shares_storage(x.value()));
}

TEST_CASE("EMA: an average moves by what its decay leaves, another at every step") {
  const Array average = Array::from_values({2}, {1, -4});
  const Array memory = average;
  move_average(average, Array::from_values({2}, {3, 4}), 0.75);
  CHECK(largest_difference(memory, Array::from_values({2}, {1.5, -2})) < 1e-15);
  move_average(average, Array::from_values({2}, {9, 9}), 1.0);
  CHECK(largest_difference(memory, Array::from_values({2}, {1.5, -2})) == 0);
  move_average(average, Array::from_values({2}, {9, 8}), 0.0);
  CHECK(largest_difference(memory, Array::from_values({2}, {9, 8})) == 0);
}
