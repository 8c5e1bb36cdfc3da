#include <hlip/eval/known_labels.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using Labels = std::vector<std::int64_t>;
using Scores = std::vector<double>;

namespace {
/// Four pictures, three findings: of the first one label is not known, the third nobody has.
const Scores labels = {1, 0, 0, not_a_number, 1, 0, 0, 1, 0, 1, 0, 0};
const Scores scores = {0.9, 0.2, 7, 0.5, 0.8, 7, 0.3, 0.1, 7, 0.1, 0.4, 7};
}  // namespace

TEST_CASE("KnownLabels: of one finding the pictures that have a label, and their scores") {
  const KnownLabels first(labels, 0, 3);
  CHECK(first.pictures == std::vector<std::size_t>{0, 2, 3});
  CHECK(first.labels == Labels{1, 0, 1});
  CHECK(first.positives == 2);
  CHECK(first.negatives == 1);
  CHECK(first.both());
  CHECK(first.scores(scores) == Scores{0.9, 0.3, 0.1});
  const KnownLabels last(labels, 2, 3);
  CHECK(last.labels == Labels{0, 0, 0, 0});
  CHECK_FALSE(last.both());
  CHECK_FALSE(KnownLabels(Scores{}, 0, 1).both());
}

TEST_CASE("KnownLabels: sizes that do not fit and other labels are refused") {
  CHECK_THROWS_WITH_AS(KnownLabels(labels, 3, 3), doctest::Contains("known_labels: 12 labels"),
                       error);
  CHECK_THROWS_AS(KnownLabels(labels, 0, 0), error);
  CHECK_THROWS_AS(KnownLabels(labels, 0, 5), error);
  CHECK_THROWS_WITH_AS(KnownLabels(Scores{1, 0.5}, 0, 1),
                       doctest::Contains("label 1 is 0.5, expected 0, 1 or NaN"), error);
  CHECK_THROWS_AS(KnownLabels(labels, 0, 3).scores(Scores{1, 2, 3}), error);
}

TEST_CASE("macro_average_precision: findings that have one label alone count in no mean") {
  const double first = average_precision(Scores{0.9, 0.3, 0.1}, Labels{1, 0, 1}),
               second = average_precision(Scores{0.2, 0.8, 0.1, 0.4}, Labels{0, 1, 1, 0});
  CHECK(macro_average_precision(scores, labels, 3) == (first + second) / 2);
  CHECK(std::isnan(macro_average_precision(Scores{1, 2}, Scores{0, 0}, 1)));
  CHECK(std::isnan(macro_average_precision(Scores{}, Scores{}, 2)));
  CHECK_THROWS_AS(macro_average_precision(Scores{1}, Scores{0, 1}, 1), error);
  CHECK_THROWS_AS(macro_average_precision(Scores{}, Scores{}, 0), error);
  CHECK_THROWS_AS(macro_average_precision(Scores{not_a_number, 1}, Scores{0, 1}, 1), error);
}
