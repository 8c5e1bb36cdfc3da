#include "../support/gradients.hpp"

#include <hlip/nn/mlp.hpp>

using namespace test;

TEST_CASE("Mlp: fc2(gelu(fc1(x))), with the residual of its second layer") {
  Initializer init(1);
  const Mlp<double, Cpu> mlp(3, 8, 0.5, init);
  const Variable x(numbers({4, 3}, 1));
  const Variable hidden = mlp.fc1(x), want = mlp.fc2(Variable(gelu(hidden)));
  CHECK(largest_difference(mlp(x).value(), want.value()) < 1e-14);
  CHECK(largest_difference(mlp(x, {Activation::none, x}).value(), want.value() + x.value()) <
        1e-14);
  ModuleScope at("mlp");
  CHECK(error_of([&] {
          mlp(Variable(numbers({4, 5}, 1)));
        }) == "mlp.fc1 (linear): x is (4, 5), expected (…, in = 3)");
}
