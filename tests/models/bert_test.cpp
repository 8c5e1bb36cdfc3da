#include "../support/gradients.hpp"

#include <hlip/models/bert.hpp>

using namespace test;

namespace {

using Ids = Tensor<std::int64_t, Cpu>;

Bert<double, Cpu> tiny(double dropout = 0, index_t layers = 2) {
  Initializer init(5);
  return Bert<double, Cpu>({.vocab_size = 9,
                            .hidden_size = 6,
                            .num_layers = layers,
                            .num_heads = 2,
                            .intermediate_size = 8,
                            .max_positions = 7,
                            .dropout = dropout,
                            .init_std = 0.5},
                           init);
}

}  // namespace

TEST_CASE("bert: padding changes nothing, wherever a text ends") {
  const auto model = tiny();
  const Array alone = model(Ids::from_values({1, 3}, {1, 5, 2})).value(),
              padded =
                  model(Ids::from_values({2, 6}, {1, 5, 2, 0, 0, 0, 3, 3, 3, 3, 3, 3})).value();
  CHECK(largest_difference(padded.slice(0, 0, 3), alone) < 1e-14);
}

TEST_CASE("bert: dropout acts in training only and repeats with its key") {
  const Ids ids = Ids::from_values({2, 3}, {1, 5, 2, 3, 4, 0});
  const auto model = tiny(0.3), plain = tiny(0);
  CHECK(same_bits(model(ids).value(), plain(ids).value()));
  const Context a{true, {1, 2, 3}}, b{true, {1, 2, 4}};
  CHECK(same_bits(model(ids, a).value(), model(ids, a).value()));
  CHECK_FALSE(same_bits(model(ids, a).value(), model(ids, b).value()));
  CHECK(same_bits(plain(ids, a).value(), plain(ids).value()));
}

TEST_CASE("bert: gradients of every parameter, with dropout") {
  auto model = tiny(0.2, 1);
  std::vector<Array> inputs;
  for (auto& [name, p] : named_parameters(model)) inputs.push_back(p->value().clone());
  check_gradient(
      "bert",
      [&](const std::vector<Variable>& v) {
        std::size_t i = 0;
        for (auto& [name, p] : named_parameters(model)) *p = v[i++];
        return model(Ids::from_values({2, 3}, {1, 5, 2, 3, 1, 0}), Context{true, {1, 2, 3}});
      },
      inputs);
}

TEST_CASE("bert: too long a text, an unknown id and another shape are errors") {
  const auto model = tiny();
  CHECK(error_of([&] { model(Ids::ones({1, 8})); }) == "bert: 8 tokens, the position table has 7");
  CHECK(error_of([&] { model(Ids::ones({4})); }) == "bert: ids is (4), expected (N, L)");
  CHECK_THROWS_AS(model(Ids::from_values({1, 1}, {9})), error);
  Initializer init(5);
  CHECK(error_of([&] { Bert<double, Cpu>({.hidden_size = 6, .num_heads = 4}, init); }) ==
        "bert: hidden_size 6 does not divide into 4 heads");
}
