#include "../support/gradients.hpp"

#include <hlip/autograd/functions/linear.hpp>
#include <hlip/autograd/functions/norm.hpp>
#include <hlip/ops/matmul.hpp>

using namespace test;

TEST_CASE("layer_norm: rows have mean 0 and variance 1 before weight and bias") {
  const Array x = numbers({5, 33}, 1, 3, 9);
  const Variable y = layer_norm(Variable(x), Variable(Array::ones({33})),
                                Variable(Array::zeros({33})), 1e-12);
  CHECK(largest_difference(mean(y.value(), {1}), Array::zeros({5})) < 1e-14);
  CHECK(largest_difference(var(y.value(), {.axes = {1}, .correction = 0}), Array::ones({5})) <
        1e-10);
}

TEST_CASE("layer_norm: gradients of x, weight and bias") {
  const Function fn = [](const std::vector<Variable>& v) {
    return layer_norm(v[0], v[1], v[2], 1e-3);
  };
  for (index_t dim : {2, 16, 19})
    for (const Shape& rows : {Shape{}, Shape{4}, Shape{2, 3}}) {
      Shape shape = rows;
      shape.push_back(dim);
      check_gradient(to_string(shape), fn,
                     {numbers(shape, 1), numbers({dim}, 2, 0.5, 2), numbers({dim}, 3)});
    }
  check_gradient(
      "views", fn,
      {numbers({5, 3}, 1).transpose(0, 1), numbers({10}, 2).slice(0, 0, 10, 2), numbers({5}, 3)});
  check_gradient("beside a residual",
                 [](const std::vector<Variable>& v) {
                   return Variable(v[0] * 2.0 + layer_norm(v[0], v[1], v[2], 1e-3));
                 },
                 {numbers({3, 7}, 1), numbers({7}, 2), numbers({7}, 3)});
  check_gradient("weight = bias",
                 [](const std::vector<Variable>& v) { return layer_norm(v[0], v[1], v[1], 1e-3); },
                 {numbers({2, 5}, 1), numbers({5}, 2)});
}

TEST_CASE("layer_norm: its result is not kept for the linear layer behind it, but made again") {
  const Variable x(numbers({6, 5}, 1), true), w(numbers({5}, 2, 0.5, 2), true),
      b(numbers({5}, 3), true), matrix(numbers({3, 5}, 4), true);
  std::weak_ptr<double> normed;
  Variable y;
  {
    const Variable n = layer_norm(x, w, b, 1e-6);
    normed = n.value().storage();
    y = linear(n, matrix, Variable());
  }
  CHECK(normed.expired());
  const Array c = numbers({6, 3}, 5);
  y.backward(c);
  const Array expected = matmul(
      c.transpose(0, 1),
      layer_norm(Variable(x.value()), Variable(w.value()), Variable(b.value()), 1e-6).value());
  CHECK(largest_difference(matrix.grad(), expected) < 1e-13);
}

TEST_CASE("layer_norm: shapes that do not fit are named with the module they belong to") {
  const Variable x(numbers({2, 5}, 1)), w(numbers({4}, 1));
  ModuleScope outer("blocks.3"), inner("norm1");
  CHECK(error_of([&] { layer_norm(x, w, w, 1e-6); }) ==
        "blocks.3.norm1 (layer_norm): x is (2, 5), expected (…, dim = 4)");
  CHECK(error_of([&] { layer_norm(x, Variable(numbers({5}, 1)), w, 1e-6); }) ==
        "blocks.3.norm1 (layer_norm): bias is (4), expected (dim = 5)");
}

TEST_CASE("l2_normalize: rows of length 1, their gradient, and a zero row without NaN") {
  const Variable y = l2_normalize(Variable(numbers({4, 7}, 1)));
  CHECK(largest_difference(sum(Array(square(y.value())), {1}), Array::ones({4})) < 1e-14);
  check_gradient("l2_normalize", [](const std::vector<Variable>& v) { return l2_normalize(v[0]); },
                 {numbers({3, 5}, 1)});
  check_gradient("of a view", [](const std::vector<Variable>& v) { return l2_normalize(v[0]); },
                 {numbers({5, 3}, 1).transpose(0, 1)});
  const Variable zero(Array::zeros({1, 3}), true);
  const Variable z = l2_normalize(zero);
  CHECK(z.value().to_vector() == std::vector<double>{0, 0, 0});
  sum(z).backward();
  for (double g : zero.grad().to_vector()) CHECK_FALSE(std::isnan(g));
}
