#include "../support/gradients.hpp"

#include <hlip/losses/binary_cross_entropy.hpp>

using namespace test;

namespace {
const double unknown = std::numeric_limits<double>::quiet_NaN();

Variable loss_of(const std::vector<double>& logits, const std::vector<double>& targets) {
  const Shape shape{static_cast<index_t>(logits.size())};
  return binary_cross_entropy_with_logits(
      Variable(Array::from_values(shape, std::span<const double>(logits))),
      Array::from_values(shape, std::span<const double>(targets)));
}
}  // namespace

TEST_CASE("binary_cross_entropy_with_logits: the mean of -log of what was right") {
  const double p = 1 / (1 + std::exp(-0.7)), q = 1 / (1 + std::exp(2.0));
  CHECK(loss_of({0.7, -2}, {1, 0}).value().item() ==
        doctest::Approx(-(std::log(p) + std::log(1 - q)) / 2));
  CHECK(loss_of({0.7}, {0.25}).value().item() ==
        doctest::Approx(-0.25 * std::log(p) - 0.75 * std::log(1 - p)));
}

TEST_CASE("binary_cross_entropy_with_logits: an unknown label counts nowhere, not in the mean") {
  CHECK(loss_of({0.7, 5, -2}, {1, unknown, 0}).value().item() ==
        doctest::Approx(loss_of({0.7, -2}, {1, 0}).value().item()));
  CHECK(loss_of({3, -1}, {unknown, unknown}).value().item() == 0);
}

TEST_CASE("binary_cross_entropy_with_logits: logits beyond exp stay finite") {
  CHECK(loss_of({1000, -1000}, {1, 0}).value().item() < 1e-300);
  CHECK(loss_of({1000, -1000}, {0, 1}).value().item() == doctest::Approx(1000));
}

TEST_CASE("binary_cross_entropy_with_logits: gradients, and other shapes are refused") {
  const Array targets = Array::from_values({2, 3}, {0, 1, unknown, 1, 0.5, 0});
  check_gradient("binary_cross_entropy",
                 [&](const std::vector<Variable>& v) {
                   return binary_cross_entropy_with_logits(v[0], targets);
                 },
                 {numbers({2, 3}, 4, -3, 3)});
  CHECK_THROWS_AS(binary_cross_entropy_with_logits(Variable(Array::zeros({3, 2})), targets), error);
}
