#include <hlip/backend/cpu.hpp>
#include <hlip/eval/standardise.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using Table = Tensor<float>;

TEST_CASE("standardise: mean 0 and sd 1 of the samples learned from, others by the same numbers") {
  const Table train = Table::from_values({4, 2}, {1, 5, 3, 5, 5, 5, 7, 5});
  const auto statistics = feature_statistics(train);
  REQUIRE(statistics.size() == 2);
  CHECK(statistics[0].mean == 4);
  CHECK(statistics[0].sd == doctest::Approx(std::sqrt(5.0)));
  CHECK(statistics[1].sd == 0);
  const Table x = standardise(train, statistics);
  const auto after = feature_statistics(x);
  CHECK(after[0].mean == doctest::Approx(0));
  CHECK(after[0].sd == doctest::Approx(1));
  const Table test = Table::from_values({1, 2}, {9, 8});
  CHECK(standardise(test, statistics).to_vector() ==
        std::vector<float>{static_cast<float>(5 / statistics[0].sd), 0});
  CHECK(test.to_vector() == std::vector<float>{9, 8});  // not in place
  CHECK(standardise(Table::zeros({0, 2}), statistics).shape() == Shape{0, 2});
}

TEST_CASE("standardise: sizes that do not fit are refused") {
  CHECK_THROWS_WITH_AS(feature_statistics(Table::zeros({0, 3})),
                       doctest::Contains("expected (samples, features) with a sample"), error);
  CHECK_THROWS_AS(feature_statistics(Table::zeros({3})), error);
  const auto statistics = feature_statistics(Table::zeros({2, 3}));
  CHECK_THROWS_WITH_AS(standardise(Table::zeros({2, 2}), statistics),
                       doctest::Contains("expected (samples, 3)"), error);
}
