#include "../support/gradients.hpp"

#include <hlip/optim/sgd.hpp>

using namespace test;

TEST_CASE("SGD: momentum, Nesterov momentum and coupled weight decay follow the definition") {
  for (double momentum : {0.0, 0.9})
    for (bool nesterov : {false, true}) {
      const Variable x(numbers({4}, 1), true);
      // twice the learning rate of the step
      Sgd<double, Cpu> optimizer({{"x", x, 0.1, 2.0}}, {momentum, nesterov});
      std::vector<double> p = x.value().to_vector(), v(4);
      for (int t = 0; t < 6; ++t) {
        const Array g = numbers({4}, 10 + static_cast<std::uint32_t>(t));
        optimizer.zero_grad();
        sum(Variable(x * g)).backward();
        optimizer.step(0.025, 0.5);
        for (std::size_t i = 0; i < 4; ++i) {
          const double d = 0.5 * g.to_vector()[i] + 0.1 * p[i];
          v[i] = t == 0 ? d : momentum * v[i] + d;
          p[i] -= 0.05 * (momentum == 0 ? d : nesterov ? d + momentum * v[i] : v[i]);
        }
      }
      CAPTURE(momentum);
      CAPTURE(nesterov);
      CHECK(largest_difference(x.value(), Array::from_values({4}, std::span<const double>(p))) <
            1e-15);
    }
}

TEST_CASE("SGD: a parameter without gradient stays") {
  const Variable x(numbers({4}, 1), true);
  const Array before = x.value().clone();
  Sgd<double, Cpu>({{"x", x, 0.1}}, {}).step(1);
  CHECK(same_bits(x.value(), before));
}

TEST_CASE(
    "SGD: what stays between steps counts as the optimiser's memory, gradients as gradients") {
  const auto held = [](MemoryCategory c) { return memory_statistics<Cpu>().now()[c]; };
  const std::size_t optimizers = held(MemoryCategory::optimizer),
                    gradients = held(MemoryCategory::gradients);
  const Variable x(numbers({4}, 1), true);
  Sgd<double, Cpu> optimizer({{"x", x, 0.1}}, {});
  for (int t = 0; t < 3; ++t) {
    optimizer.zero_grad();
    CHECK(held(MemoryCategory::gradients) == gradients);
    sum(Variable(x * x)).backward();
    CHECK(held(MemoryCategory::gradients) == gradients + 4 * sizeof(double));
    optimizer.step(0.05);
    CHECK(held(MemoryCategory::optimizer) == optimizers + 4 * sizeof(double));
  }
}
