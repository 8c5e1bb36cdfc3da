#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>

#include <hlip/ops/elementwise.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

namespace {

using F = Tensor<float>;
using Values = std::vector<float>;

auto unevaluated() {  // everything it names dies here
  const F a = F::arange(40), b = F::full({40}, 2);
  return a * b + sqrt(F::ones({40}));
}

}  // namespace

TEST_CASE("expression: nothing is computed before it becomes a tensor") {
  const F a = F::ones({3});
  const auto e = a + 1;
  a.fill(5);
  CHECK(F(e).to_vector() == Values{6, 6, 6});
}

TEST_CASE("expression: an auto expression returned from a function stays valid") {
  const auto e = unevaluated();
  const F y = e, again = e * 0 + e;
  CHECK(y.at({39}) == 79);
  CHECK(again.at({39}) == 79);
}

TEST_CASE("expression: y = expression gives y fresh storage, even when y is in the expression") {
  F y = F::ones({3});
  const F before = y;
  y = y + 1;
  CHECK_FALSE(y.shares_storage(before));
  CHECK(before.to_vector() == Values{1, 1, 1});
  CHECK(y.to_vector() == Values{2, 2, 2});
}

TEST_CASE("expression: eval gives a tensor by value") {
  const F a = F::ones({3});
  static_assert(std::is_same_v<decltype(eval(a + 1)), F>);
  static_assert(std::is_same_v<decltype(eval(a)), F>);
  static_assert(std::is_same_v<decltype(eval(a < 1)), Tensor<bool>>);
  const F y = eval(a + 1);
  CHECK(y.to_vector() == Values{2, 2, 2});
}

TEST_CASE("assign: writes into the elements there are, broadcasting the expression") {
  const F y = F::zeros({2, 3});
  const F alias = y;
  y.assign(F::arange(3) + 1);
  CHECK(alias.to_vector() == Values{1, 2, 3, 1, 2, 3});
  y.slice(1, 0, 3, 2).assign(F::from_values({2, 1}, {7, 8}));
  CHECK(alias.to_vector() == Values{7, 2, 7, 8, 2, 8});
  y.assign(y * 2 + y);  // the same index order: allowed in place
  CHECK(alias.to_vector() == Values{21, 6, 21, 24, 6, 24});
}

TEST_CASE("assign: an operand that overlaps in another order is an error") {
  const F x = F::arange(9).reshape({3, 3});
  const std::string hint =
      " overlaps the target of shape (3, 3) with another index order (hint: write y = expression, "
      "which uses fresh storage)";
  CHECK(error_of([&] { x.assign(x.transpose(0, 1)); }) ==
        "assign: an operand of shape (3, 3)" + hint);
  CHECK(error_of([&] { x.assign(x.slice(0, 0, 1) + 1); }) ==
        "assign: an operand of shape (1, 3)" + hint);
  const F row = F::arange(5);
  CHECK_THROWS_AS(row.slice(0, 1, 5).assign(row.slice(0, 0, 4)), error);
  row.slice(0, 0, 2).assign(row.slice(0, 3, 5));  // no overlap
  CHECK(row.to_vector() == Values{3, 4, 2, 3, 4});
  CHECK(error_of([&] { row.assign(F::ones({2})); }).find("assign: ") == 0);
  CHECK(error_of([&] {
          F::ones({3}).assign(F::ones({2, 3}));
        }) == "assign: (2, 3) does not broadcast to the target (3)");
}

TEST_CASE("expression: a number takes the element type of the tensor beside it") {
  const F x = F::from_values({2}, {1, 3});
  static_assert(std::is_same_v<decltype(eval(x * 0.1)), F>);
  static_assert(std::is_same_v<decltype(eval(2 - x)), F>);
  CHECK(F(x * 0.1).to_vector() == Values{1 * 0.1f, 3 * 0.1f});
  const Tensor<std::int64_t> i = Tensor<std::int64_t>::arange(3);
  CHECK(eval(i * 2 + 1).to_vector() == std::vector<std::int64_t>{1, 3, 5});
  const Tensor<bfloat16> h = F::from_values({2}, {1.5f, -2}).to<bfloat16>();
  const Tensor<bfloat16> twice = h * 2.0;  // computed in float, stored in 16 bits
  CHECK(twice.to<float>().to_vector() == Values{3, -4});
  CHECK(F(h + x).to_vector() == Values{2.5, 1});
}

TEST_CASE("expression: shapes that do not broadcast name the operation") {
  CHECK(error_of([] {
          F y = F::ones({2, 3}) * F::ones({4});
        }) == "multiply: shapes (2, 3) and (4) do not broadcast: axis 1 has 3 against 4");
  CHECK(error_of([] { F y = where(F::ones({2}) > 0, F::ones({3}), 1); }).find("where: ") == 0);
}

TEST_CASE("expression: empty, scalar, and eight axes") {
  CHECK(F(F::zeros({0, 3}) + 1).shape() == Shape{0, 3});
  CHECK(F(F::scalar(2) * F::scalar(3)).item() == 6);
  const F wide = F::arange(256).reshape({2, 2, 2, 2, 2, 2, 2, 2});
  const F y = wide.permute({7, 6, 5, 4, 3, 2, 1, 0}) + wide;
  CHECK(y.at({1, 0, 0, 0, 0, 0, 0, 0}) == 128 + 1);
  CHECK(y.at({1, 1, 0, 0, 0, 0, 0, 0}) == 192 + 3);
}
