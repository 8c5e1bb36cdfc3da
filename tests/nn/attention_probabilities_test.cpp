#include "../support/gradients.hpp"

#include <hlip/autograd/functions/attention.hpp>
#include <hlip/nn/attention_probabilities.hpp>

using namespace test;

TEST_CASE("attention probabilities: rows sum to 1, and weigh the values as attention does") {
  const index_t sequences = 2, tokens = 5, heads = 3, dim = 6;
  const Variable qkv(numbers({sequences, tokens, 3 * dim}, 1, -2, 2));
  const Variable p = attention_probabilities(qkv, heads);
  REQUIRE(p.shape() == Shape{sequences, heads, tokens, tokens});
  CHECK(largest_difference(sum(p.value(), {3}), Array::ones({sequences, heads, tokens})) < 1e-14);
  const Variable mixed = reshape(permute(matmul(p, by_heads(qkv, 2, heads)), {0, 2, 1, 3}),
                                 {sequences * tokens, dim});
  const Variable want = attention(reshape(qkv, {sequences * tokens, 3 * dim}),
                                  TokenLayout::plain(sequences, tokens), heads);
  CHECK(largest_difference(mixed.value(), want.value()) < 1e-13);
}

TEST_CASE("attention probabilities: gradient of queries and keys; values have none") {
  check_gradient("probabilities",
                 [](const std::vector<Variable>& v) { return attention_probabilities(v[0], 2); },
                 {numbers({1, 3, 12}, 1)});
}

TEST_CASE("attention probabilities: shapes and heads that do not fit are errors") {
  CHECK(error_of([] {
          attention_probabilities(Variable(Array::ones({4, 12})), 2);
        }) == "attention_probabilities: qkv is (4, 12), expected (sequences, tokens, 3·dim)");
  CHECK(error_of([] {
          attention_probabilities(Variable(Array::ones({1, 4, 12})), 3);
        }) == "attention_probabilities: qkv is (1, 4, 12), which does not divide into 3 heads");
  CHECK_THROWS_AS(attention_probabilities(Variable(Array::ones({1, 4, 12})), 0), error);
}
