#include "../support/gradients.hpp"

#include <hlip/nn/init.hpp>

using namespace test;

TEST_CASE(
    "initializer: the same seed gives the same parameters, the next parameter and another seed "
    "others") {
  Initializer a(7), b(7), c(8);
  const auto x = a.normal<double, Cpu>({50}, 1), again = b.normal<double, Cpu>({50}, 1),
             other = c.normal<double, Cpu>({50}, 1), next = a.normal<double, Cpu>({50}, 1);
  CHECK(same_bits(x.value(), again.value()));
  CHECK_FALSE(same_bits(x.value(), other.value()));
  CHECK_FALSE(same_bits(x.value(), next.value()));
  CHECK(x.requires_grad());
}

TEST_CASE("initializer: moments and bounds are the ones asked for") {
  Initializer init(7);
  const index_t n = 40000;
  const Array normal = init.normal<double, Cpu>({n}, 3).value(),
              uniform = init.uniform<double, Cpu>({n}, 0.5).value();
  const double root = std::sqrt(static_cast<double>(n));
  CHECK(std::abs(mean(normal).item()) < 5 * 3 / root);
  CHECK(std::abs(std::sqrt(var(normal).item()) - 3) < 5 * 3 / (1.4 * root));
  CHECK(max(Array(abs(uniform))).item() <= 0.5);
  CHECK(max(Array(abs(uniform))).item() > 0.499);
  CHECK(std::abs(mean(uniform).item()) < 5 * 0.5 / (1.7 * root));
  CHECK(largest_difference(Initializer::constant<double, Cpu>({3}, 2).value(),
                           Array::full({3}, 2)) == 0);
}
