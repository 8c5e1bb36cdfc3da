#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>

#include <hlip/ops/reduce.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <omp.h>

using namespace hlip;
using test::error_of;

namespace {

template <class T, class B> Tensor<T, B> numbers(const Shape& shape, std::uint32_t stream) {
  std::vector<T> v(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<T>(normal_at({47, stream, 0}, i));
  return Tensor<T, B>::from_values(shape, std::span<const T>(v));
}

/// All values of x that share the kept axes, in order: for each result, its list.
template <class B>
std::vector<std::vector<double>> groups(const Tensor<double, B>& x, const Shape& axes) {
  std::array<bool, max_rank> reduced{};
  for (index_t a : axes) reduced[static_cast<std::size_t>(a < 0 ? a + x.rank() : a)] = true;
  if (axes.empty()) reduced.fill(true);
  index_t results = 1;
  for (int d = 0; d < x.rank(); ++d)
    if (!reduced[static_cast<std::size_t>(d)]) results *= x.shape()[d];
  std::vector<std::vector<double>> lists(static_cast<std::size_t>(results));
  for (index_t i = 0; i < x.numel(); ++i) {
    Shape at = Shape::filled(x.rank(), 0);
    index_t rest = i;
    for (int d = x.rank() - 1; d >= 0; --d) {
      at[d] = rest % x.shape()[d];
      rest /= x.shape()[d];
    }
    index_t result = 0;
    for (int d = 0; d < x.rank(); ++d)
      if (!reduced[static_cast<std::size_t>(d)]) result = result * x.shape()[d] + at[d];
    lists[static_cast<std::size_t>(result)].push_back(x.at(at));
  }
  return lists;
}

template <class B> void check_reductions(const Tensor<double, B>& x, const Shape& axes) {
  CAPTURE(to_string(x.shape()));
  CAPTURE(to_string(axes));
  const auto lists = groups(x, axes);
  const auto s = sum(x, axes).to_vector(), m = mean(x, axes).to_vector(),
             hi = max(x, axes).to_vector(), lo = min(x, axes).to_vector(),
             l = logsumexp(x, axes).to_vector(), v = var(x, {.axes = axes}).to_vector();
  REQUIRE(s.size() == lists.size());
  double most = 0;
  const auto compare = [&](double got, double want) {
    most = std::abs(got - want) <= most ? most : std::abs(got - want);
  };
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const auto& list = lists[i];
    const auto n = static_cast<double>(list.size());
    double total = 0, exps = 0, squares = 0, top = list[0], bottom = list[0];
    for (double y : list)
      total += y, exps += std::exp(y), top = std::max(top, y), bottom = std::min(bottom, y);
    for (double y : list) squares += (y - total / n) * (y - total / n);
    compare(s[i], total), compare(m[i], total / n), compare(hi[i], top), compare(lo[i], bottom),
        compare(l[i], std::log(exps));
    if (list.size() > 1) compare(v[i], squares / (n - 1));
  }
  CHECK(most < 1e-12);
  Shape kept = axes.empty() ? Shape::filled(x.rank(), 1) : x.shape();
  for (index_t a : axes) kept[a < 0 ? static_cast<int>(a) + x.rank() : static_cast<int>(a)] = 1;
  CHECK(sum(x, axes, true).shape() == kept);
  CHECK(max(x, axes, true).to_vector() == hi);
  CHECK(var(x, {.axes = axes, .keepdim = true}).shape() == kept);
}

}  // namespace

TEST_CASE_TEMPLATE("reduce: sum, mean, max, min, logsumexp and var over any axes", B, Cpu,
                   Reference) {
  for (const Shape& axes : {Shape{}, Shape{0}, Shape{1}, Shape{2}, Shape{-1}, Shape{0, 1},
                            Shape{2, 0}, Shape{1, -1}, Shape{0, 1, 2}}) {
    check_reductions(numbers<double, B>({3, 4, 17}, 1), axes);
    check_reductions(numbers<double, B>({17, 6, 3}, 2).slice(1, 0, 6, 2).permute({2, 1, 0}), axes);
  }
  check_reductions(numbers<double, B>({}, 1), {});
  check_reductions(numbers<double, B>({2, 3, 1, 4, 2}, 1), {1, 3});
  check_reductions(numbers<double, B>({600}, 1), {0});
}

TEST_CASE_TEMPLATE("reduce: argmax is the first of equal values, along any axis", B, Cpu,
                   Reference) {
  const auto x = Tensor<float, B>::from_values({2, 3}, {1, 5, 5, 7, 2, 7});
  CHECK(argmax(x, 1).to_vector() == std::vector<std::int64_t>{1, 0});
  CHECK(argmax(x, 0).to_vector() == std::vector<std::int64_t>{1, 0, 1});
  CHECK(argmax(x, -1, true).shape() == Shape{2, 1});
}

