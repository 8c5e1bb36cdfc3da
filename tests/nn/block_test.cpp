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

using Packed = PackedTokens<double, Cpu>;

/// Three sequences of four tokens and two of three.
Packed packed(const Variable& x) {
  return {x, TokenLayouts({TokenLayout::plain(3, 4), TokenLayout::plain(2, 3, 12)})};
}
constexpr index_t packed_rows = 18;

/// A block with everything that RAD-DINO's encoder may have; LayerScale is set apart from its even
/// start.
Block<1, double, Cpu> scaled_block(FeedForward ffn, double drop_path, DropPath form) {
  Initializer init(3);
  BlockOptions options;
  options.mlp_ratio = 2, options.init_std = 0.4, options.ffn = ffn, options.layer_scale = 0.5;
  options.drop_path = drop_path, options.drop_path_form = form;
  Block<1, double, Cpu> b(6, 2, options, init);
  b.ls1.gamma = Variable(numbers({6}, 7, 0.5, 1.5), true);
  b.ls2.gamma = Variable(numbers({6}, 8, 0.5, 1.5), true);
  return b;
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

TEST_CASE("block: LayerScale multiplies each branch, whatever the feed-forward part is") {
  for (const FeedForward ffn : {FeedForward::mlp, FeedForward::swiglu}) {
    const auto b = scaled_block(ffn, 0, DropPath::by_sequence);
    const Variable x(numbers({packed_rows, 6}, 1));
    const Packed t = packed(x);
    const Variable middle = x + b.attn(b.norm1(x), t.layouts) * b.ls1.gamma, y = b.norm2(middle);
    const Variable hidden = ffn == FeedForward::mlp ? b.mlp(y) : b.swiglu(y);
    const Variable want = middle + hidden * b.ls2.gamma;
    CHECK(largest_difference(b(t, {}).x.value(), want.value()) < 1e-13);
  }
}

TEST_CASE(
    "block: gradients of the input and of every parameter with LayerScale, SwiGLU and both forms "
    "of stochastic depth") {
  for (const FeedForward ffn : {FeedForward::mlp, FeedForward::swiglu})
    for (const DropPath form : {DropPath::by_sequence, DropPath::by_subset}) {
      auto b = scaled_block(ffn, 0.4, form);
      std::vector<Array> inputs = {numbers({packed_rows, 6}, 1)};
      for (auto& [name, p] : named_parameters(b)) inputs.push_back(p->value().clone());
      check_gradient(
          fmt::format("ffn {}, drop path {}", static_cast<int>(ffn), static_cast<int>(form)),
          [&](const std::vector<Variable>& v) {
            std::size_t i = 1;
            for (auto& [name, p] : named_parameters(b)) *p = v[i++];
            return b(packed(v[0]), Context{true, {1, 2, 3}}).x;
          },
          inputs);
    }
}

TEST_CASE("block: packed tokens of one layout and tokens of one level give the same bits") {
  const auto b = scaled_block(FeedForward::mlp, 0.5, DropPath::by_sequence);
  Tokens<1, double, Cpu> t;
  t.hierarchy = Hierarchy<1>::from_sizes(3, 1, {4});
  t.x = Variable(numbers({15, 6}, 1));
  for (const Context& context : {Context{}, Context{true, {1, 2, 3}}})
    CHECK(same_bits(b(t, context).x.value(), b(Packed{t.x, t.layout()}, context).x.value()));
}

TEST_CASE("block: a sequence's result does not depend on those of other lengths beside it") {
  const auto b = scaled_block(FeedForward::swiglu, 0, DropPath::by_subset);
  const Array x = numbers({packed_rows, 6}, 1), y = b(packed(Variable(x)), {}).x.value();
  const Packed first{Variable(x.slice(0, 0, 12).clone()), TokenLayout::plain(3, 4)},
      second{Variable(x.slice(0, 12, 18).clone()), TokenLayout::plain(2, 3)};
  CHECK(largest_difference(b(first, {}).x.value(), y.slice(0, 0, 12)) < 1e-14);
  CHECK(largest_difference(b(second, {}).x.value(), y.slice(0, 12, 18)) < 1e-14);
}

TEST_CASE("block: names of LayerScale and SwiGLU are those of the checkpoints") {
  auto b = scaled_block(FeedForward::swiglu, 0, DropPath::by_sequence);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(b)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"norm1.weight", "norm1.bias", "attn.qkv.weight",
                                          "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
                                          "ls1.gamma", "norm2.weight", "norm2.bias",
                                          "mlp.w12.weight", "mlp.w12.bias", "mlp.w3.weight",
                                          "mlp.w3.bias", "ls2.gamma"});
}
