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
