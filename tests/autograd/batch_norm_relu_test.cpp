#include "../support/gradients.hpp"

#include <hlip/nn/channel_norm.hpp>

using namespace test;

namespace {

BatchNorm<double, Cpu> norm_of(index_t channels) {
  BatchNorm<double, Cpu> norm(channels);
  norm.weight.value().assign(numbers({channels}, 1, 0.5, 1.5));
  norm.bias.value().assign(numbers({channels}, 2));
  norm.running_mean.value().assign(numbers({channels}, 3));
  norm.running_var.value().assign(numbers({channels}, 4, 0.5, 2));
  return norm;
}

}  // namespace

TEST_CASE("batch_norm_relu: what batch_norm and then relu give, gradients and moments included") {
  for (const bool training : {false, true}) {
    for (const index_t pictures : {2, 7}) {
      const Context context{training, {}};
      auto fused = norm_of(3), plain = norm_of(3);
      const Variable x(numbers({pictures, 3, 1, 3}, 5), true), z(x.value(), true);
      const Variable y = fused.then_relu(x, context), want = relu(plain(z, context));
      CHECK(largest_difference(y.value(), want.value()) < 1e-15);
      const Array seed = numbers(y.shape(), 6);
      y.backward(seed);
      want.backward(seed);
      CHECK(largest_difference(x.grad(), z.grad()) < 1e-14);
      CHECK(largest_difference(fused.weight.grad(), plain.weight.grad()) < 1e-14);
      CHECK(largest_difference(fused.bias.grad(), plain.bias.grad()) < 1e-14);
      CHECK(same_bits(fused.running_mean.value(), plain.running_mean.value()));
      CHECK(same_bits(fused.running_var.value(), plain.running_var.value()));
    }
  }
}

TEST_CASE("batch_norm_relu: without weight and bias; one operation, however it is called") {
  const RunningMoments<double, Cpu> running{Variable(Array::zeros({2})),
                                            Variable(Array::ones({2}))};
  const Variable x(numbers({5, 2, 3}, 7), true);
  const Variable y = batch_norm_relu(x, Variable(), Variable(), running, true),
                 norm = batch_norm(x, Variable(), Variable(), running, true);
  CHECK(largest_difference(y.value(), Array(maximum(norm.value(), 0))) < 1e-15);
  CHECK(operations_behind(y) == operations_behind(norm));
}

TEST_CASE("batch_norm_relu: errors carry its name") {
  const auto norm = norm_of(3);
  CHECK(error_of([&] {
          norm.then_relu(Variable(Array::zeros({1, 3, 1})), Context{true, {}});
        }) == "batch_norm_relu: x is (1, 3, 1): one element a channel has no variance");
}
