#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>

#include <hlip/ops/index.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

namespace {
template <class B> using X = Tensor<float, B>;
template <class B> using Ids = Tensor<std::int64_t, B>;
using Values = std::vector<float>;
}  // namespace

TEST_CASE_TEMPLATE("index_select: rows in the order and shape of the index", B, Cpu, Reference) {
  const auto table = X<B>::arange(6).reshape({3, 2});
  CHECK(index_select(table, Ids<B>::from_values({3}, {2, 0, 2})).to_vector() ==
        Values{4, 5, 0, 1, 4, 5});
  CHECK(index_select(table, Ids<B>::from_values({1, 2}, {1, 1})).shape() == Shape{1, 2, 2});
  CHECK(index_select(table.transpose(0, 1), Ids<B>::from_values({1}, {1})).to_vector() ==
        Values{1, 3, 5});
  CHECK(index_select(X<B>::arange(3), Ids<B>::from_values({2}, {2, 1})).to_vector() ==
        Values{2, 1});
  CHECK(index_select(table, Ids<B>::zeros({0})).shape() == Shape{0, 2});
  CHECK(index_select(table, Ids<B>::from_values({}, {2})).to_vector() == Values{4, 5});
}

TEST_CASE_TEMPLATE("scatter_add: rows with the same number add up", B, Cpu, Reference) {
  const auto rows = X<B>::arange(6).reshape({3, 2});
  const auto y = scatter_add(rows, Ids<B>::from_values({3}, {1, 3, 1}), 4);
  CHECK(y.shape() == Shape{4, 2});
  CHECK(y.to_vector() == Values{0, 0, 4, 6, 0, 0, 2, 3});
  CHECK(scatter_add(X<B>::ones({2, 2}), Ids<B>::zeros({2, 2}), 1).to_vector() == Values{4});
  CHECK(scatter_add(X<B>::zeros({0, 2}), Ids<B>::zeros({0}), 2).to_vector() == Values{0, 0, 0, 0});
}

TEST_CASE_TEMPLATE(
    "index_select and scatter_add: numbers outside the table and shapes that do not fit are errors",
    B, Cpu, Reference) {
  const auto table = X<B>::arange(6).reshape({3, 2});
  const auto at = [](std::int64_t i) { return Ids<B>::from_values({2}, {0, i}); };
  CHECK(error_of([&] {
          index_select(table, at(3));
        }).find("index 1 is 3, expected 0 to 2 (the table has 3 rows)") != std::string::npos);
  CHECK(error_of([&] { index_select(table, at(-1)); }).find("index 1 is -1") != std::string::npos);
  CHECK_THROWS_AS(index_select(X<B>::zeros({0, 2}), at(0)), error);
  CHECK(error_of([&] { index_select(X<B>::scalar(1), at(0)); }) ==
        "index_select: the table is a scalar");
  CHECK(error_of([&] { scatter_add(table.slice(0, 0, 2), at(5), 4); }).find("index 1 is 5") !=
        std::string::npos);
  CHECK(error_of([&] { scatter_add(table, at(1), 4); }) ==
        "scatter_add: rows is (3, 2), expected the axes of index (2) first");
  CHECK_THROWS_AS(scatter_add(X<B>::ones({2}), Ids<B>::zeros({2, 1}), 4), error);
  CHECK_THROWS_AS(scatter_add(table.slice(0, 0, 2), at(1), -1), error);
}
