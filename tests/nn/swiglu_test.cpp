#include "../support/gradients.hpp"

#include <hlip/nn/layer_scale.hpp>
#include <hlip/nn/swiglu.hpp>

using namespace test;

namespace {
using Gated = SwiGlu<double, Cpu>;
}

TEST_CASE("SwiGLU: w3(silu(a) · b), with a the first half of w12(x)") {
  Initializer init(3);
  const Gated gated(4, 6, 0.5, init);
  const Array x = numbers({5, 4}, 1), both = gated.w12(Variable(x)).value();
  Array hidden = Array::empty({5, 6});
  for (index_t r = 0; r < 5; ++r)
    for (index_t i = 0; i < 6; ++i) {
      const double a = both.at({r, i}), b = both.at({r, 6 + i});
      hidden.data()[r * 6 + i] = a / (1 + std::exp(-a)) * b;
    }
  CHECK(largest_difference(gated(Variable(x)).value(), gated.w3(Variable(hidden)).value()) < 1e-14);
}

TEST_CASE("SwiGLU: gradients of the input and of every parameter, with a scale and a residual") {
  Initializer init(3);
  Gated gated(4, 6, 0.5, init);
  std::vector<Array> inputs = {numbers({3, 4}, 1), numbers({4}, 2), numbers({3, 4}, 3)};
  for (auto& [name, p] : named_parameters(gated)) inputs.push_back(p->value().clone());
  check_gradient(
      "swiglu",
      [&](const std::vector<Variable>& v) {
        std::size_t i = 3;
        for (auto& [name, p] : named_parameters(gated)) *p = v[i++];
        LinearOptions<double, Cpu> options;
        options.scale = v[1], options.residual = v[2];
        return gated(v[0], options);
      },
      inputs);
}

TEST_CASE("SwiGLU: the width between the layers is two thirds of an MLP's, in steps of eight") {
  CHECK(Gated::hidden_like(4 * 1536) == 4096);
  CHECK(Gated::hidden_like(4 * 384) == 1024);
  CHECK(Gated::hidden_like(12) == 8);
  CHECK(Gated::hidden_like(13) == 8);
  CHECK(Gated::hidden_like(14) == 16);
}

TEST_CASE("SwiGLU: a shape error names the layer") {
  Initializer init(3);
  const Gated gated(4, 6, 0.5, init);
  CHECK(error_of([&] {
          gated(Variable(Array::ones({2, 5})));
        }) == "w12 (linear): x is (2, 5), expected (…, in = 4)");
}

TEST_CASE("LayerScale: one factor a channel that trains, or none at all") {
  LayerScale<double, Cpu> with(3, 1e-5), without(3, 0);
  REQUIRE(named_parameters(with).size() == 1);
  CHECK(named_parameters(with)[0].first == "gamma");
  CHECK(with.gamma.requires_grad());
  CHECK(same_bits(with.gamma.value(), Array::full({3}, 1e-5)));
  CHECK(named_parameters(without).empty());
}
