#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>

#include <hlip/ops/elementwise.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace hlip;
using test::error_of;

namespace {
using F = Tensor<float>;
using Values = std::vector<float>;
}  // namespace

TEST_CASE("tensor: creation") {
  CHECK(F::zeros({2, 2}).to_vector() == Values{0, 0, 0, 0});
  CHECK(F::ones({2}).to_vector() == Values{1, 1});
  CHECK(F::full({2}, 7).to_vector() == Values{7, 7});
  CHECK(F::scalar(3).rank() == 0);
  CHECK(F::scalar(3).item() == 3);
  CHECK(F::from_values({2, 1}, {5, 6}).to_vector() == Values{5, 6});
  CHECK(F::arange(4, 1, 0.5f).to_vector() == Values{1, 1.5, 2, 2.5});
  CHECK(F::arange(0).shape() == Shape{0});
  CHECK(F().shape() == Shape{0});
  CHECK(F().to_vector().empty());
  CHECK(reinterpret_cast<std::uintptr_t>(F::empty({3}).data()) % 64 == 0);
}

TEST_CASE("tensor: impossible sizes are errors before anything is allocated") {
  CHECK(error_of([] {
          F::from_values({2, 2}, {1, 2, 3});
        }) == "from_values: 3 values for shape (2, 2)");
  CHECK(error_of([] { F::empty({2, -1}); }) == "tensor: shape (2, -1) has a negative size");
  const index_t huge = index_t{1} << 40;
  CHECK(error_of([&] {
          F::empty({huge, huge});
        }) == "tensor: shape (1099511627776, 1099511627776) overflows the address space");
  CHECK_THROWS_AS(F::zeros({huge, huge, huge}), error);
  CHECK_THROWS_AS(F::from_values({huge, huge}, {1}), error);
  CHECK(error_of([] { F::arange(-1); }) == "arange: -1 values");
}

TEST_CASE("tensor: copies and views share the elements, clones have their own") {
  const F x = F::arange(12).reshape({3, 4});
  const F copy = x, own = x.clone();
  CHECK(copy.shares_storage(x));
  CHECK_FALSE(own.shares_storage(x));
  for (const F& view :
       {x.slice(0, 1, 3), x.select(1, 2), x.permute({1, 0}), x.transpose(0, 1), x.unsqueeze(0),
        x.reshape({12}), x.expand({2, 3, 4}), x.slice(0, 0, 1).squeeze(0)})
    CHECK(view.shares_storage(x));
  x.select(0, 1).fill(-1);
  CHECK(copy.at({1, 2}) == -1);
  CHECK(own.at({1, 2}) == 6);
  CHECK(x.use_count() == 2);
}

TEST_CASE(
    "tensor: slice, select, permute, transpose, unsqueeze, squeeze and expand pick the right "
    "elements") {
  const F x = F::arange(24).reshape({2, 3, 4});
  CHECK(x.slice(-1, 1, 4, 2).slice(0, 0, 1).slice(1, 0, 1).to_vector() == Values{1, 3});
  CHECK(x.slice(2, 0, 4, 3).shape() == Shape{2, 3, 2});
  CHECK(x.slice(1, 2, 2).shape() == Shape{2, 0, 4});
  CHECK(x.select(1, 2).to_vector() == Values{8, 9, 10, 11, 20, 21, 22, 23});
  const F p = x.permute({2, 0, 1});
  CHECK(p.shape() == Shape{4, 2, 3});
  CHECK(p.at({3, 1, 2}) == x.at({1, 2, 3}));
  CHECK(x.permute({-1, 0, -2}).strides() == p.strides());
  CHECK(x.transpose(0, -1).at({3, 2, 1}) == x.at({1, 2, 3}));
  CHECK(x.unsqueeze(-1).shape() == Shape{2, 3, 4, 1});
  CHECK(x.unsqueeze(1).squeeze(1).to_vector() == x.to_vector());
  CHECK(F::from_values({2, 1}, {1, 2}).expand({2, 3}).to_vector() == Values{1, 1, 1, 2, 2, 2});
  CHECK(F::scalar(4).expand({2}).to_vector() == Values{4, 4});
}

TEST_CASE("tensor: reshape keeps the row-major order and copies only what is not contiguous") {
  const F x = F::arange(6).reshape({2, 3});
  CHECK(x.reshape({3, -1}).shape() == Shape{3, 2});
  CHECK(x.reshape({6}).shares_storage(x));
  const F turned = x.transpose(0, 1);
  CHECK_FALSE(turned.is_contiguous());
  CHECK(turned.reshape({6}).to_vector() == Values{0, 3, 1, 4, 2, 5});
  CHECK_FALSE(turned.reshape({6}).shares_storage(x));
  CHECK(turned.contiguous().is_contiguous());
  CHECK(x.contiguous().shares_storage(x));
  CHECK(x.slice(0, 0, 1).transpose(0, 1).is_contiguous());  // an axis of size 1 does not matter
  CHECK(F::zeros({3, 0, 2}).is_contiguous());
  CHECK(F::scalar(2).reshape({1, 1}).shape() == Shape{1, 1});
  CHECK(F::zeros({0, 3}).reshape({3, 0}).shape() == Shape{3, 0});
}

