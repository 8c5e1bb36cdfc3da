#include "../support/gradients.hpp"

#include <hlip/losses/koleo.hpp>

using namespace test;

TEST_CASE("koleo: minus the mean logarithm of the distance to the most similar other row") {
  const Array x = numbers({6, 4}, 1), unit = l2_normalize(Variable(x), 1e-8).value();
  double total = 0;
  const auto nearest = nearest_neighbours(unit).to_vector();
  for (index_t i = 0; i < 6; ++i) {
    double least = 10;
    index_t which = -1;
    for (index_t j = 0; j < 6; ++j) {
      const Array difference = unit.select(0, i) - unit.select(0, j);
      const double d = std::sqrt(sum(Array(difference * difference)).item());
      if (j != i && d < least) least = d, which = j;
    }
    CHECK(nearest[static_cast<std::size_t>(i)] == which);
    total += std::log(least);
  }
  CHECK(koleo_loss(Variable(x)).item() == doctest::Approx(-total / 6).epsilon(1e-6));
}

TEST_CASE("koleo: gradient, the choice of the neighbour apart") {
  check_gradient("koleo", [](const std::vector<Variable>& v) { return koleo_loss(v[0]); },
                 {numbers({5, 3}, 1)});
}

TEST_CASE("koleo: the length of a row does not matter") {
  const Array x = numbers({5, 3}, 1);
  CHECK(koleo_loss(Variable(Array(x * 100.0))).item() ==
        doctest::Approx(koleo_loss(Variable(x)).item()).epsilon(1e-9));
}

TEST_CASE(
    "koleo: rows that are nearly or wholly alike give finite numbers, in float as in double") {
  for (const double apart : {1e-3, 1e-5, 1e-7, 0.0}) {
    const Array x = numbers({4, 8}, 1);
    x.select(0, 1).assign(x.select(0, 0) + apart * numbers({8}, 2));
    const Variable wide(x, true);
    const Variable loss = koleo_loss(wide);
    loss.backward();
    // the same numbers, kept in float
    const Var<float, Cpu> narrow(x.to<float>(), true);
    const Var<float, Cpu> same = koleo_loss(narrow);
    same.backward();
    const Variable rounded(narrow.value().to<double>(), true);
    const Variable want = koleo_loss(rounded);
    want.backward();
    CAPTURE(apart);
    CHECK(std::isfinite(loss.item()));
    CHECK(same.item() == doctest::Approx(want.item()).epsilon(1e-6));
    double most = 0, largest = 0;
    const auto got = narrow.grad().to_vector();
    const auto expected = rounded.grad().to_vector();
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(std::isfinite(got[i]));
      most = std::max(most, std::abs(got[i] - expected[i]));
      largest = std::max(largest, std::abs(expected[i]));
    }
    CHECK(most <= 1e-6 * largest);
  }
}

TEST_CASE("koleo: a gradient can be taken twice from a retained graph") {
  const Variable x(numbers({5, 3}, 1), true);
  const Variable loss = koleo_loss(x);
  loss.backward(Array::ones(loss.shape()), true);
  const Array once = x.grad().clone();
  loss.backward();
  CHECK(largest_difference(x.grad(), once * 2.0) < 1e-12);
}

TEST_CASE("koleo: fewer than two rows, or no matrix, is an error") {
  CHECK(error_of([] {
          koleo_loss(Variable(numbers({1, 3}, 1)));
        }) == "koleo: 1 rows, a neighbour needs two");
  CHECK(error_of([] { koleo_loss(Variable(numbers({3}, 1))); }) ==
        "koleo: x is (3), expected (N, C)");
}
