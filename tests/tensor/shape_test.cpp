#include "../support/errors.hpp"

#include <hlip/tensor/check.hpp>
#include <hlip/tensor/shape.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

TEST_CASE("shape: sizes, text, element count, insertion and removal") {
  Shape s{2, 577, 768};
  CHECK(to_string(s) == "(2, 577, 768)");
  CHECK(to_string(Shape{}) == "()");
  CHECK(s.numel() == 2 * 577 * 768);
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{3, 0}.numel() == 0);
  s.insert(1, 5);
  CHECK(s == Shape{2, 5, 577, 768});
  s.erase(0);
  CHECK(s == Shape{5, 577, 768});
  CHECK_FALSE(s == Shape{5, 577});
  CHECK(s.back() == 768);
  CHECK(contiguous_strides({4, 3, 2}) == Shape{6, 2, 1});
}

TEST_CASE("shape: nine axes are too many") {
  CHECK(error_of([] { Shape::filled(9, 1); }) == "shape: more than 8 axes");
}

TEST_CASE("shape: axes count from either end") {
  CHECK(normalize_axis("sum", -1, 3) == 2);
  CHECK(normalize_axis("sum", 0, 3) == 0);
  CHECK(error_of([] { normalize_axis("sum", 3, 3); }) ==
        "sum: axis 3 does not exist in a tensor of 3 axes");
  CHECK(error_of([] { normalize_axis("sum", -4, 3); }) ==
        "sum: axis -4 does not exist in a tensor of 3 axes");
}

TEST_CASE("shape: broadcasting follows NumPy") {
  CHECK(broadcast_shapes("add", {3, 1}, {4}) == Shape{3, 4});
  CHECK(broadcast_shapes("add", {}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast_shapes("add", {5, 1, 4}, {3, 1}) == Shape{5, 3, 4});
  CHECK(broadcast_shapes("add", {1, 3}, {0, 1}) == Shape{0, 3});
  CHECK(error_of([] {
          broadcast_shapes("add", {2, 3}, {4, 3});
        }) == "add: shapes (2, 3) and (4, 3) do not broadcast: axis 0 has 2 against 4");
}

TEST_CASE("shape checks: the message has path, argument, what came and what was wanted") {
  ModuleScope a("visual"), b("head");
  expect_shape("linear", "x", {2, 577, 768}, {{"batch"}, {"tokens"}, {"dim", 768}});
  CHECK(error_of([] {
          expect_shape("linear", "x", {2, 577, 768}, {{"batch"}, {"tokens"}, {"dim", 1024}});
        }) == "visual.head (linear): x is (2, 577, 768), expected (batch, tokens, dim = 1024)");
  CHECK(error_of([] {
          expect_shape("linear", "x", {2}, {{"batch"}, {"dim"}});
        }) == "visual.head (linear): x is (2), expected (batch, dim)");
}
