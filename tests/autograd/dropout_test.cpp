#include "../support/gradients.hpp"

#include <hlip/autograd/functions/dropout.hpp>

using namespace test;

namespace {
const RandomKey key{5, 6, 7};
}

TEST_CASE("dropout: drops its share, scales the rest, and repeats with its key") {
  const Variable ones(Array::ones({100, 1000}));
  const Array y = dropout(ones, 0.3, key).value();
  index_t dropped = 0;
  for (double v : y.to_vector()) {
    CHECK_MESSAGE((v == 0 || v == 1 / 0.7), v);
    dropped += v == 0;
  }
  // five standard deviations
  CHECK(std::abs(static_cast<double>(dropped) - 30'000) < 5 * std::sqrt(100'000 * 0.3 * 0.7));
  CHECK(same_bits(y, dropout(ones, 0.3, key).value()));
  CHECK_FALSE(same_bits(y, dropout(ones, 0.3, key.with_stream(8)).value()));
}

TEST_CASE("dropout: the gradient sees the same mask, also through views") {
  const Function fn = [](const std::vector<Variable>& v) {
    return Variable(dropout(Variable(square(v[0])), 0.5, key) * v[1]);
  };
  check_gradient("dropout", fn, {numbers({4, 5}, 1), numbers({5}, 2)});
  check_gradient("of a view",
                 [](const std::vector<Variable>& v) { return dropout(v[0], 0.5, key); },
                 {numbers({5, 4}, 1).transpose(0, 1)});
}

TEST_CASE("dropout: probability 0 is the identity and nonsense is an error") {
  const Variable x(numbers({3}, 1), true);
  CHECK(dropout(x, 0, key).node() == x.node());
  CHECK(error_of([&] { dropout(x, 1, key); }) == "dropout: probability 1, expected 0 <= p < 1");
  CHECK_THROWS_AS(dropout(x, -0.1, key), error);
  CHECK_THROWS_AS(dropout(x, std::nan(""), key), error);
}
