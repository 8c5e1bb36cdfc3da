#include <hlip/core/random.hpp>
#include <hlip/eval/bootstrap.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using Labels = std::vector<std::int64_t>;
using Scores = std::vector<double>;

namespace {
/// The definition: every positive against every negative.
double auc_by_pairs(const Scores& s, const Labels& y) {
  double wins = 0, pairs = 0;
  for (std::size_t i = 0; i < s.size(); ++i)
    for (std::size_t j = 0; j < s.size(); ++j)
      if (y[i] == 1 && y[j] == 0) pairs += 1, wins += s[i] > s[j] ? 1 : s[i] == s[j] ? 0.5 : 0;
  return wins / pairs;
}

void draw(std::uint64_t seed, std::size_t n, Scores& scores, Labels& labels) {
  RandomStream random({seed, 1, 2});
  scores.clear(), labels.clear();
  for (std::size_t i = 0; i < n; ++i) {
    labels.push_back(random.chance(0.4));
    scores.push_back(static_cast<double>(random.below(12)) / 12 +
                     0.2 * static_cast<double>(labels.back()));
  }
  labels[0] = 0, labels[1] = 1;
}
}  // namespace

TEST_CASE("roc_auc: equals the count over all pairs, ties included") {
  Scores s;
  Labels y;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    draw(seed, 10 + 7 * seed, s, y);
    CHECK(roc_auc(s, y) == doctest::Approx(auc_by_pairs(s, y)).epsilon(1e-14));
  }
  CHECK(roc_auc(Scores{0.1, 0.9}, Labels{0, 1}) == 1);
  CHECK(roc_auc(Scores{0.1, 0.9}, Labels{1, 0}) == 0);
  CHECK(roc_auc(Scores{0.5, 0.5, 0.5}, Labels{1, 0, 0}) == 0.5);
}

TEST_CASE("roc_auc: a missing class is NaN, senseless input is refused") {
  CHECK(std::isnan(roc_auc(Scores{0.1, 0.2}, Labels{1, 1})));
  CHECK(std::isnan(roc_auc(Scores{0.1, 0.2}, Labels{0, 0})));
  CHECK(std::isnan(roc_auc(Scores{}, Labels{})));
  CHECK_THROWS_WITH_AS(roc_auc(Scores{0.1}, Labels{}), doctest::Contains("1 scores, but 0 labels"),
                       error);
  CHECK_THROWS_WITH_AS(roc_auc(Scores{0.1, not_a_number}, Labels{0, 1}),
                       doctest::Contains("score 1 is not a number"), error);
  CHECK_THROWS_WITH_AS(roc_auc(Scores{0.1, 0.2}, Labels{0, -1}),
                       doctest::Contains("label 1 is -1, expected 0 or 1"), error);
}

TEST_CASE("roc_auc: weights count a sample as often as if it were repeated") {
  Scores s, repeated;
  Labels y, repeated_labels, weights;
  draw(5, 60, s, y);
  RandomStream random({9, 9, 9});
  for (std::size_t i = 0; i < s.size(); ++i) {
    weights.push_back(random.below(4));
    repeated.insert(repeated.end(), static_cast<std::size_t>(weights[i]), s[i]);
    repeated_labels.insert(repeated_labels.end(), static_cast<std::size_t>(weights[i]), y[i]);
  }
  CHECK(RocAuc(s, y).value(weights) == roc_auc(repeated, repeated_labels));
  CHECK(std::isnan(RocAuc(s, y).value(Labels(s.size(), 0))));
}

TEST_CASE(
    "bootstrap: the interval holds the estimate, repeats exactly and narrows with more studies") {
  Scores s;
  Labels y;
  draw(1, 100, s, y);
  const auto small = bootstrap_auc(s, y), again = bootstrap_auc(s, y),
             other = bootstrap_auc(s, y, {.seed = 7});
  CHECK(small.low < roc_auc(s, y));
  CHECK(small.high > roc_auc(s, y));
  CHECK(small.low == again.low);
  CHECK(small.high == again.high);
  CHECK(small.low != other.low);
  draw(1, 1600, s, y);
  const auto large = bootstrap_auc(s, y);
  CHECK(large.high - large.low < 0.5 * (small.high - small.low));
}

TEST_CASE("bootstrap: the interval covers the truth about as often as it says") {
  // scores uniform on (0, 1) and (0.3, 1.3): AUC = 1 - 0.7^2 / 2
  const double truth = 1 - 0.7 * 0.7 / 2;
  int covered = 0;
  constexpr int trials = 200;
  for (int t = 0; t < trials; ++t) {
    RandomStream random({static_cast<std::uint64_t>(t), 3, 4});
    Scores s;
    Labels y;
    for (int i = 0; i < 120; ++i) {
      y.push_back(i % 3 == 0);
      s.push_back(random.uniform() + 0.3 * static_cast<double>(y.back()));
    }
    const auto interval = bootstrap_auc(s, y, {.resamples = 300});
    covered += interval.low <= truth && truth <= interval.high;
  }
  CHECK(covered >= trials * 88 / 100);
  CHECK(covered <= trials * 99 / 100);
}

TEST_CASE("bootstrap: resamples without a class are left out, nothing to resample gives NaN") {
  const auto rare = bootstrap_auc(Scores{0.9, 0.1, 0.2, 0.3}, Labels{1, 0, 0, 0});
  CHECK(rare.low == 1);
  CHECK(rare.high == 1);
  CHECK(std::isnan(bootstrap_auc(Scores{0.9, 0.1}, Labels{1, 1}).low));
  CHECK(std::isnan(bootstrap_auc(Scores{}, Labels{}).high));
  CHECK_THROWS_AS(bootstrap_auc(Scores{0.9, 0.1}, Labels{1, 0}, {.resamples = 0}), error);
  CHECK_THROWS_AS(bootstrap_auc(Scores{0.9, 0.1}, Labels{1, 0}, {.confidence = 1}), error);
}

TEST_CASE("quantile_of_sorted: linear between neighbours") {
  const Scores v = {0, 1, 2, 3, 4};
  CHECK(quantile_of_sorted(v, 0) == 0);
  CHECK(quantile_of_sorted(v, 1) == 4);
  CHECK(quantile_of_sorted(v, 0.625) == 2.5);
  CHECK(quantile_of_sorted(Scores{7}, 0.3) == 7);
}
