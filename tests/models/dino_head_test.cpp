#include "../support/gradients.hpp"

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/models/dino_head.hpp>

using namespace test;

namespace {

using Head = DinoHead<double, Cpu>;

Head head(int layers) {
  Initializer init(5);
  Head h({.in_dim = 4, .hidden = 6, .bottleneck = 3, .prototypes = 5, .layers = layers}, init);
  std::uint32_t stream = 20;
  for (auto& [name, p] : named_parameters(h))
    *p = Variable(numbers(p->shape(), stream++, 0.2, 1.2), true);
  return h;
}

}  // namespace

TEST_CASE("head: features have length 1, logits are their products with scaled directions") {
  for (const int layers : {1, 2, 3}) {
    const Head h = head(layers);
    const Variable x(numbers({7, 4}, 1));
    Variable y = x;
    for (int i = 0; i < layers; ++i) {
      y = h.mlp.linear[static_cast<std::size_t>(i)](y);
      if (i + 1 < layers) y = Variable(gelu(y));
    }
    const Array features = h.features(x).value(),
                length = sqrt(sum(Array(y.value() * y.value()), {1}, true));
    CHECK(largest_difference(features, y.value() / length) < 1e-14);
    CHECK(largest_difference(sum(Array(features * features), {1}), Array::ones({7})) < 1e-14);
    const Array v = h.last_layer.weight_v.value(),
                weight = v / sqrt(sum(Array(v * v), {1}, true)) * h.last_layer.weight_g.value();
    CHECK(largest_difference(h(x).value(), matmul(features, weight.transpose(0, 1))) < 1e-13);
  }
}

TEST_CASE("head: gradients of the input and of every parameter") {
  for (const int layers : {1, 3}) {
    Head h = head(layers);
    std::vector<Array> inputs = {numbers({3, 4}, 1)};
    for (auto& [name, p] : named_parameters(h)) inputs.push_back(p->value().clone());
    check_gradient(
        fmt::format("{} layers", layers),
        [&](const std::vector<Variable>& v) {
          std::size_t i = 1;
          for (auto& [name, p] : named_parameters(h)) *p = v[i++];
          return h(v[0]);
        },
        inputs);
  }
}

TEST_CASE("head: parameters under the names of DINOv2's checkpoints, gains of 1 at first") {
  const auto names = [](int layers) {
    Head h = head(layers);
    std::vector<std::string> list;
    for (const auto& [name, p] : named_parameters(h)) list.push_back(name);
    return list;
  };
  CHECK(names(1) == std::vector<std::string>{"mlp.weight", "mlp.bias", "last_layer.weight_g",
                                             "last_layer.weight_v"});
  CHECK(names(3) == std::vector<std::string>{"mlp.0.weight", "mlp.0.bias", "mlp.2.weight",
                                             "mlp.2.bias", "mlp.4.weight", "mlp.4.bias",
                                             "last_layer.weight_g", "last_layer.weight_v"});
  Initializer init(5);
  const Head h({.in_dim = 4, .hidden = 6, .bottleneck = 3, .prototypes = 5}, init);
  CHECK(same_bits(h.last_layer.weight_g.value(), Array::ones({5, 1})));
}

TEST_CASE("head: no rows give no logits") {
  CHECK(head(3)(Variable(Array::zeros({0, 4}))).shape() == Shape{0, 5});
}

TEST_CASE("head: configurations and inputs that do not fit are named") {
  Initializer init(5);
  CHECK(error_of([&] { Head({.prototypes = 1}, init); }) ==
        "dino_head: layers 3, in_dim 768, hidden 2048, bottleneck 256, prototypes 1");
  CHECK_THROWS_AS(Head({.layers = 0}, init), error);
  CHECK(error_of([&] {
          head(2)(Variable(Array::ones({2, 5})));
        }) == "mlp (linear): x is (2, 5), expected (…, in = 4)");
}
