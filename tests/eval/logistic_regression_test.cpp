#include <hlip/backend/cpu.hpp>
#include <hlip/core/random.hpp>
#include <hlip/eval/logistic_regression.hpp>

#include <doctest/doctest.h>
#include <omp.h>

using namespace hlip;
using Table = Tensor<double>;
using Labels = std::vector<std::int64_t>;

namespace {
/// Points around one centre for each class, in `width` dimensions.
Table points(const Labels& labels, index_t width, double noise) {
  RandomStream random({11, 2, 3});
  std::vector<double> values;
  for (const auto label : labels)
    for (index_t k = 0; k < width; ++k)
      values.push_back((label % width == k ? 1 : 0) + noise * random.normal());
  return Table::from_values({static_cast<index_t>(labels.size()), width},
                            std::span<const double>(values));
}
Labels cycle(std::size_t n, std::int64_t classes) {
  Labels out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<std::int64_t>(i) % classes);
  return out;
}
}  // namespace

TEST_CASE("minimize_lbfgs: Rosenbrock's valley, and what it says when it runs out of iterations") {
  const auto valley = [](const std::vector<double>& x, std::vector<double>& g) {
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    g = {-2 * a - 400 * x[0] * b, 200 * b};
    return a * a + 100 * b * b;
  };
  const auto found = minimize_lbfgs(valley, {-1.2, 1}, {.tolerance = 1e-10});
  CHECK(found.converged);
  CHECK(found.x[0] == doctest::Approx(1).epsilon(1e-9));
  CHECK(found.x[1] == doctest::Approx(1).epsilon(1e-9));
  CHECK(found.iterations < 100);
  const auto cut = minimize_lbfgs(valley, {-1.2, 1}, {.tolerance = 1e-10, .max_iterations = 3});
  CHECK_FALSE(cut.converged);
  CHECK(cut.iterations == 3);
  CHECK(cut.value < 24.2);
  const auto nowhere = [](const std::vector<double>&, std::vector<double>&) {
    return std::nan("");
  };
  CHECK_THROWS_AS(minimize_lbfgs(nowhere, {1}), error);
}

TEST_CASE("logistic_regression: at the optimum every slope vanishes, two classes and more") {
  for (const std::int64_t classes : {2, 3}) {
    const Labels labels = cycle(60, classes);
    const Table x = points(labels, 4, 0.8);
    const auto model = logistic_regression(x, std::span(labels), {.C = 0.7, .tol = 1e-12});
    CHECK(model.converged);
    CHECK(model.rows() == (classes == 2 ? 1 : classes));
    // slope of the objective along each weight, by its definition
    const auto p = predict_probabilities(model, x);
    const auto values = x.to_vector();
    for (index_t r = 0; r < model.rows(); ++r)
      for (index_t k = 0; k < 4; ++k) {
        const index_t c = classes == 2 ? 1 : r;
        double slope = model.weight[static_cast<std::size_t>(r * 4 + k)];
        for (index_t i = 0; i < 60; ++i)
          slope += 0.7 * values[static_cast<std::size_t>(i * 4 + k)] *
                   (p[static_cast<std::size_t>(i * classes + c)] - (i % classes == c ? 1 : 0));
        CHECK(std::abs(slope) < 1e-9);
      }
    double sum = 0;
    for (std::size_t c = 0; c < static_cast<std::size_t>(classes); ++c) sum += p[c];
    CHECK(sum == doctest::Approx(1));
  }
}

TEST_CASE("logistic_regression: labels keep their numbers, huge logits stay finite") {
  const Labels labels = {-7, 40, -7, 40, 3, 3};
  const Table x = Table::from_values({6, 1}, {-900, 900, -1000, 1000, 0.1, -0.1});
  const auto model = logistic_regression(x, std::span(labels), {.C = 100});
  CHECK(model.classes == Labels{-7, 3, 40});
  CHECK(predict_classes(model, x) == labels);
  CHECK(std::isfinite(model.objective));
}

TEST_CASE("logistic_regression: the same bits at every number of threads") {
  const Labels labels = cycle(700, 5);
  const Table x = points(labels, 33, 1.0);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = logistic_regression(x, std::span(labels));
  for (const int threads : {2, 4}) {
    omp_set_num_threads(threads);
    CHECK(logistic_regression(x, std::span(labels)).weight == one.weight);
  }
  omp_set_num_threads(before);
}

TEST_CASE("logistic_regression: senseless input is refused") {
  const Labels labels = {0, 1};
  CHECK_THROWS_WITH_AS(
      logistic_regression(Table::zeros({2, 1}), std::span<const std::int64_t>(Labels{4, 4})),
      doctest::Contains("of one class"), error);
  CHECK_THROWS_AS(logistic_regression(Table::zeros({3, 1}), std::span(labels)), error);
  CHECK_THROWS_AS(logistic_regression(Table::zeros({2, 1}), std::span(labels), {.C = 0}), error);
  CHECK_THROWS_AS(logistic_regression(Table::full({2, 1}, std::nan("")), std::span(labels)), error);
}

TEST_CASE("cross_validated_accuracy: right where classes lie apart, chance where nothing does") {
  const Labels labels = cycle(100, 2);
  Labels folds;
  for (std::int64_t i = 0; i < 100; ++i) folds.push_back(i / 20);
  const auto apart = cross_validated_accuracy(points(labels, 3, 0.1), std::span(labels),
                                              std::span<const std::int64_t>(folds), 5);
  CHECK(apart.accuracy == std::vector<double>(5, 1.0));
  CHECK(apart.unfinished == 0);
  double mean = 0;
  for (const double a : cross_validated_accuracy(points(cycle(100, 1), 3, 1.0), std::span(labels),
                                                 std::span<const std::int64_t>(folds), 5)
                            .accuracy)
    mean += a / 5;
  CHECK(cross_validated_accuracy(points(labels, 3, 0.1), std::span(labels),
                                 std::span<const std::int64_t>(folds), 5, {.max_iterations = 1})
            .unfinished == 5);
  CHECK(mean > 0.3);
  CHECK(mean < 0.7);
  folds.assign(100, 0);
  CHECK_THROWS_WITH_AS(cross_validated_accuracy(points(labels, 3, 0.1), std::span(labels),
                                                std::span<const std::int64_t>(folds), 2),
                       doctest::Contains("fold 0 of 2 holds 100 of 100 samples"), error);
}
