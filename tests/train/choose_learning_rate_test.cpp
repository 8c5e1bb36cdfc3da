#include <hlip/backend/cpu.hpp>
#include <hlip/train/choose_learning_rate.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace hlip;
using Table = Tensor<float>;

namespace {
const Table features = Table::from_values({4, 1}, {-1, 1, -2, 2}),
            labels = Table::from_values({4, 1}, {0, 1, 0, 1});
LinearProbeOptions quick() {
  LinearProbeOptions o;
  o.epochs = 5, o.batch_size = 4;
  return o;
}
}  // namespace

TEST_CASE("choose_learning_rate: the rate whose probe is worth most, of equals the first") {
  const auto steepness = [](const auto& head) {
    return double{head.weight.value().to_vector()[0]};
  };
  const auto choose = [](const std::vector<double>& rates, auto worth) {
    return choose_learning_rate(features, labels, quick(), rates, worth);
  };
  CHECK(choose({0.01, 0.5, 0.1}, steepness) == 0.5);
  CHECK(choose({0.01, 0.5, 0.1}, [&](const auto& head) { return -steepness(head); }) == 0.01);
  CHECK(choose({0.2, 0.1}, [](const auto&) { return 1.0; }) == 0.2);
  CHECK(choose({0.2, 0.1}, [](const auto&) { return std::nan(""); }) == 0.2);
  LinearProbeOptions same = quick();
  same.lr = 0.5;
  const auto expected = train_linear_probe(features, labels, same).weight.value().to_vector();
  bool tried = false;
  choose({0.5, 0.1}, [&](const auto& head) {
    tried = tried || head.weight.value().to_vector() == expected;
    return 0.0;
  });
  CHECK(tried);  // the probe that is judged is the one that this rate trains
}

TEST_CASE("choose_learning_rate: of a single rate nothing is trained, of none there is no choice") {
  int asked = 0;
  const auto worth = [&](const auto&) { return static_cast<double>(++asked); };
  CHECK(choose_learning_rate(features, labels, quick(), {0.3}, worth) == 0.3);
  CHECK(asked == 0);
  CHECK_THROWS_WITH_AS(choose_learning_rate(features, labels, quick(), {}, worth),
                       doctest::Contains("no rates"), error);
}
