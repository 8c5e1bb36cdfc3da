#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/nn/gated_cross_attention.hpp>

using namespace test;

namespace {

using Block = GatedCrossAttention<double, Cpu>;
using Mask = Tensor<std::uint8_t, Cpu>;

/// Tokens of width 4 that ask tokens of width 3; gates at values that show.
Block open_block() {
  Initializer init(3);
  Block block(4, 3, 2, 6, init, 0.5);
  block.gate.value().fill(0.4);
  block.gate_m.value().fill(-0.3);
  return block;
}

}  // namespace

TEST_CASE("GatedCrossAttention: with closed gates nothing changes") {
  Initializer init(1);
  const Block block(4, 3, 2, 6, init);
  const Array z = numbers({2, 5, 4}, 1);
  const Array y = block(Variable(z), Variable(numbers({2, 3, 3}, 2)), Mask::ones({2, 3})).value();
  CHECK(same_bits(y, z));
}

TEST_CASE("GatedCrossAttention: hidden tokens have no influence, and nothing to ask leaves z") {
  const Block block = open_block();
  const Mask mask = Mask::from_values({2, 3}, {1, 1, 0, 0, 0, 0});
  const Array z = numbers({2, 5, 4}, 1), t = numbers({2, 3, 3}, 2), other = t.clone();
  other.select(0, 0).select(0, 2).fill(7);
  const Array y = block(Variable(z), Variable(t), mask).value();
  CHECK(same_bits(y, block(Variable(z), Variable(other), mask).value()));
  CHECK(same_bits(y.select(0, 1), z.select(0, 1)));
  CHECK_FALSE(same_bits(y.select(0, 0), z.select(0, 0)));
  const Array weights = block.attention(Variable(z), Variable(t), mask).value();
  CHECK(weights.at({0, 1, 2, 2}) < 1e-300);
  CHECK(Array(sum(weights, {3})).at({0, 1, 4}) == doctest::Approx(1));
}

TEST_CASE("GatedCrossAttention: gradients reach both kinds of tokens, the gates and the layers") {
  const Block block = open_block();
  const Mask mask = Mask::from_values({2, 3}, {1, 1, 0, 1, 1, 1});
  check_gradient("block",
                 [&](const std::vector<Variable>& v) {
                   Block b = block;
                   b.gate = v[2], b.gate_m = v[3], b.q.weight = v[4], b.k.weight = v[5],
                   b.v.weight = v[6], b.o.weight = v[7], b.fc1.weight = v[8];
                   return b(v[0], v[1], mask);
                 },
                 {numbers({2, 4, 5}, 1).transpose(1, 2), numbers({2, 3, 3}, 2), numbers({1}, 3),
                  numbers({1}, 4), numbers({4, 4}, 5), numbers({4, 3}, 6), numbers({4, 3}, 7),
                  numbers({4, 4}, 8), numbers({6, 4}, 9)});
}

TEST_CASE("GatedCrossAttention: shapes that do not fit are refused by name") {
  const Block block = open_block();
  const Variable z(numbers({2, 5, 4}, 1)), t(numbers({2, 3, 3}, 2));
  const auto refusal = [&](const Variable& a, const Variable& b, const Mask& mask) {
    return error_of([&] { block(a, b, mask); });
  };
  CHECK(refusal(t, t, Mask::ones({2, 3})).find("z is (2, 3, 3)") != std::string::npos);
  CHECK(refusal(z, z, Mask::ones({2, 5})).find("t is (2, 5, 4)") != std::string::npos);
  CHECK(refusal(z, t, Mask::ones({2, 4})).find("mask is (2, 4)") != std::string::npos);
  Initializer init(1);
  CHECK(error_of([&] { Block(4, 3, 3, 6, init); }).find("4 does not divide into 3 heads") !=
        std::string::npos);
}
