#include "../support/gradients.hpp"

#include <hlip/autograd/functions/shape.hpp>

using namespace test;

namespace {

const Array anything = numbers({3, 17}, 1, -2, 2), positive = numbers({3, 17}, 2, 0.2, 3);

#define GRADIENT_OF_ONE(function, x) \
  check_gradient(#function,          \
                 [](const std::vector<Variable>& v) { return Variable(function(v[0])); }, {x})
#define GRADIENT_OF_TWO(expression, ...)     \
  check_gradient(                            \
      #expression,                           \
      [](const std::vector<Variable>& v) {   \
        const Variable &a = v[0], &b = v[1]; \
        return Variable(expression);         \
      },                                     \
      __VA_ARGS__)

}  // namespace

TEST_CASE("fused statement: the pull-back of every function of one operand is its derivative") {
  GRADIENT_OF_ONE(-, anything);
  GRADIENT_OF_ONE(abs, anything);
  GRADIENT_OF_ONE(square, anything);
  GRADIENT_OF_ONE(sqrt, positive);
  GRADIENT_OF_ONE(reciprocal, positive);
  GRADIENT_OF_ONE(exp, anything);
  GRADIENT_OF_ONE(log, positive);
  GRADIENT_OF_ONE(log1p, positive);
  GRADIENT_OF_ONE(sin, anything);
  GRADIENT_OF_ONE(cos, anything);
  GRADIENT_OF_ONE(tanh, anything);
  GRADIENT_OF_ONE(erf, anything);
  GRADIENT_OF_ONE(sigmoid, anything);
  GRADIENT_OF_ONE(softplus, anything);
  GRADIENT_OF_ONE(relu, anything);
  GRADIENT_OF_ONE(gelu, anything);
  GRADIENT_OF_ONE(silu, anything);
}

TEST_CASE(
    "fused statement: the pull-back of every function of two operands is its derivative, broadcast "
    "or not") {
  const std::vector<std::vector<Shape>> shapes = {
      {{3, 17}, {3, 17}}, {{3, 1}, {17}}, {{4, 1, 3}, {2, 1}}, {{}, {2, 3}}, {{2, 3}, {1}}};
  for (const auto& s : shapes) {
    CAPTURE(to_string(s[0]));
    CAPTURE(to_string(s[1]));
    const std::vector<Array> any = {numbers(s[0], 3), numbers(s[1], 4)},
                             above_zero = {numbers(s[0], 5, 0.3, 2), numbers(s[1], 6, 0.3, 2)};
    GRADIENT_OF_TWO(a + b, any);
    GRADIENT_OF_TWO(a - b, any);
    GRADIENT_OF_TWO(a * b, any);
    GRADIENT_OF_TWO(a / b, above_zero);
    GRADIENT_OF_TWO(pow(a, b), above_zero);
    GRADIENT_OF_TWO(minimum(a, b), any);
    GRADIENT_OF_TWO(maximum(a, b), any);
    GRADIENT_OF_TWO(where(a < b, a * b, a - b), any);
  }
}

TEST_CASE(
    "fused statement: numbers beside Vars, clamp, and a power of a negative base by a constant") {
  check_gradient(
      "numbers",
      [](const std::vector<Variable>& v) { return Variable(2.0 / (v[0] + 3) - 0.5 * v[0]); },
      {anything});
  check_gradient(
      "clamp",
      [](const std::vector<Variable>& v) { return Variable(clamp(v[0], -0.5, 1.0) * v[0]); },
      {anything});
  check_gradient(
      "where with a number",
      [](const std::vector<Variable>& v) { return Variable(where(v[0] > 0, v[0] * v[0], 0.25)); },
      {anything});
  check_gradient("cube", [](const std::vector<Variable>& v) { return Variable(pow(v[0], 3)); },
                 {anything});
  check_gradient("floor counts as a constant",
                 [](const std::vector<Variable>& v) { return Variable(v[0] * floor(v[0])); },
                 {anything});
}

TEST_CASE("fused statement: the power with exponent 0 has slope 0 everywhere, at 0 too") {
  const Variable x(Array::from_values({3}, {-1, 0, 2}), true);
  sum(Variable(pow(x, 0))).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{0, 0, 0});
}

TEST_CASE("fused statement: ties of minimum and maximum share the gradient, kinks have slope 0") {
  const Variable a(Array::from_values({2}, {1, 0}), true), b(Array::from_values({2}, {1, 2}), true);
  sum(Variable(maximum(a, b) + 10 * minimum(a, b))).backward();
  CHECK(a.grad().to_vector() == std::vector<double>{5.5, 10});
  CHECK(b.grad().to_vector() == std::vector<double>{5.5, 1});
  const Variable zero(Array::zeros({1}), true);
  sum(Variable(abs(zero) + relu(zero))).backward();
  CHECK(zero.grad().item() == 0);
}

