#include "../support/gradients.hpp"

#include <hlip/losses/dice_cross_entropy.hpp>

using namespace test;

namespace {

using Labels = Tensor<std::int64_t, Cpu>;

const double unknown = std::numeric_limits<double>::quiet_NaN();

/// Logits that leave no doubt: `high` where the mask is 1, -high elsewhere.
Variable certain(const Array& masks, double high = 50) {
  return Variable(Array((masks * 2.0 - 1.0) * high));
}

}  // namespace

TEST_CASE("dice_cross_entropy: by hand, of one picture of two pixels and two classes") {
  const Variable logits(Array::from_values({1, 2, 1, 2}, {0.3, -1.0, 0.9, 0.5}));
  const Labels labels = Labels::from_values({1, 1, 2}, {1, 0});
  const double p = 1 / (1 + std::exp(0.3 - 0.9)), q = 1 / (1 + std::exp(0.5 + 1.0));
  const double smooth = 0.1;  // p and q: probabilities of what is right
  const auto loss = dice_cross_entropy(logits, labels, smooth);
  const double dice0 = (2 * q + smooth) / (1 - p + q + 1 + smooth),
               dice1 = (2 * p + smooth) / (p + 1 - q + 1 + smooth);
  CHECK(loss.dice.item() == doctest::Approx(1 - (dice0 + dice1) / 2));
  CHECK(loss.cross_entropy.item() == doctest::Approx(-(std::log(p) + std::log(q)) / 2));
  CHECK(loss.total().item() == doctest::Approx(loss.dice.item() + loss.cross_entropy.item()));
}

TEST_CASE("dice_cross_entropy: what is certain and right costs nothing, an absent class included") {
  const Labels labels = Labels::from_values({1, 2, 2}, {0, 1, 1, 0});  // nothing of class 2
  const Array masks = Array::from_values({1, 3, 2, 2}, {1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0});
  const auto right = dice_cross_entropy(certain(masks), labels);
  CHECK(right.dice.item() == doctest::Approx(0).epsilon(1e-9));
  CHECK(right.cross_entropy.item() < 1e-20);
  const auto overlapping = dice_binary_cross_entropy(certain(masks), masks);
  CHECK(overlapping.dice.item() == doctest::Approx(0).epsilon(1e-9));
  CHECK(overlapping.cross_entropy.item() < 1e-20);
  const auto wrong = dice_binary_cross_entropy(certain(Array(1.0 - masks)), masks);
  CHECK(wrong.dice.item() == doctest::Approx(1).epsilon(1e-4));
  CHECK(wrong.cross_entropy.item() == doctest::Approx(50));
}

TEST_CASE("dice_binary_cross_entropy: every picture and class by itself") {
  const Array masks = Array::from_values({1, 2, 3}, {1, 1, 0, 0, 1, 0});
  const Variable logits(numbers({1, 2, 3}, 1, -2, 2));
  const double smooth = 0.5;
  const auto loss = dice_binary_cross_entropy(logits, masks, smooth);
  double dice = 0, entropy = 0;
  for (index_t k = 0; k < 2; ++k) {
    double both = 0, guessed = 0, truth = 0;
    for (index_t i = 0; i < 3; ++i) {
      const double y = masks.at({0, k, i}), p = 1 / (1 + std::exp(-logits.value().at({0, k, i})));
      both += p * y, guessed += p, truth += y;
      entropy -= y > 0 ? std::log(p) / 6 : std::log(1 - p) / 6;
    }
    dice += (2 * both + smooth) / (guessed + truth + smooth) / 2;
  }
  CHECK(loss.dice.item() == doctest::Approx(1 - dice));
  CHECK(loss.cross_entropy.item() == doctest::Approx(entropy));
}

TEST_CASE("dice_binary_cross_entropy: a pixel that is not known counts nowhere") {
  const auto some = dice_binary_cross_entropy(Variable(Array::from_values({1, 1, 3}, {0.5, 9, -1})),
                                              Array::from_values({1, 1, 3}, {1, unknown, 0}));
  const auto without = dice_binary_cross_entropy(Variable(Array::from_values({1, 1, 2}, {0.5, -1})),
                                                 Array::from_values({1, 1, 2}, {1, 0}));
  CHECK(some.dice.item() == doctest::Approx(without.dice.item()));
  CHECK(some.cross_entropy.item() == doctest::Approx(without.cross_entropy.item()));
  const Variable logits(Array::from_values({1, 1, 3}, {0.5, 9, -1}), true);
  dice_binary_cross_entropy(logits, Array::from_values({1, 1, 3}, {1, unknown, 0}))
      .total()
      .backward();
  CHECK(logits.grad().at({0, 0, 1}) == 0);
}

