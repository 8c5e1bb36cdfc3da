#include "../support/gradients.hpp"

#include <hlip/nn/stored_linear.hpp>

using namespace test;

namespace {

/// A layer whose weight lies as bfloat16, and one of the same numbers that does not.
template <class Layer> std::pair<Layer, Layer> stored_and_plain(const Shape& shape) {
  const Tensor<bfloat16, Cpu> half = numbers(shape, 1).to<bfloat16>();
  Layer stored, plain;
  stored.weight = Variable(half, std::shared_ptr<Node<double, Cpu>>());
  plain.weight = Variable(half.to<double>());
  return {stored, plain};
}

}  // namespace

TEST_CASE(
    "Linear: a weight that lies as bfloat16 gives what its numbers give, for any number of "
    "rows") {
  // above and below the rows for which no panel is widened; several panels; several parts of a row
  for (const Shape& shape : {Shape{7, 5}, Shape{70, 70000}, Shape{3, 2500}})
    for (const index_t rows : {1, 4, 5, 9}) {
      CAPTURE(to_string(shape));
      CAPTURE(rows);
      auto [stored, plain] = stored_and_plain<StoredLinear<double, Cpu>>(shape);
      stored.bias = plain.bias = Variable(numbers({shape[0]}, 2));
      const Variable x(numbers({rows, shape[1]}, 3)), residual(numbers({rows, shape[0]}, 4));
      CHECK(largest_difference(stored(x, {Activation::none, residual}).value(),
                               plain(x, {Activation::none, residual}).value()) < 1e-9);
      CHECK(stored.weight.stored());
    }
}

TEST_CASE("Linear: gradients flow past a weight that lies as bfloat16") {
  const auto layer = stored_and_plain<StoredLinear<double, Cpu>>({300, 6}).first;
  check_gradient("stored linear",
                 [&](const std::vector<Variable>& v) {
                   return stored_linear(v[0], layer.weight.as<bfloat16>(), v[1], v[2]);
                 },
                 {numbers({2, 3, 6}, 3), numbers({300}, 4), numbers({2, 3, 300}, 5)});
}

TEST_CASE("Linear: the gradient of the input where a weight is widened in several panels") {
  const auto [stored, plain] = stored_and_plain<StoredLinear<double, Cpu>>({70, 70000});
  const Array x = numbers({5, 70000}, 3), seed = numbers({5, 70}, 4);
  const Variable a(x, true), b(x, true);
  stored(a).backward(seed);
  plain(b).backward(seed);
  CHECK(largest_difference(a.grad(), b.grad()) < 1e-12);
}

TEST_CASE("Linear: what a weight that lies as bfloat16 does not know is said") {
  const auto layer = stored_and_plain<StoredLinear<double, Cpu>>({7, 6}).first;
  CHECK(error_of([&] {
          layer(Variable(Array::ones({2, 5})));
        }) == "linear: x is (2, 5), expected (…, in = 6)");
  CHECK(error_of([&] {
          layer(Variable(Array::ones({2, 6})), {.activation = Activation::gelu});
        }).find("an activation, a scale or a place") != std::string::npos);
}

TEST_CASE("Embedding: rows of a table that lies as bfloat16") {
  const auto [stored, plain] = stored_and_plain<StoredEmbedding<double, Cpu>>({5, 3});
  const auto ids = Tensor<std::int64_t, Cpu>::from_values({2, 2}, {4, 0, 1, 4});
  CHECK(same_bits(stored(ids).value(), plain(ids).value()));
}
