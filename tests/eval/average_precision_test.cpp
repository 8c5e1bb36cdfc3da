#include <hlip/core/random.hpp>
#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/bootstrap.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using Labels = std::vector<std::int64_t>;
using Scores = std::vector<double>;

namespace {
/// The definition: over the scores that occur, from the highest, gain in recall times precision.
double precision_by_thresholds(const Scores& s, const Labels& y) {
  Scores thresholds = s;
  std::sort(thresholds.begin(), thresholds.end(), [](double a, double b) { return a > b; });
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
  const auto positives = static_cast<double>(std::count(y.begin(), y.end(), 1));
  double area = 0, recall = 0;
  for (const double t : thresholds) {
    double hits = 0, called = 0;
    for (std::size_t i = 0; i < s.size(); ++i)
      if (s[i] >= t) called += 1, hits += y[i] == 1 ? 1 : 0;
    area += (hits / positives - recall) * hits / called;
    recall = hits / positives;
  }
  return area;
}

void draw(std::uint64_t seed, std::size_t n, Scores& scores, Labels& labels) {
  RandomStream random({seed, 5, 2});
  scores.clear(), labels.clear();
  for (std::size_t i = 0; i < n; ++i) {
    labels.push_back(random.chance(0.3));
    scores.push_back(static_cast<double>(random.below(9)) / 9 +
                     0.2 * static_cast<double>(labels.back()));
  }
  labels[0] = 0, labels[1] = 1;
}
}  // namespace

TEST_CASE("average_precision: steps over the scores that occur, ties one step") {
  Scores s;
  Labels y;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    draw(seed, 10 + 7 * seed, s, y);
    CHECK(average_precision(s, y) == doctest::Approx(precision_by_thresholds(s, y)).epsilon(1e-13));
  }
  CHECK(average_precision(Scores{0.1, 0.9}, Labels{0, 1}) == 1);
  CHECK(average_precision(Scores{0.1, 0.9}, Labels{1, 0}) == 0.5);
  CHECK(average_precision(Scores{0.5, 0.5, 0.5, 0.5}, Labels{1, 0, 0, 0}) == 0.25);
  CHECK(average_precision(Scores{0.5, 0.7}, Labels{1, 1}) == 1);
}

TEST_CASE("average_precision: without a positive it is NaN, senseless input is refused") {
  CHECK(std::isnan(average_precision(Scores{0.1, 0.2}, Labels{0, 0})));
  CHECK(std::isnan(average_precision(Scores{}, Labels{})));
  CHECK_THROWS_WITH_AS(average_precision(Scores{0.1}, Labels{}),
                       doctest::Contains("average_precision: 1 scores, but 0 labels"), error);
  CHECK_THROWS_WITH_AS(average_precision(Scores{0.1, not_a_number}, Labels{0, 1}),
                       doctest::Contains("score 1 is not a number"), error);
  CHECK_THROWS_AS(AveragePrecision(Scores{0.1}, Labels{1}).value(Labels{1, 1}), error);
}

TEST_CASE("average_precision: weights count a sample as often as if it were repeated") {
  Scores s, repeated;
  Labels y, repeated_labels, weights;
  draw(5, 60, s, y);
  RandomStream random({9, 9, 9});
  for (std::size_t i = 0; i < s.size(); ++i) {
    weights.push_back(random.below(4));
    repeated.insert(repeated.end(), static_cast<std::size_t>(weights[i]), s[i]);
    repeated_labels.insert(repeated_labels.end(), static_cast<std::size_t>(weights[i]), y[i]);
  }
  CHECK(AveragePrecision(s, y).value(weights) == average_precision(repeated, repeated_labels));
  CHECK(std::isnan(AveragePrecision(s, y).value(Labels(s.size(), 0))));
}

TEST_CASE("precision_recall_curve: one point a score, rising, and the point without a threshold") {
  const auto c = precision_recall_curve(Scores{0.8, 0.1, 0.4, 0.4, 0.9}, Labels{1, 0, 1, 0, 1});
  CHECK(c.threshold == Scores{0.1, 0.4, 0.8, 0.9});
  CHECK(c.precision == Scores{3.0 / 5, 3.0 / 4, 1, 1, 1});
  CHECK(c.recall == Scores{1, 1, 2.0 / 3, 1.0 / 3, 0});
  const auto none = precision_recall_curve(Scores{0.8, 0.1}, Labels{0, 0});
  CHECK(none.precision == Scores{0, 0, 1});
  CHECK(std::isnan(none.recall[0]));
  CHECK(precision_recall_curve(Scores{}, Labels{}).precision == Scores{1});
}

TEST_CASE("bootstrap_of_draws: the given resamples and no others, percentiles between neighbours") {
  const Scores values = {1, 2, 4};
  const auto total = [&](std::span<const std::int64_t> weights) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      sum += values[i] * static_cast<double>(weights[i]);
    return sum;
  };
  // sums 2, 4, 8 of the rows (0, 0), (1, 1), (2, 2)
  const auto over = bootstrap_of_draws(3, Labels{0, 0, 2, 2, 1, 1}, 2, total, 0.5);
  CHECK(over.median == 4);
  CHECK(over.interval.low == 3);
  CHECK(over.interval.high == 6);
  CHECK_THROWS_WITH_AS(bootstrap_of_draws(3, Labels{0, 3}, 2, total),
                       doctest::Contains("draws study 3 of 3"), error);
  CHECK_THROWS_AS(bootstrap_of_draws(3, Labels{0, 1, 2}, 2, total), error);
  CHECK_THROWS_AS(bootstrap_of_draws(3, Labels{0, 1}, 2, total, 1.0), error);
}
