#include "../support/gradients.hpp"

#include <hlip/autograd/functions/linear.hpp>
#include <hlip/autograd/functions/shape.hpp>

using namespace test;

namespace {

using Options = LinearOptions<double, Cpu>;

/// act(x·wᵀ + b) + r, written with loops.
Array plain_linear(const Array& x, const Array& w, const Array& b, bool gelu_after,
                   const Array& r) {
  const index_t in = w.dim(1), out = w.dim(0), rows = x.numel() / in;
  const auto xs = x.to_vector(), ws = w.to_vector(), bs = b.to_vector(), rs = r.to_vector();
  std::vector<double> y;
  for (index_t i = 0; i < rows; ++i)
    for (index_t o = 0; o < out; ++o) {
      double s = bs.empty() ? 0 : bs[static_cast<std::size_t>(o)];
      for (index_t k = 0; k < in; ++k)
        s += xs[static_cast<std::size_t>(i * in + k)] * ws[static_cast<std::size_t>(o * in + k)];
      if (gelu_after) s = s * 0.5 * (1 + std::erf(s / std::sqrt(2.0)));
      y.push_back(s + (rs.empty() ? 0 : rs[static_cast<std::size_t>(i * out + o)]));
    }
  Shape shape = x.shape();
  shape[shape.rank() - 1] = out;
  return Array::from_values(shape, std::span<const double>(y));
}

}  // namespace

TEST_CASE("linear: value and gradient with and without bias, GELU and residual") {
  for (const Shape& rows : {Shape{5}, Shape{2, 3}, Shape{}})
    for (int kind = 0; kind < 8; ++kind) {
      const bool bias = kind & 1, activation = kind & 2, residual = kind & 4;
      CAPTURE(to_string(rows));
      CAPTURE(kind);
      Shape x_shape = rows, y_shape = rows;
      x_shape.push_back(7), y_shape.push_back(4);
      std::vector<Array> inputs = {numbers(x_shape, 1), numbers({4, 7}, 2)};
      if (bias) inputs.push_back(numbers({4}, 3));
      if (residual) inputs.push_back(numbers(y_shape, 4));
      const Function fn = [=](const std::vector<Variable>& v) {
        return linear(v[0], v[1], bias ? v[2] : Variable(),
                      Options{activation ? Activation::gelu : Activation::none,
                              residual ? v.back() : Variable()});
      };
      const Variable y = fn({inputs.begin(), inputs.end()});
      CHECK(largest_difference(
                y.value(), plain_linear(inputs[0], inputs[1], bias ? inputs[2] : Array(),
                                        activation, residual ? inputs.back() : Array())) < 1e-13);
      check_gradient("linear", fn, inputs);
    }
}

TEST_CASE(
    "linear: scale · (product + bias) + residual, with gradients of all five, is the same written "
    "out") {
  for (int kind = 0; kind < 4; ++kind) {
    const bool bias = kind & 1, residual = kind & 2;
    CAPTURE(kind);
    std::vector<Array> inputs = {numbers({2, 3, 7}, 1), numbers({4, 7}, 2), numbers({4}, 5, -2, 2)};
    if (bias) inputs.push_back(numbers({4}, 3));
    if (residual) inputs.push_back(numbers({2, 3, 4}, 4));
    const Function fused = [=](const std::vector<Variable>& v) {
      Options options;
      options.scale = v[2];
      if (residual) options.residual = v.back();
      return linear(v[0], v[1], bias ? v[3] : Variable(), options);
    };
    const auto written_out = [=](const std::vector<Variable>& v) {
      const Variable y = linear(v[0], v[1], bias ? v[3] : Variable()) * v[2];
      return residual ? Variable(y + v.back()) : y;
    };
    std::vector<Variable> one, other;
    for (const Array& x : inputs) one.emplace_back(x, true), other.emplace_back(x, true);
    const Variable y = fused(one), want = written_out(other);
    CHECK(largest_difference(y.value(), want.value()) < 1e-13);
    const Array c = numbers({2, 3, 4}, 6);
    y.backward(c), want.backward(c);
    for (std::size_t i = 0; i < one.size(); ++i)
      CHECK(largest_difference(one[i].grad(), other[i].grad()) < 1e-12);
    check_gradient("scaled linear", fused, inputs);
  }
}

TEST_CASE("linear: a scale of 0 silences the product and still has a gradient") {
  const Variable scale(Array::zeros({3}), true), x(numbers({4, 5}, 1)), w(numbers({3, 5}, 2), true);
  Options options;
  options.scale = scale, options.residual = Variable(numbers({4, 3}, 3));
  const Variable y = linear(x, w, Variable(), options);
  CHECK(largest_difference(y.value(), numbers({4, 3}, 3)) == 0);
  y.backward(Array::ones({4, 3}));
  CHECK(largest_difference(scale.grad(), sum(linear(x, w, Variable()).value(), {0})) < 1e-13);
  CHECK(largest_difference(w.grad(), Array::zeros({3, 5})) == 0);
}

TEST_CASE("linear: non-contiguous inputs and weights") {
  check_gradient(
      "views",
      [](const std::vector<Variable>& v) {
        return linear(v[0], v[1], v[2], Options{Activation::gelu});
      },
      {numbers({6, 5}, 1).permute({1, 0}), numbers({6, 8}, 2).slice(1, 0, 8, 2).transpose(0, 1),
       numbers({8}, 3).slice(0, 1, 8, 2)});
}