TEST_CASE("dice_binary_cross_entropy: a class of which a picture knows nothing counts in no mean") {
  const double u = unknown;
  const Array values = numbers({2, 2, 3}, 4, -2, 2),
              masks = Array::from_values({2, 2, 3}, {1, 0, 1, u, u, u, u, u, u, 0, u, 1});
  const Variable logits(values, true);
  const auto loss = dice_binary_cross_entropy(logits, masks, 0.5);
  loss.total().backward();
  double dice = 0;
  for (const auto& [picture, k] : {std::pair{0, 0}, {1, 1}}) {  // each known class by itself
    const auto alone = [&](const Array& x) {
      return Array(x.slice(0, picture, picture + 1).slice(1, k, k + 1).contiguous());
    };
    const Variable own(alone(values), true);
    const auto one = dice_binary_cross_entropy(own, alone(masks), 0.5);
    dice += one.dice.item() / 2;
    one.dice.backward();
    const Variable all(values, true);
    dice_binary_cross_entropy(all, masks, 0.5).dice.backward();
    for (index_t i = 0; i < 3; ++i)
      CHECK(all.grad().at({picture, k, i}) == doctest::Approx(own.grad().at({0, 0, i}) / 2));
  }
  CHECK(loss.dice.item() == doctest::Approx(dice));
  CHECK(logits.grad().at({0, 1, 0}) == 0);
  const auto nothing = dice_binary_cross_entropy(logits, Array::full({2, 2, 3}, unknown), 0.5);
  CHECK(nothing.total().item() == 0);
}

TEST_CASE("dice_cross_entropy: gradients, of pictures and of volumes") {
  const Labels labels = Labels::from_values({2, 2, 2}, {0, 2, 1, 1, 2, 2, 0, 2});
  check_gradient(
      "softmax",
      [&](const std::vector<Variable>& v) { return dice_cross_entropy(v[0], labels, 0.1).total(); },
      {numbers({2, 3, 2, 2}, 1)});
  const Array masks = Array::from_values({1, 2, 1, 2, 2}, {0, 1, 1, 0.5, unknown, 0, 0, 1});
  check_gradient("sigmoid",
                 [&](const std::vector<Variable>& v) {
                   return dice_binary_cross_entropy(v[0], masks, 0.1).total();
                 },
                 {numbers({1, 2, 1, 2, 2}, 2)});
}

TEST_CASE("dice_cross_entropy: shapes and labels that do not fit are named") {
  const Variable logits(Array::zeros({2, 3, 4, 4}));
  CHECK(error_of([&] {
          dice_cross_entropy(logits, Labels::zeros({2, 4, 5}));
        }) ==
        "dice_cross_entropy: labels are (2, 4, 5), expected (2, 4, 4) for logits (2, 3, 4, 4)");
  CHECK(error_of([&] {
          dice_cross_entropy(Variable(Array::zeros({2, 3})), Labels::zeros({2}));
        }) == "dice_cross_entropy: logits are (2, 3), expected (N, classes, …)");
  CHECK_THROWS_AS(dice_cross_entropy(Variable(Array::zeros({0, 3, 4})), Labels::zeros({0, 4})),
                  error);
  CHECK_THROWS_AS(dice_cross_entropy(logits, Labels::full({2, 4, 4}, 3)), error);
  CHECK_THROWS_AS(dice_cross_entropy(logits, Labels::full({2, 4, 4}, -1)), error);
  CHECK(error_of([&] {
          dice_binary_cross_entropy(logits, Array::zeros({2, 1, 4, 4}));
        }) ==
        "dice_binary_cross_entropy: masks are (2, 1, 4, 4), expected the shape of logits "
        "(2, 3, 4, 4)");
  CHECK(error_of([&] {
          dice_cross_entropy(logits, Labels::zeros({2, 4, 4}), 0);
        }) == "soft_dice_loss: smooth is 0, expected a positive number");
}
