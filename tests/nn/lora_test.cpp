#include "../support/gradients.hpp"

#include <hlip/nn/lora.hpp>
#include <hlip/ops/matmul.hpp>

using namespace test;

namespace {
LoraLinear<double, Cpu> layer(index_t rank = 0, double alpha = 3) {
  Initializer init(1);
  LoraLinear<double, Cpu> l(5, 4, true, 0.7, init);
  if (rank > 0) l.adapt(rank, alpha, init);
  return l;
}
}  // namespace

TEST_CASE("lora: at first an adapted layer gives what it gave before, to the bit") {
  const Variable x(numbers({3, 5}, 1));
  CHECK(same_bits(layer()(x).value(), layer(2)(x).value()));
}

TEST_CASE("lora: value and gradients are those of weight + alpha / rank · B · A") {
  auto l = layer(2);
  l.lora_b.weight = Variable(numbers({4, 2}, 2), true);
  const Variable x(numbers({3, 5}, 1));
  const Array merged = l.weight.value() +
                       matmul(l.lora_b.weight.value(), l.lora_a.weight.value()) * 1.5;
  const Array want = matmul(x.value(), merged.transpose(0, 1)) + l.bias.value();
  CHECK(largest_difference(l(x).value(), want) < 1e-14);
  check_gradient("lora",
                 [&](const std::vector<Variable>& v) {
                   auto m = l;
                   m.weight = v[1], m.lora_a.weight = v[2], m.lora_b.weight = v[3];
                   return m(v[0]);
                 },
                 {x.value(), l.weight.value(), l.lora_a.weight.value(), l.lora_b.weight.value()});
}

TEST_CASE("lora: parameters are called as in peft, and as before in a layer without") {
  auto plain = layer(), adapted = layer(2);
  std::vector<std::string> names;
  for (const auto& [name, p] : named_parameters(plain)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"weight", "bias"});
  names.clear();
  for (const auto& [name, p] : named_parameters(adapted)) names.push_back(name);
  CHECK(names == std::vector<std::string>{"base_layer.weight", "base_layer.bias",
                                          "lora_A.default.weight", "lora_B.default.weight"});
  CHECK(error_of([] { layer(6); }) == "lora: rank 6 of a layer of 5 inputs");
}
