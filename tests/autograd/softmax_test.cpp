#include "../support/gradients.hpp"

#include <hlip/autograd/functions/softmax.hpp>

using namespace test;

namespace {
using Ids = Tensor<std::int64_t, Cpu>;
}

TEST_CASE(
    "softmax: rows add up to 1, large numbers do no harm, and the gradient is the derivative") {
  const Variable y = softmax(Variable(numbers({3, 18}, 1, 990, 1000)));
  CHECK(largest_difference(sum(y.value(), {1}), Array::ones({3})) < 1e-14);
  const Function fn = [](const std::vector<Variable>& v) { return softmax(v[0]); };
  for (const Shape& s : {Shape{1, 1}, Shape{5}, Shape{3, 18}, Shape{2, 2, 3}})
    check_gradient(to_string(s), fn, {numbers(s, 1)});
  check_gradient("a view", fn, {numbers({5, 3}, 1).transpose(0, 1)});
}

TEST_CASE("cross_entropy: the mean of -log softmax at the labels, with its gradient") {
  const Array x = numbers({3, 4}, 1, -3, 3);
  const Ids labels = Ids::from_values({3}, {0, 3, 3});
  double want = 0;
  for (index_t r = 0; r < 3; ++r) {
    double total = 0;
    for (index_t c = 0; c < 4; ++c) total += std::exp(x.at({r, c}));
    want += (std::log(total) - x.at({r, labels.at({r})})) / 3;
  }
  CHECK(cross_entropy(Variable(x), labels).item() == doctest::Approx(want).epsilon(1e-13));
  const Function fn = [&](const std::vector<Variable>& v) { return cross_entropy(v[0], labels); };
  check_gradient("logits", fn, {x});
  check_gradient("a view", fn, {numbers({4, 6}, 2).slice(1, 0, 6, 2).transpose(0, 1)});
  check_gradient(
      "scaled",
      [&](const std::vector<Variable>& v) { return Variable(cross_entropy(v[0], labels) * v[1]); },
      {x, Array::scalar(0.5)});
}

TEST_CASE("cross_entropy: labels and shapes that do not fit are errors") {
  const Variable x(numbers({3, 4}, 1));
  CHECK(error_of([&] {
          cross_entropy(x, Ids::from_values({3}, {0, 4, 1}));
        }) == "cross_entropy: label 1 is 4, expected 0 to 3");
  CHECK(error_of([&] {
          cross_entropy(x, Ids::from_values({2}, {0, 1}));
        }) == "cross_entropy: labels is (2), expected (rows = 3)");
  CHECK(error_of([&] {
          cross_entropy(Variable(Array::zeros({0, 4})), Ids::zeros({0}));
        }) == "cross_entropy: logits has no rows");
}