TEST_CASE("fused statement: permuted, sliced and transposed operands") {
  const auto fn = [](const std::vector<Variable>& v) {
    return Variable(tanh(v[0]) * v[1] + square(v[1]));
  };
  check_gradient("permuted leaf", fn, {numbers({17, 3}, 1).permute({1, 0}), numbers({3, 17}, 2)});
  check_gradient("every second column", fn,
                 {numbers({3, 34}, 1).slice(1, 1, 34, 2), numbers({17}, 2)});
  check_gradient("both views of blocks", fn,
                 {numbers({4, 5, 6}, 1).slice(0, 1, 3).permute({2, 0, 1}),
                  numbers({6, 5, 2}, 2).transpose(1, 2)});
  check_gradient("views inside",
                 [](const std::vector<Variable>& v) {
                   return Variable(exp(transpose(v[0], 0, 1)) * slice(v[0], 0, 0, 1));
                 },
                 {numbers({4, 4}, 3)});
}

TEST_CASE("fused statement: odd sizes around the width of a pack") {
  for (index_t n : {1, 15, 16, 17, 33})
    check_gradient(std::to_string(n),
                   [](const std::vector<Variable>& v) { return Variable(gelu(v[0]) * v[1]); },
                   {numbers({n}, 1), numbers({2, n}, 2)});
}

TEST_CASE("fused statement: one node per statement, which keeps the leaves and nothing else") {
  const Variable x(numbers({4, 5}, 1), true), w(numbers({5}, 2), true), b(numbers({4, 1}, 3), true);
  const Variable y = gelu(x * w + b) * x - exp(-x);
  CHECK(operations_behind(y) == 1);
  CHECK(y.node()->op == "elementwise");
  CHECK(y.node()->inputs.size() == 5);  // x, w, b, x, x
  const Variable z = y * y;
  CHECK(operations_behind(z) == 2);
}

TEST_CASE("fused statement: an operand named several times gets all of its gradient") {
  check_gradient(
      "x three times",
      [](const std::vector<Variable>& v) { return Variable(v[0] * v[0] + v[0] / (2 + v[0])); },
      {numbers({5}, 1)});
  check_gradient("broadcast twice",
                 [](const std::vector<Variable>& v) { return Variable(v[0] * v[1] + v[0]); },
                 {numbers({3, 1}, 1), numbers({4}, 2)});
  const Variable x(Array::from_values({2}, {1, 2}), true), xx = x * x;
  xx.backward(Array::ones({2}));
  CHECK(x.grad().to_vector() == std::vector<double>{2, 4});
}

TEST_CASE("fused statement: leaves without gradient cost none and constants record nothing") {
  const Variable x(numbers({3}, 1), true), c(numbers({3}, 2));
  const Variable y = x * c + numbers({3}, 3);
  CHECK(y.node()->inputs[1] == nullptr);
  sum(y).backward();
  CHECK(same_bits(x.grad(), c.value()));
  CHECK_FALSE(c.has_grad());
  const Variable constant = c + 1;
  CHECK_FALSE(constant.requires_grad());
}

TEST_CASE("fused statement: comparisons of Vars are plain bool tensors") {
  const Variable x(Array::from_values({3}, {-1, 0, 1}), true);
  const Tensor<bool> above = x > 0, inside = x > -1 && !(x == 1.0);
  CHECK(above.to<std::int64_t>().to_vector() == std::vector<std::int64_t>{0, 0, 1});
  CHECK(inside.to<std::int64_t>().to_vector() == std::vector<std::int64_t>{0, 1, 0});
  const auto rounded = eval(floor(x * 1.5));
  static_assert(std::is_same_v<decltype(rounded), const Array>);
  CHECK(rounded.to_vector() == std::vector<double>{-2, 0, 1});
}

TEST_CASE("fused statement: an expression outlives the names it was built from") {
  const auto make = [](const Array& values) {
    const Variable a(values, true), b(values * 2, true);
    return a * b + 1;
  };
  const auto expression = make(numbers({40}, 5));
  const Variable y = expression;
  const Array x = numbers({40}, 5);
  CHECK(largest_difference(y.value(), x * x * 2 + 1) < 1e-15);
  static_assert(std::is_same_v<decltype(eval(expression)), Variable>);
  sum(y).backward();
}
