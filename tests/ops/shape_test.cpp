#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>

#include <hlip/ops/shape.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

namespace {

template <class B> using X = Tensor<float, B>;
using Values = std::vector<float>;

template <class B> X<B> padded(const X<B>& x, std::vector<Padding> p, float value) {
  return pad(x, std::span<const Padding>(p), value);
}

}  // namespace

TEST_CASE_TEMPLATE("concat: joins along any axis, views and empty parts included", B, Cpu,
                   Reference) {
  const auto a = X<B>::arange(4).reshape({2, 2}), b = X<B>::arange(2, 10).reshape({1, 2});
  CHECK(concat(std::vector{a, b}, 0).to_vector() == Values{0, 1, 2, 3, 10, 11});
  CHECK(concat(std::vector{a.transpose(0, 1), a, a.slice(1, 0, 0)}, -1).to_vector() ==
        Values{0, 2, 0, 1, 1, 3, 2, 3});
  CHECK_FALSE(concat(std::vector{a}, 0).shares_storage(a));
  CHECK(error_of([&] { concat(std::vector<X<B>>{}, 0); }) == "concat: no tensors given");
  CHECK(error_of([&] {
          concat(std::vector{a, b}, 1);
        }) == "concat: (1, 2) beside (2, 2) on axis 1");
  CHECK_THROWS_AS(concat(std::vector{a, a.reshape({4})}, 0), error);
  CHECK_THROWS_AS(concat(std::vector{a}, 2), error);
}

TEST_CASE_TEMPLATE("stack: a new axis anywhere", B, Cpu, Reference) {
  const auto a = X<B>::arange(2), b = X<B>::arange(2, 10);
  CHECK(stack(std::vector{a, b}, 0).to_vector() == Values{0, 1, 10, 11});
  CHECK(stack(std::vector{a, b}, -1).to_vector() == Values{0, 10, 1, 11});
  CHECK(stack(std::vector{X<B>::scalar(1), X<B>::scalar(2)}, 0).shape() == Shape{2});
  CHECK_THROWS_AS(stack(std::vector{a, X<B>::arange(3)}, 0), error);
}

TEST_CASE_TEMPLATE("split: views that add up to the axis", B, Cpu, Reference) {
  const auto x = X<B>::arange(6).reshape({2, 3});
  const index_t sizes[] = {1, 0, 2}, few[] = {1, 1}, many[] = {2, 2}, negative[] = {4, -1};
  const auto parts = split(x, std::span<const index_t>(sizes), 1);
  REQUIRE(parts.size() == 3);
  CHECK(parts[0].to_vector() == Values{0, 3});
  CHECK(parts[1].numel() == 0);
  CHECK(parts[2].to_vector() == Values{1, 2, 4, 5});
  CHECK(parts[2].shares_storage(x));
  CHECK(error_of([&] { split(x, std::span<const index_t>(few), 1); }) ==
        "split: pieces add up to 2, axis 1 of (2, 3) has 3");
  CHECK(error_of([&] { split(x, std::span<const index_t>(many), 1); }) ==
        "split: pieces reach beyond axis 1 of (2, 3)");
  CHECK_THROWS_AS(split(x, std::span<const index_t>(negative), 1), error);
}

TEST_CASE_TEMPLATE("pad: surrounds, crops, and does both", B, Cpu, Reference) {
  const auto x = X<B>::arange(6).reshape({2, 3});
  CHECK(padded(x, {{1, 0}, {0, 1}}, 9).to_vector() == Values{9, 9, 9, 9, 0, 1, 2, 9, 3, 4, 5, 9});
  CHECK(padded(x, {{0, -1}, {-1, 0}}, 9).to_vector() == Values{1, 2});
  CHECK(padded(x, {{-1, 1}, {-1, -1}}, 9).to_vector() == Values{4, 9});
  CHECK(padded(x, {{-2, 1}, {0, 0}}, 9).to_vector() == Values{9, 9, 9});
  CHECK(padded(x, {{0, 0}, {-3, 0}}, 9).numel() == 0);
  CHECK_FALSE(padded(x, {{0, 0}, {0, 0}}, 9).shares_storage(x));
  CHECK(error_of([&] { padded(x, {{0, 0}}, 9); }) == "pad: 1 paddings for shape (2, 3)");
  CHECK(error_of([&] {
          padded(x, {{-1, -2}, {0, 0}}, 9);
        }) == "pad: axis 0 of (2, 3) would get size -1");
}
