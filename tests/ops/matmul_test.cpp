#include "../support/errors.hpp"

#include <hlip/backend/cpu.hpp>
#include <hlip/backend/reference.hpp>

#include <hlip/ops/matmul.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

namespace {

template <class B> Tensor<double, B> numbers(const Shape& shape, std::uint32_t stream) {
  std::vector<double> v(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = normal_at({53, stream, 0}, i);
  return Tensor<double, B>::from_values(shape, std::span<const double>(v));
}

/// matmul against three loops over every element of the result.
template <class B> void check_product(const Tensor<double, B>& a, const Tensor<double, B>& b) {
  CAPTURE(to_string(a.shape()));
  CAPTURE(to_string(b.shape()));
  const auto y = matmul(a, b);
  const Shape batch = broadcast_shapes("test", Shape(a.shape().begin(), a.shape().end() - 2),
                                       Shape(b.shape().begin(), b.shape().end() - 2));
  Shape a_shape = batch, b_shape = batch, y_shape = batch;
  a_shape.push_back(a.dim(-2)), a_shape.push_back(a.dim(-1)), b_shape.push_back(b.dim(-2)),
      b_shape.push_back(b.dim(-1)), y_shape.push_back(a.dim(-2)), y_shape.push_back(b.dim(-1));
  REQUIRE(y.shape() == y_shape);
  const auto x0 = a.expand(a_shape).clone().to_vector(), x1 = b.expand(b_shape).clone().to_vector(),
             got = y.to_vector();
  const index_t m = a.dim(-2), k = a.dim(-1), n = b.dim(-1);
  double most = 0;
  for (index_t i = 0; i < y.numel(); ++i) {
    const index_t matrix = i / (m * n), row = i / n % m, column = i % n;
    double sum = 0;
    for (index_t p = 0; p < k; ++p)
      sum += x0[static_cast<std::size_t>((matrix * m + row) * k + p)] *
             x1[static_cast<std::size_t>((matrix * k + p) * n + column)];
    const double e = std::abs(got[static_cast<std::size_t>(i)] - sum);
    most = e <= most ? most : e;
  }
  CHECK(most < 1e-12);
}

}  // namespace

TEST_CASE_TEMPLATE("matmul: matrices of odd sizes", B, Cpu, Reference) {
  for (const auto& [m, k, n] : std::vector<std::array<index_t, 3>>{
           {1, 1, 1}, {3, 4, 5}, {1, 17, 33}, {33, 17, 1}, {13, 1, 7}, {50, 40, 70}})
    check_product(numbers<B>({m, k}, 1), numbers<B>({k, n}, 2));
}

TEST_CASE_TEMPLATE("matmul: batches broadcast like elementwise operands", B, Cpu, Reference) {
  check_product(numbers<B>({4, 2, 3}, 1), numbers<B>({4, 3, 5}, 2));
  check_product(numbers<B>({4, 2, 3}, 1), numbers<B>({3, 5}, 2));
  check_product(numbers<B>({2, 3}, 1), numbers<B>({4, 3, 5}, 2));
  check_product(numbers<B>({2, 1, 2, 3}, 1), numbers<B>({4, 3, 5}, 2));
  check_product(numbers<B>({2, 1, 3, 2, 3}, 1), numbers<B>({4, 1, 3, 5}, 2));
  check_product(numbers<B>({1, 2, 3}, 1).expand({4, 2, 3}), numbers<B>({4, 3, 5}, 2));
}

TEST_CASE_TEMPLATE("matmul: transposed, sliced, permuted and expanded views", B, Cpu, Reference) {
  const auto a = numbers<B>({6, 9}, 1), b = numbers<B>({7, 9}, 2);
  check_product(a, b.transpose(0, 1));
  check_product(a.transpose(0, 1), b.slice(0, 0, 6));
  check_product(a.slice(1, 1, 9, 2), b.slice(0, 0, 4));
  check_product(a.slice(0, 0, 6, 3), b.transpose(0, 1).slice(1, 0, 7, 2));
  const auto heads = numbers<B>({5, 2, 3, 4}, 3);  // (tokens, batch, heads, d)
  check_product(heads.permute({1, 2, 0, 3}), heads.permute({1, 2, 3, 0}));
  check_product(numbers<B>({1, 3}, 1).expand({4, 3}), numbers<B>({3, 1}, 2).expand({3, 6}));
  check_product(numbers<B>({4, 1}, 1), numbers<B>({1, 6}, 2));
}

TEST_CASE_TEMPLATE("matmul: empty sizes", B, Cpu, Reference) {
  using X = Tensor<double, B>;
  CHECK(matmul(X::ones({0, 3}), X::ones({3, 2})).shape() == Shape{0, 2});
  CHECK(matmul(X::ones({0, 2, 3}), X::ones({3, 2})).shape() == Shape{0, 2, 2});
  CHECK(matmul(X::ones({2, 0}), X::ones({0, 3})).to_vector() == std::vector<double>(6, 0.0));
}

TEST_CASE("matmul: what does not fit is named") {
  using X = Tensor<float>;
  CHECK(error_of([] {
          matmul(X::ones({2, 3}), X::ones({4, 5}));
        }) == "matmul: a is (2, 3) and b is (4, 5): inner sizes 3 and 4 differ");
  CHECK(error_of([] {
          matmul(X::ones({3}), X::ones({3, 5}));
        }) == "matmul: a is (3) and b is (3, 5), expected at least two axes each");
  CHECK(error_of([] {
          matmul(X::ones({2, 2, 3}), X::ones({4, 3, 5}));
        }) == "matmul: shapes (2) and (4) do not broadcast: axis 0 has 2 against 4");
}
