#include "../support/gradients.hpp"

#include <hlip/autograd/functions/shape.hpp>

using namespace test;

namespace {

/// Squares after the move, so that a gradient put in the wrong place shows.
void check_move(const std::string& what, const std::function<Variable(const Variable&)>& move,
                const Array& x) {
  check_gradient(what,
                 [&](const std::vector<Variable>& v) { return Variable(square(move(v[0])) * 0.5); },
                 {x});
}

}  // namespace

TEST_CASE("rearrangements of Vars: gradients go back where the elements came from") {
  for (const Array& x :
       {numbers({2, 3, 4}, 1), numbers({4, 3, 4}, 2).slice(2, 0, 4, 2).permute({2, 1, 0})}) {
    CAPTURE(to_string(x.strides()));
    check_move(
        "reshape",
        [](const Variable& v) {
          return reshape(v, {4, -1});
        },
        x);
    check_move(
        "permute",
        [](const Variable& v) {
          return permute(v, {2, 0, 1});
        },
        x);
    check_move(
        "permute, axes from the end",
        [](const Variable& v) {
          return permute(v, {-1, 0, -2});
        },
        x);
    check_move(
        "transpose", [](const Variable& v) { return transpose(v, 0, -1); }, x);
    check_move(
        "slice", [](const Variable& v) { return slice(v, 1, 1, 3); }, x);
    check_move(
        "slice with a step", [](const Variable& v) { return slice(v, 2, 1, 4, 2); }, x);
    check_move(
        "select", [](const Variable& v) { return select(v, 1, 2); }, x);
    check_move(
        "pad and crop",
        [](const Variable& v) {
          const Padding p[] = {{1, 0}, {-1, 2}, {0, -3}};
          return pad(v, std::span<const Padding>(p), 7.0);
        },
        x);
  }
  check_move(
      "expand",
      [](const Variable& v) {
        return expand(v, {4, 2, 3});
      },
      numbers({2, 1}, 3));
  check_move(
      "expand a scalar",
      [](const Variable& v) {
        return expand(v, {2, 3});
      },
      Array::scalar(0.7));
}

TEST_CASE("rearrangements of Vars: concat and split") {
  for (int axis : {0, 1, -1}) {
    CAPTURE(axis);
    check_gradient("concat",
                   [axis](const std::vector<Variable>& v) {
                     return Variable(square(concat(std::vector<Variable>{v[0], v[1], v[0]}, axis)));
                   },
                   {numbers({2, 2, 3}, 1), numbers({3, 2, 2}, 2).transpose(0, 2)});
  }
  check_gradient("split",
                 [](const std::vector<Variable>& v) {
                   const index_t sizes[] = {1, 0, 3};
                   const auto parts = split(v[0], std::span<const index_t>(sizes), 1);
                   return Variable(square(parts[2]) * parts[0]);
                 },
                 {numbers({2, 4}, 1)});
  const index_t short_sizes[] = {1, 2};
  CHECK(error_of([&] {
          split(Variable(Array::ones({2, 4})), std::span<const index_t>(short_sizes), 1);
        }) == "split: pieces add up to 3, axis 1 of (2, 4) has 4");
  CHECK_THROWS_AS(concat(std::vector<Variable>{}, 0), error);
  CHECK_THROWS_AS(concat(std::vector<Variable>{Array::ones({2}), Array::ones({2, 2})}, 0), error);
}

TEST_CASE("rearrangements of Vars: views move no element") {
  const Variable x(numbers({4, 6}, 1), true);
  CHECK(reshape(x, {24}).value().data() == x.value().data());
  CHECK(permute(x, {1, 0}).value().data() == x.value().data());
  CHECK(slice(x, 0, 1, 3).value().data() == x.value().data() + 6);
  CHECK(select(x, 1, 2).value().data() == x.value().data() + 2);
  CHECK(expand(x, {2, 4, 6}).value().data() == x.value().data());
}
