#include "../support/gradients.hpp"

#include <hlip/autograd/functions/matmul.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/nn/hierarchical_attention.hpp>

using namespace test;

namespace {

/// Full attention of one sequence with the weights of the layer, probabilities and all.
Variable plain(const HierarchicalAttention<1, double, Cpu>& layer, const Variable& x) {
  const index_t tokens = x.dim(0), dim = x.dim(1), heads = layer.num_heads, d = dim / heads;
  const Variable packed = permute(reshape(layer.qkv(x), {tokens, 3, heads, d}), {1, 2, 0, 3});
  const Variable q = select(packed, 0, 0), k = select(packed, 0, 1), v = select(packed, 0, 2);
  const Variable scores = matmul(q, transpose(k, 1, 2)) * (1 / std::sqrt(static_cast<double>(d)));
  return layer.proj(reshape(permute(matmul(softmax(scores), v), {1, 0, 2}), {tokens, dim}));
}

}  // namespace

TEST_CASE(
    "hierarchical attention: one level is ordinary multi-head attention, values and gradients") {
  Initializer init(3);
  HierarchicalAttention<1, double, Cpu> layer(12, 3, 0.4, init);
  Tokens<1, double, Cpu> tokens;
  tokens.hierarchy = Hierarchy<1>::from_sizes(1, 1, {6});
  const Array values = numbers({7, 12}, 1), seed = numbers({7, 12}, 2);
  std::vector<Array> results[2];
  for (int i = 0; i < 2; ++i) {
    tokens.x = Variable(values, true);
    // The layer's layout has the prefix row last; attention does not care about the order.
    const Variable y = i ? layer(tokens.x, tokens) : plain(layer, tokens.x);
    y.backward(seed);
    results[i] = {y.value(), tokens.x.grad()};
    for (auto& [name, p] : named_parameters(layer)) results[i].push_back(p->grad());
    zero_grad(layer);
  }
  REQUIRE(results[0].size() == 6);
  for (std::size_t k = 0; k < 6; ++k)
    CHECK(largest_difference(results[0][k], results[1][k]) < 1e-12);
}

TEST_CASE("hierarchical attention: parameters are called as in the published checkpoints") {
  Initializer init(3);
  HierarchicalAttention<3, double, Cpu> layer(12, 3, 0.4, init);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(layer))
    names.push_back(name + " " + to_string(p->shape()));
  CHECK(names == std::vector<std::string>{"qkv.weight (36, 12)", "qkv.bias (36)",
                                          "proj.weight (12, 12)", "proj.bias (12)"});
}

TEST_CASE("hierarchical attention: a width that does not divide into heads is an error") {
  Initializer init(3);
  CHECK(error_of([&] { HierarchicalAttention<3, double, Cpu>(10, 3, 0.4, init); }) ==
        "attention: embed_dim 10 does not divide into 3 heads");
  CHECK_THROWS_AS((HierarchicalAttention<3, double, Cpu>(10, 0, 0.4, init)), error);
}
