#include "../support/gradients.hpp"

#include <hlip/nn/rotary.hpp>

using namespace test;

namespace {
using Positions = RotaryPositions<double, Cpu>;
}

TEST_CASE("rotary: channel i and i + head_dim / 2 turn by position · theta^(−2i / head_dim)") {
  const Array x = numbers({3, 4}, 1);
  const Array y = rotary(Variable(x), Positions(5, 3, 4, 100.0)).value();
  for (index_t p = 0; p < 3; ++p)
    for (index_t i = 0; i < 2; ++i) {
      const double angle = static_cast<double>(5 + p) * (i == 0 ? 1.0 : 0.1), a = x.at({p, i}),
                   b = x.at({p, i + 2});
      CHECK(y.at({p, i}) == doctest::Approx(a * std::cos(angle) - b * std::sin(angle)));
      CHECK(y.at({p, i + 2}) == doctest::Approx(b * std::cos(angle) + a * std::sin(angle)));
    }
}

TEST_CASE("rotary: products of queries and keys depend on the distance of their positions alone") {
  const Array q = numbers({1, 8}, 1), k = numbers({1, 8}, 2);
  const auto product = [&](index_t at, index_t other) {
    const Array a = rotary(Variable(q), Positions(at, 1, 8, 10000)).value(),
                b = rotary(Variable(k), Positions(other, 1, 8, 10000)).value();
    return sum(Array(a * b)).item();
  };
  CHECK(product(7, 3) == doctest::Approx(product(104, 100)).epsilon(1e-12));
  CHECK(product(7, 3) != doctest::Approx(product(7, 4)).epsilon(1e-6));
}

TEST_CASE("rotary: the gradient is turned back") {
  check_gradient(
      "rotary", [](const std::vector<Variable>& v) { return rotary(v[0], Positions(2, 3, 6, 50)); },
      {numbers({2, 3, 6}, 1)});
  check_gradient(
      "rotary of a view",
      [](const std::vector<Variable>& v) { return rotary(v[0], Positions(2, 3, 6, 50)); },
      {numbers({2, 6, 3}, 1).transpose(1, 2)});
}

TEST_CASE("rotary: what does not fit is said") {
  CHECK(error_of([] { Positions(0, 3, 5, 10000); }) ==
        "rotary: head_dim is 5, expected an even number");
  CHECK(error_of([] {
          rotary(Variable(Array::ones({2, 4})), Positions(0, 3, 4, 10000));
        }) == "rotary: x is (2, 4), expected (…, positions = 3, head_dim = 4)");
}