TEST_CASE("linear: one Var in several places gets every gradient") {
  check_gradient("residual = x",
                 [](const std::vector<Variable>& v) {
                   return linear(v[0], v[1], Variable(), Options{Activation::none, v[0]});
                 },
                 {numbers({3, 4}, 1), numbers({4, 4}, 2)});
  check_gradient("x = weight",
                 [](const std::vector<Variable>& v) { return linear(v[0], v[0], Variable()); },
                 {numbers({3, 4}, 1)});
}

TEST_CASE("linear: writes into the memory it is given") {
  const Array memory = Array::full({4, 3}, -7), out = memory.slice(0, 1, 3);
  const Variable y = linear(Variable(numbers({2, 5}, 1)), Variable(numbers({3, 5}, 2)), Variable(),
                            Options{Activation::none, {}, out});
  CHECK(y.value().data() == memory.data() + 3);
  CHECK(memory.at({0, 0}) == -7);
  CHECK(memory.at({3, 2}) == -7);
}

TEST_CASE("linear: no rows, and no inputs to add up") {
  const Variable w(numbers({3, 5}, 2), true), x(Array::zeros({0, 5}), true);
  const Variable y = linear(x, w, Variable());
  CHECK(y.shape() == Shape{0, 3});
  sum(y).backward();
  CHECK(largest_difference(w.grad(), Array::zeros({3, 5})) == 0);
}

TEST_CASE(
    "linear: hidden activations that are computed again give the gradients of kept ones, bit for "
    "bit") {
  const index_t rows = 2500, in = 8, hidden = 1024;  // 19.5 MiB in double: not kept
  static_assert(rows * hidden * sizeof(double) > keep_hidden_bytes);
  const Array x = numbers({rows, in}, 1), w1 = numbers({hidden, in}, 2), b1 = numbers({hidden}, 3),
              w2 = numbers({3, hidden}, 4), c = numbers({rows, 3}, 5);
  const auto gradients = [&](index_t parts) {  // `parts` row blocks, small enough to be kept
    const std::vector<Variable> v{Variable(x, true), Variable(w1, true), Variable(b1, true),
                                  Variable(w2, true)};
    std::vector<Variable> ys;
    for (index_t p = 0; p < parts; ++p) {
      const Variable part = slice(v[0], 0, p * rows / parts, (p + 1) * rows / parts);
      ys.push_back(linear(linear(part, v[1], v[2], Options{Activation::gelu}), v[3], Variable()));
    }
    concat(ys, 0).backward(c);
    std::vector<Array> grads;
    for (const auto& leaf : v) grads.push_back(leaf.grad());
    return grads;
  };
  const auto again = gradients(1), kept = gradients(2);
  CHECK(same_bits(again[0], kept[0]));  // dx adds nothing up over rows
  for (std::size_t i = 1; i < again.size(); ++i)
    CHECK(largest_difference(again[i], kept[i]) < 1e-10);
}

TEST_CASE("linear: a retained graph can be used twice, and weights add up in place") {
  const Variable x(numbers({5, 7}, 1), true), w1(numbers({6, 7}, 2), true),
      w2(numbers({4, 6}, 3), true);
  const Variable y = linear(linear(x, w1, Variable(), Options{Activation::gelu}), w2, Variable());
  const Array c = numbers({5, 4}, 5);
  y.backward(c, true);
  const Array once = w1.grad().clone(), memory = w1.grad();
  const double* before = w2.grad().data();
  y.backward(c);
  CHECK(largest_difference(w1.grad(), once * 2.0) < 1e-12);
  CHECK(same_bits(memory, once));  // somebody holds it: not written over
  CHECK(w2.grad().data() == before);
}

TEST_CASE("linear: shapes that do not fit are named") {
  const Variable w(numbers({3, 5}, 1));
  CHECK(error_of([&] {
          linear(Variable(numbers({2, 4}, 1)), w, Variable());
        }) == "linear: x is (2, 4), expected (…, in = 5)");
  CHECK(error_of([&] {
          linear(Variable(numbers({2, 5}, 1)), w, Variable(numbers({4}, 1)));
        }) == "linear: bias is (4), expected (out = 3)");
  CHECK(error_of([&] {
          linear(Variable(numbers({2, 5}, 1)), Variable(numbers({5}, 1)), Variable());
        }) == "linear: weight is (5), expected (out, in)");
  Options scaled;
  scaled.scale = Variable(numbers({4}, 1));
  CHECK(error_of([&] {
          linear(Variable(numbers({2, 5}, 1)), w, Variable(), scaled);
        }) == "linear: scale is (4), expected (out = 3)");
  scaled.scale = Variable(numbers({3}, 1)), scaled.activation = Activation::gelu;
  CHECK(error_of([&] {
          linear(Variable(numbers({2, 5}, 1)), w, Variable(), scaled);
        }) == "linear: a scale behind an activation");
  CHECK_THROWS_AS(linear(Variable(numbers({2, 5}, 1)), w, Variable(),
                         Options{Activation::none, Variable(numbers({3, 2}, 1))}),
                  error);
  CHECK_THROWS_AS(linear(Variable(numbers({2, 5}, 1)), w, Variable(),
                         Options{Activation::none, {}, Array::empty({3, 2})}),
                  error);
  CHECK_THROWS_AS(linear(Variable(Array::scalar(1)), w, Variable()), error);
}
