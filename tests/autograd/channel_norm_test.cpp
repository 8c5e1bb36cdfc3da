#include "../support/gradients.hpp"

#include <hlip/autograd/functions/channel_norm.hpp>

using namespace test;

namespace {

RunningMoments<double, Cpu> fresh_moments(index_t channels) {
  return {Variable(Array::zeros({channels})), Variable(Array::ones({channels}))};
}

}  // namespace

TEST_CASE("batch_norm, group_norm and instance_norm: gradients") {
  const std::vector<Array> affine{numbers({2, 4, 3, 2}, 1), numbers({4}, 2, 0.5, 1.5),
                                  numbers({4}, 3)};
  check_gradient(
      "batch_norm in training",
      [](const std::vector<Variable>& v) {
        return batch_norm(v[0], v[1], v[2], fresh_moments(4), true);
      },
      affine);
  check_gradient(
      "batch_norm",
      [](const std::vector<Variable>& v) {
        return batch_norm(v[0], v[1], v[2],
                          {Variable(numbers({4}, 4)), Variable(numbers({4}, 5, 0.5, 2))}, false);
      },
      affine);
  check_gradient("batch_norm of rows, without affine",
                 [](const std::vector<Variable>& v) {
                   return batch_norm(v[0], Variable(), Variable(), fresh_moments(3), true);
                 },
                 {numbers({5, 3}, 6)});
  check_gradient(
      "group_norm", [](const std::vector<Variable>& v) { return group_norm(v[0], 2, v[1], v[2]); },
      affine);
  check_gradient("instance_norm",
                 [](const std::vector<Variable>& v) { return instance_norm(v[0]); },
                 {numbers({2, 3, 2, 2, 2}, 7)});
}

TEST_CASE("batch_norm: what it gives, and how the running moments move") {
  const auto x = Variable(Array::from_values({2, 1, 2}, {1, 3, 5, 7}));  // mean 4, variance 5
  const auto running = fresh_moments(1);
  const Array y = batch_norm(x, Variable(), Variable(), running, true, 0.0).value();
  const double r = 1 / std::sqrt(5.0);
  CHECK(largest_difference(y, Array::from_values({2, 1, 2}, {-3 * r, -r, r, 3 * r})) < 1e-15);
  CHECK(running.mean.value().item() == doctest::Approx(0.4));
  CHECK(running.var.value().item() == doctest::Approx(0.9 + 0.1 * 20.0 / 3));  // of a sample
  const Array before = running.mean.value().clone();
  const Array plain = batch_norm(x, Variable(), Variable(), running, false, 0.0).value();
  CHECK(plain.at({0, 0, 0}) == doctest::Approx((1 - 0.4) / std::sqrt(running.var.value().item())));
  CHECK(same_bits(before, running.mean.value()));
}

TEST_CASE("batch_norm of a channel far from zero keeps its digits") {
  auto x = Tensor<float>::empty({2, 1, 5000});
  x.assign(Tensor<float>::arange(10000).reshape({2, 1, 5000}) * 1e-4f + 1000.0f);
  const RunningMoments<float, Cpu> running{Var<float>(Tensor<float>::zeros({1})),
                                           Var<float>(Tensor<float>::ones({1}))};
  const Tensor<float> y =
      batch_norm(Var<float>(x), Var<float>(), Var<float>(), running, true).value();
  CHECK(std::abs(mean(y).item()) < 1e-3);
  CHECK(mean(Tensor<float>(square(y))).item() == doctest::Approx(1).epsilon(1e-3));
}

TEST_CASE("normalisations of channels say what does not fit") {
  const Variable x(Array::zeros({2, 4, 3})), four(Array::ones({4})), three(Array::ones({3}));
  CHECK(error_of([&] { group_norm(x, 3); }) ==
        "group_norm: x is (2, 4, 3), its channels are no multiple of 3 groups");
  CHECK(error_of([&] { group_norm(x, 2, three, four); }) ==
        "group_norm: weight is (3), expected (C = 4)");
  CHECK(error_of([&] { instance_norm(Variable(Array::zeros({2}))); }) ==
        "instance_norm: x is (2), expected (N, C, …)");
  CHECK(error_of([&] { batch_norm(x, four, four, fresh_moments(3), true); }) ==
        "batch_norm: running mean is (3), expected (C = 4)");
  CHECK(error_of([&] {
          batch_norm(Variable(Array::zeros({1, 4})), four, four, fresh_moments(4), true);
        }) == "batch_norm: x is (1, 4): one element a channel has no variance");
}
