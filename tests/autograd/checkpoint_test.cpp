#include "../support/gradients.hpp"

#include <hlip/autograd/checkpoint.hpp>
#include <hlip/autograd/functions/dropout.hpp>
#include <hlip/autograd/functions/matmul.hpp>

using namespace test;

namespace {

struct Layer {
  Variable w{numbers({4, 4}, 1), true}, b{numbers({4}, 2), true};
  Variable operator()(const Variable& x) const {
    const Variable product = matmul(x, w);
    return dropout(Variable(tanh(product + b)), 0.5, {3, 1, 4});
  }
};

}  // namespace

TEST_CASE(
    "checkpoint: values, gradients and parameter gradients are the same bits as without, random "
    "masks included") {
  const Layer layer;
  const Array values = numbers({3, 4}, 3), seed = numbers({3, 4}, 4);
  Array y[2], dx[2], dw[2], db[2];
  for (int i = 0; i < 2; ++i) {
    Variable x(values, true);
    const Variable out = i ? checkpoint(layer, x) : layer(x);
    out.backward(seed);
    y[i] = out.value(), dx[i] = x.grad(), dw[i] = layer.w.grad(), db[i] = layer.b.grad();
    for (Variable p : {layer.w, layer.b}) p.zero_grad();
  }
  CHECK(same_bits(y[0], y[1]));
  CHECK(same_bits(dx[0], dx[1]));
  CHECK(same_bits(dw[0], dw[1]));
  CHECK(same_bits(db[0], db[1]));
}

TEST_CASE("checkpoint: gradients of several inputs are the derivatives") {
  check_gradient("two inputs",
                 [](const std::vector<Variable>& v) {
                   const Variable scaled = v[0] * 2;
                   return checkpoint(
                       [](const Variable& a, const Variable& b) { return Variable(exp(a) * b); },
                       scaled, v[1]);
                 },
                 {numbers({3, 4}, 1), numbers({4}, 2)});
}

TEST_CASE("checkpoint: one inside another") {
  check_gradient("nested",
                 [](const std::vector<Variable>& v) {
                   return checkpoint(
                       [](const Variable& a) {
                         const Variable inner = checkpoint(
                             [](const Variable& b) { return Variable(b * b); }, Variable(a + 1));
                         return Variable(inner * a);
                       },
                       v[0]);
                 },
                 {numbers({5}, 1)});
}

TEST_CASE("checkpoint: nothing inside is kept") {
  const Variable x(numbers({3}, 1), true);
  std::weak_ptr<double> inside;
  const Variable y = checkpoint(
      [&](const Variable& a) {
        const Variable middle = exp(a);
        inside = middle.value().storage();
        return Variable(middle * middle);
      },
      x);
  CHECK(inside.expired());
  CHECK(operations_behind(y) == 1);
}

TEST_CASE("checkpoint: parameters get gradients even when the input needs none") {
  const Layer layer;
  const Variable x(numbers({3, 4}, 3));
  sum(checkpoint(layer, x)).backward();
  CHECK(layer.w.has_grad());
  CHECK_FALSE(x.has_grad());
}

TEST_CASE("checkpoint: an input that needs no gradient gets none and costs none") {
  const Variable x(numbers({3}, 1), true), c(numbers({3}, 2));
  bool wanted = true;
  const Variable y = checkpoint(
      [&](const Variable& a, const Variable& b) {
        wanted = b.requires_grad();
        return Variable(a * b);
      },
      x, c);
  sum(y).backward();
  CHECK_FALSE(wanted);
  CHECK(same_bits(x.grad(), c.value()));
}

TEST_CASE("checkpoint: under NoGrad it is an ordinary call, and in backward it records by itself") {
  const Variable x(numbers({3}, 1), true);
  const auto twice = [](const Variable& a) { return Variable(a * 2); };
  const Variable y = checkpoint(twice, x);
  {
    NoGrad guard;
    CHECK_FALSE(checkpoint(twice, x).requires_grad());
    y.backward(Array::ones({3}));
  }
  CHECK(x.grad().to_vector() == std::vector<double>{2, 2, 2});
}

TEST_CASE("checkpoint: parameters used inside and outside add up") {
  const Variable w(Array::from_values({1}, {3}), true), x(Array::from_values({1}, {5}), true);
  const Variable inner = checkpoint([w](const Variable& a) { return Variable(a * w); }, x);
  const Variable y = inner * w;  // x·w²
  y.backward();
  CHECK(w.grad().item() == 30);
  CHECK(x.grad().item() == 9);
}
