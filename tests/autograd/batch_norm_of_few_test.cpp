#include "../support/gradients.hpp"

#include <hlip/autograd/functions/channel_norm.hpp>

using namespace test;

namespace {

/// The gradient of x, for a fixed one of the result.
template <class T> Array gradient_of(const Array& values, const Array& seed) {
  const index_t c = values.dim(1);
  const auto constant = [&](double v) {
    return Var<T, Cpu>(Tensor<T, Cpu>::full({c}, static_cast<T>(v)));
  };
  const Var<T, Cpu> x(values.to<T>(), true);
  const Var<T, Cpu> y = batch_norm(x, constant(1.5), constant(0.25),
                                   RunningMoments<T, Cpu>{constant(0), constant(1)}, true);
  y.backward(seed.to<T>());
  return x.grad().template to<double>();
}

}  // namespace

TEST_CASE("batch_norm: of two values, whose gradients cancel, float32 keeps its digits") {
  // exact in float32
  const Array x = numbers({2, 6, 1, 1}, 1).to<float>().to<double>(),
              seed = numbers({2, 6, 1, 1}, 2).to<float>().to<double>();
  const Array want = gradient_of<double>(x, seed), got = gradient_of<float>(x, seed);
  const double largest = max(Array(abs(want))).item();
  CHECK(largest < 1e-2);  // next to nothing is left of gradients near 1
  CHECK(largest_difference(got, want) < 1e-6 * largest);
}

TEST_CASE("batch_norm: few values or many, gradients are those of central differences") {
  for (const index_t pictures : {2, 3, 9}) {
    const RunningMoments<double, Cpu> running{Variable(Array::zeros({2})),
                                              Variable(Array::ones({2}))};
    check_gradient(fmt::format("{} values", pictures),
                   [&](const std::vector<Variable>& v) {
                     return batch_norm(v[0], v[1], v[2], running, true, 1e-2);
                   },
                   {numbers({pictures, 2, 1}, 3), numbers({2}, 4, 0.5, 1.5), numbers({2}, 5)});
  }
}