TEST_CASE_TEMPLATE("reduce: integers, bytes and 16-bit floats", B, Cpu, Reference) {
  const auto i = Tensor<std::int64_t, B>::from_values({2, 2}, {index_t{1} << 60, 1, -5, 3});
  CHECK(sum(i, {1}).to_vector() == std::vector<std::int64_t>{(index_t{1} << 60) + 1, -2});
  CHECK(max(i).item() == index_t{1} << 60);
  CHECK(min(i).item() == -5);
  const auto u = Tensor<std::uint8_t, B>::from_values({3}, {7, 0, 255});
  CHECK(max(u).item() == 255);
  CHECK(min(u).item() == 0);
  const auto ends = Tensor<std::int32_t, B>::from_values(
      {2}, {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()});
  CHECK(min(ends).item() == std::numeric_limits<std::int32_t>::min());
  const auto h = Tensor<bfloat16, B>::full({1000}, bfloat16(1));
  CHECK(static_cast<float>(sum(h).item()) == 1000);  // added up in double, rounded once
}

TEST_CASE_TEMPLATE("reduce: nothing adds up to zero, and has no mean or maximum", B, Cpu,
                   Reference) {
  const auto x = Tensor<float, B>::zeros({2, 0});
  CHECK(sum(x).item() == 0);
  CHECK(sum(x, {1}).to_vector() == std::vector<float>{0, 0});
  CHECK(sum(x, {0}).shape() == Shape{0});
  CHECK(max(x, {0}).shape() == Shape{0});
  CHECK(error_of([&] { mean(x); }) == "mean: the reduced axes of (2, 0) hold no elements");
  CHECK(error_of([&] { max(x, {1}); }) == "max: the reduced axes of (2, 0) hold no elements");
  CHECK_THROWS_AS(argmax(x, 1), error);
  CHECK_THROWS_AS(logsumexp(x), error);
}

TEST_CASE_TEMPLATE("reduce: axes that do not exist or come twice are errors", B, Cpu, Reference) {
  const auto x = Tensor<float, B>::zeros({2, 3});
  CHECK(error_of([&] { sum(x, {2}); }) == "sum: axis 2 does not exist in a tensor of 2 axes");
  CHECK(error_of([&] { sum(x, {1, -1}); }) == "sum: axis 1 is named twice");
}

TEST_CASE_TEMPLATE("reduce: NaN stays visible", B, Cpu, Reference) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  for (const auto& x : {Tensor<float, B>::from_values({3}, {1, nan, 2}),
                        Tensor<float, B>::from_values({3}, {nan, 1, 2}),
                        Tensor<float, B>::from_values({3}, {1, 2, nan})}) {
    CHECK(std::isnan(sum(x).item()));
    CHECK(std::isnan(max(x).item()));
    CHECK(std::isnan(min(x).item()));
    CHECK(std::isnan(logsumexp(x).item()));
    CHECK(std::isnan(x.at({argmax(x, 0).item()})));
  }
  CHECK(logsumexp(Tensor<float, B>::full({3}, -inf)).item() == -inf);
  CHECK(logsumexp(Tensor<float, B>::from_values({2}, {inf, 1})).item() == inf);
  CHECK(logsumexp(Tensor<float, B>::full({2}, 1000)).item() ==
        doctest::Approx(1000 + std::log(2.0)).epsilon(1e-6));
}

TEST_CASE("reduce: the sum of 16 million floats is right to a millionth, along either axis") {
  const index_t n = index_t{1} << 24;
  const auto x = Tensor<float>::full({n}, 0.1f);
  const double want = static_cast<double>(n) * static_cast<double>(0.1f);
  CHECK(std::abs(static_cast<double>(sum(x).item()) - want) < 1e-6 * want);
  CHECK(std::abs(static_cast<double>(mean(x).item()) - 0.1f) < 1e-6 * 0.1);
  const auto columns = sum(x.reshape({n / 4, 4}), {0});
  for (float s : columns.to_vector())
    CHECK(std::abs(static_cast<double>(s) - want / 4) < 1e-6 * want);
}

TEST_CASE("reduce: 1, 2 and 4 threads give the same bits") {
  const auto x = numbers<float, Cpu>({70, 1000, 3}, 1);
  const int before = omp_get_max_threads();
  const auto all = [&](int threads) {
    omp_set_num_threads(threads);
    std::vector<float> values;
    for (const Shape& axes : {Shape{}, Shape{0}, Shape{1}, Shape{2}, Shape{0, 2}})
      for (const auto& y :
           {sum(x, axes), mean(x, axes), max(x, axes), logsumexp(x, axes), var(x, {.axes = axes})})
        for (float v : y.to_vector()) values.push_back(v);
    omp_set_num_threads(before);
    return values;
  };
  const auto one = all(1);
  for (int threads : {2, 4}) {
    const auto other = all(threads);
    REQUIRE(other.size() == one.size());
    CHECK(std::memcmp(one.data(), other.data(), one.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("sum_to: adds up what broadcasting repeated") {
  const auto x = Tensor<float>::arange(12).reshape({2, 2, 3});
  CHECK(sum_to(x, {2, 2, 3}).shares_storage(x));
  CHECK(sum_to(x, {3}).to_vector() == std::vector<float>{18, 22, 26});
  CHECK(sum_to(x, {2, 1, 1}).to_vector() == std::vector<float>{15, 51});
  CHECK(sum_to(x, Shape{}).item() == 66);
}
