#include "../support/gradients.hpp"

#include <hlip/autograd/functions/weight_norm.hpp>

using namespace test;

namespace {
constexpr index_t more_than_a_piece = normalised_rows_at_a_time + 3;
}

TEST_CASE("weight_norm: rows have the lengths g and the directions of v") {
  const Array g = numbers({more_than_a_piece, 1}, 1), v = numbers({more_than_a_piece, 3}, 2);
  const Array lengths = sqrt(sum(Array(square(v)), {1}, true));
  const Array wanted = v / lengths * g;
  CHECK(largest_difference(weight_norm(Variable(g), Variable(v)).value(), wanted) < 1e-14);
}

TEST_CASE("weight_norm: gradients, of a transposed v and of more rows than are made at a time") {
  const Function fn = [](const std::vector<Variable>& x) { return weight_norm(x[0], x[1]); };
  check_gradient("weight_norm", fn, {numbers({4, 1}, 3), numbers({3, 4}, 4).transpose(0, 1)});
  const Variable g(numbers({more_than_a_piece, 1}, 5), true),
      v(numbers({more_than_a_piece, 2}, 6), true);
  const Array dy = numbers({more_than_a_piece, 2}, 7);
  weight_norm(g, v).backward(dy);
  const Variable h(g.value(), true), u(v.value(), true);
  const Variable squares = square(u), plain = u * (h / sqrt(sum(squares, {1}, true)));
  plain.backward(dy);
  CHECK(largest_difference(g.grad(), h.grad()) < 1e-13);
  CHECK(largest_difference(v.grad(), u.grad()) < 1e-12);
}

TEST_CASE("weight_norm: a gradient that is there already is added to") {
  const Variable g(numbers({3, 1}, 8), true), v(numbers({3, 2}, 9), true);
  const Array dy = numbers({3, 2}, 10);
  weight_norm(g, v).backward(dy);
  const Array once_g = g.grad().clone(), once_v = v.grad().clone();
  weight_norm(g, v).backward(dy);
  CHECK(largest_difference(g.grad(), once_g * 2.0) < 1e-14);
  CHECK(largest_difference(v.grad(), once_v * 2.0) < 1e-14);
}

TEST_CASE("weight_norm: backward makes no second matrix beside the gradient") {
  using F = Tensor<float, Cpu>;
  const index_t rows = 16 * normalised_rows_at_a_time, columns = 64;
  const std::size_t matrix = static_cast<std::size_t>(rows * columns) * sizeof(float);
  const Var<float, Cpu> g(F::ones({rows, 1}), true), v(F::ones({rows, columns}), true);
  const Var<float, Cpu> y = weight_norm(g, v);
  const F dy = F::ones({rows, columns});
  memory_statistics<Cpu>().reset_peak();
  const std::size_t before = memory_statistics<Cpu>().now().total();
  y.backward(dy);
  CHECK(memory_statistics<Cpu>().peak().total() - before < matrix + matrix / 2);
}

TEST_CASE("weight_norm: shapes that do not fit are named") {
  const Variable v(numbers({4, 3}, 11));
  CHECK(error_of([&] {
          weight_norm(Variable(numbers({3, 1}, 12)), v);
        }) == "weight_norm: g is (3, 1), expected (out = 4, 1 = 1)");
  CHECK(error_of([&] { weight_norm(v, Variable(numbers({4}, 12))); }) ==
        "weight_norm: v is (4), expected (out, in)");
}
