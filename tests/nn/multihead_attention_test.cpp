#include "../support/gradients.hpp"

#include <hlip/nn/multihead_attention.hpp>

using namespace test;

namespace {
using Layer = MultiheadAttention<double, Cpu>;
}

TEST_CASE("MultiheadAttention: hidden keys have no influence, and gradients reach every layer") {
  Initializer init(1);
  const Layer layer(4, 2, 0.7, init);
  const TokenLayout layout = TokenLayout::plain(2, 3);
  const auto mask = Tensor<std::uint8_t, Cpu>::from_values({2, 3}, {1, 1, 0, 1, 1, 1});
  const Array x = numbers({6, 4}, 1), changed = x.clone();
  changed.select(0, 2).fill(3);  // the hidden token of sequence 0
  NoGrad guard;
  const Array a = layer(Variable(x), layout, mask).value(),
              b = layer(Variable(changed), layout, mask).value();
  CHECK(same_bits(a.slice(0, 0, 2), b.slice(0, 0, 2)));
  CHECK(same_bits(a.slice(0, 3, 6), b.slice(0, 3, 6)));
  EnableGrad again;
  check_gradient("weights",
                 [&](const std::vector<Variable>& v) {
                   Layer l = layer;
                   l.query.weight = v[1], l.key.weight = v[2], l.value.weight = v[3],
                   l.value.bias = v[4];
                   return l(v[0], layout, mask, {0.4, {1, 2, 3}});
                 },
                 {x, numbers({4, 4}, 2), numbers({4, 4}, 3), numbers({4, 4}, 4), numbers({4}, 5)});
}

TEST_CASE("MultiheadAttention: parameters are called as in BERT") {
  Initializer init(1);
  Layer layer(4, 2, 0.7, init);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(layer)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"query.weight", "query.bias", "key.weight", "key.bias",
                                          "value.weight", "value.bias"});
}
