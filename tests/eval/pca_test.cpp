#include <hlip/core/random.hpp>
#include <hlip/eval/pca.hpp>
#include <hlip/eval/roc_curve.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE(
    "principal components: points of a plane in eight dimensions come back with their distances") {
  RandomStream random({1, 2, 3});
  std::vector<double> flat, high;
  const double u[8] = {.5, .5, .5, .5, 0, 0, 0, 0}, v[8] = {0, 0, 0, 0, .5, -.5, .5, -.5};
  for (int i = 0; i < 40; ++i) {
    const double a = 5 * random.uniform(-1, 1), b = random.uniform(-1, 1);
    flat.push_back(a), flat.push_back(b);
    for (int e = 0; e < 8; ++e) high.push_back(3 + a * u[e] + b * v[e]);
  }
  const auto p = principal_components(high, 40, 8, 3);
  CHECK(p.explained[0] + p.explained[1] == doctest::Approx(1).epsilon(1e-9));
  CHECK(p.explained[0] > p.explained[1]);
  CHECK(p.explained[2] == 0);
  for (int i = 1; i < 40; ++i) {
    const double want = std::hypot(flat[2 * i] - flat[0], flat[2 * i + 1] - flat[1]),
                 got = std::hypot(p.scores[3 * i] - p.scores[0], p.scores[3 * i + 1] - p.scores[1]);
    CHECK(got == doctest::Approx(want).epsilon(1e-9));
  }
}

TEST_CASE("principal components: equal rows have none, bad sizes and values are refused") {
  const std::vector<double> same(12, 0.5);
  const auto p = principal_components(same, 4, 3, 2);
  CHECK(p.explained == std::vector<double>{0, 0});
  CHECK_THROWS_AS(principal_components(same, 5, 3, 2), error);
  const std::vector<double> bad = {1, std::nan(""), 2, 3};
  CHECK_THROWS_AS(principal_components(bad, 2, 2, 1), error);
}

TEST_CASE("roc curve: the area under it is the AUC, ties are one straight step") {
  const std::vector<double> scores = {.9, .8, .8, .7, .4, .4, .4, .1};
  const std::vector<std::int64_t> labels = {1, 0, 1, 1, 0, 1, 0, 0};
  const auto curve = roc_curve(scores, labels);
  CHECK(curve.size() == 6);
  CHECK(curve.front() == std::pair{0.0, 0.0});
  CHECK(curve.back() == std::pair{1.0, 1.0});
  double area = 0;
  for (std::size_t i = 1; i < curve.size(); ++i)
    area += (curve[i].first - curve[i - 1].first) * (curve[i].second + curve[i - 1].second) / 2;
  CHECK(area == doctest::Approx(roc_auc(scores, labels)).epsilon(1e-12));
  CHECK(roc_curve(scores, std::vector<std::int64_t>(8, 1)).empty());
}