TEST_CASE("tensor: views that do not exist are errors") {
  const F x = F::arange(6).reshape({2, 3});
  CHECK(error_of([&] { x.slice(1, 1, 4); }) == "slice: [1, 4) step 1 is outside axis 1 of (2, 3)");
  CHECK_THROWS_AS(x.slice(1, 2, 1), error);
  CHECK_THROWS_AS(x.slice(1, -1, 2), error);
  CHECK_THROWS_AS(x.slice(1, 0, 2, 0), error);
  CHECK_THROWS_AS(x.slice(2, 0, 1), error);
  CHECK(error_of([&] { x.select(0, 2); }) == "select: index 2 is outside axis 0 of (2, 3)");
  CHECK_THROWS_AS(x.select(0, -1), error);
  CHECK(error_of([&] { x.permute({0, 0}); }) == "permute: order (0, 0) names axis 0 twice");
  CHECK_THROWS_AS(x.permute({0}), error);
  CHECK(error_of([&] { x.squeeze(0); }) == "squeeze: axis 0 of (2, 3) is not 1");
  CHECK_THROWS_AS(x.expand({2, 2}), error);
  CHECK_THROWS_AS(x.expand({3}), error);
  CHECK(error_of([&] { x.reshape({4, 2}); }) == "reshape: (2, 3) (6 elements) to (4, 2)");
  for (const Shape& s :
       {Shape{-1, -1}, Shape{4, -1}, Shape{-2, -3}, Shape{-1, -2, -3}, Shape{0, -1}})
    CHECK_THROWS_AS(x.reshape(s), error);
  CHECK_THROWS_AS(F::zeros({0}).reshape({0, -1}), error);
  CHECK(error_of([&] { x.item(); }) == "item: tensor of shape (2, 3) has 6 elements, expected 1");
  CHECK(error_of([&] { x.at({1, 3}); }) == "at: index (1, 3) is outside (2, 3)");
  CHECK_THROWS_AS(x.at({1}), error);
}

TEST_CASE(
    "tensor: conversions round floats to nearest and cut towards zero on the way to integers") {
  const F x = F::from_values({4}, {-1.7f, 0.4f, 2.9f, 1.00390625f});
  CHECK(x.to<std::int64_t>().to_vector() == std::vector<std::int64_t>{-1, 0, 2, 1});
  CHECK(x.to<std::int32_t>().to_vector() == std::vector<std::int32_t>{-1, 0, 2, 1});
  CHECK(x.slice(0, 1, 3).to<std::uint8_t>().to_vector() == std::vector<std::uint8_t>{0, 2});
  CHECK(x.to<bool>().to<std::uint8_t>().to_vector() == std::vector<std::uint8_t>{1, 1, 1, 1});
  CHECK(x.to<bfloat16>().to<float>().at({3}) == 1.0f);  // a tie: to even
  CHECK(x.to<float16>().to<double>().at({3}) == 1.00390625);
  CHECK_FALSE(x.to<float>().shares_storage(x));
}

TEST_CASE("tensor: elements of every type are created, filled and read") {
  const auto check = []<class T>(T one) {
    using X = Tensor<T>;
    CHECK(X::ones({2, 2}).at({1, 1}) == one);
    CHECK(X::zeros({2}).at({0}) == T{});
    CHECK(X::full({17}, one).at({16}) == one);
    CHECK(X::ones({2, 3}).transpose(0, 1).clone().at({2, 1}) == one);
  };
  check(1.0), check(1.0f), check(float16(1)), check(bfloat16(1)), check(std::int64_t{1}),
      check(std::int32_t{1}), check(std::uint8_t{1}), check(true);
}

TEST_CASE("tensor: a wrapped buffer is used in place and kept alive by its owner") {
  auto owner = std::shared_ptr<float>(new float[6]{0, 1, 2, 3, 4, 5}, [](float* p) { delete[] p; });
  const std::weak_ptr<float> watch = owner;
  {
    const F x = F::wrap(owner, owner.get() + 2, {2, 2});
    owner.reset();
    CHECK(x.to_vector() == Values{2, 3, 4, 5});
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
}

TEST_CASE("tensor: the other backend holds the same numbers") {
  const F x = F::arange(6).reshape({2, 3}).transpose(0, 1);
  const auto y = to_backend<Reference>(x);
  static_assert(std::is_same_v<std::remove_cvref_t<decltype(y)>, Tensor<float, Reference>>);
  CHECK(y.to_vector() == x.to_vector());
}
