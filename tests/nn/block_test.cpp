#include "../support/gradients.hpp"

#include <hlip/nn/block.hpp>

using namespace test;

namespace {

using Block2 = Block<2, double, Cpu>;
using Tokens2 = Tokens<2, double, Cpu>;

Tokens2 tokens(const Variable& x) {
  Tokens2 t;
  t.hierarchy = Hierarchy<2>::from_sizes(1, 1, {3, 2});
  t.level = 1;
  t.x = x;
  return t;
}

Block2 block(BlockOptions options) {
  Initializer init(3);
  options.mlp_ratio = 2;
  options.init_std = 0.4;
  return Block2(6, 2, options, init);
}
Block2 block(double drop_path) {
  BlockOptions options;
  options.drop_path = drop_path;
  return block(options);
}

}  // namespace

TEST_CASE("block: x + Attn(LN(x)), then x + MLP(LN(x))") {
  const Block2 b = block(0);
  const Variable x(numbers({8, 6}, 1));
  const Tokens2 t = tokens(x);
  const Variable middle = x + b.attn(b.norm1(x), t), want = middle + b.mlp(b.norm2(middle));
  CHECK(largest_difference(b(t, {}).x.value(), want.value()) < 1e-13);
}

TEST_CASE("block: gradients of the input and of every parameter, with drop path and without") {
  for (double rate : {0.0, 0.5}) {
    Block2 b = block(rate);
    std::vector<Array> inputs = {numbers({8, 6}, 1)};
    for (auto& [name, p] : named_parameters(b)) inputs.push_back(p->value().clone());
    check_gradient(
        fmt::format("block with drop path {}", rate),
        [&](const std::vector<Variable>& v) {
          std::size_t i = 1;
          for (auto& [name, p] : named_parameters(b)) *p = v[i++];
          return b(tokens(v[0]), Context{true, {1, 2, 3}}).x;
        },
        inputs);
  }
}

TEST_CASE("block: drop path is off outside training, and the branches draw separately in it") {
  const Variable x(numbers({8, 6}, 1));
  CHECK(same_bits(block(0.9)(tokens(x), {}).x.value(), block(0)(tokens(x), {}).x.value()));
  CHECK(same_bits(block(0)(tokens(x), Context{true, {1, 2, 3}}).x.value(),
                  block(0)(tokens(x), {}).x.value()));
  const Block2 b = block(0.5);
  int only_one = 0;
  for (std::uint64_t step = 0; step < 40; ++step) {
    const Context context{true, {1, 2, step}};
    only_one += (uniform_at(context.child(0).key, 0) < 0.5) !=
                (uniform_at(context.child(1).key, 0) < 0.5);
    CHECK(same_bits(b(tokens(x), context).x.value(), b(tokens(x), context).x.value()));
  }
  CHECK(only_one > 5);
  CHECK(only_one < 35);
}

TEST_CASE("block: the result has room for the prefix rows of another level") {
  const Block2 b = block(0);
  const Tokens2 t = b(tokens(Variable(numbers({8, 6}, 1))), {});
  const Tokens2 up = move_to_level(t, 2);
  CHECK(up.x.value().storage() == t.x.value().storage());
  CHECK(up.x.value().data() + up.hierarchy.prefix * 6 == t.x.value().data());
}

TEST_CASE("block: parameters in the order and under the names of the checkpoints") {
  Block2 b = block(0);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(b)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"norm1.weight", "norm1.bias", "attn.qkv.weight",
                                          "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
                                          "norm2.weight", "norm2.bias", "mlp.fc1.weight",
                                          "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"});
}

TEST_CASE("block: a shape error names the layer") {
  Block2 b = block(0);
  Initializer init(1);
  b.attn.qkv = Linear<double, Cpu>(5, 18, true, 1, init);
  ModuleScope at("blocks.3");
  CHECK(error_of([&] {
          b(tokens(Variable(numbers({8, 6}, 1))), {});
        }) == "blocks.3.attn.qkv (linear): x is (8, 6), expected (…, in = 5)");
}
