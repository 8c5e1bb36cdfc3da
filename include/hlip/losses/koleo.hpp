// KoLeo: spreads features over the sphere by pushing nearest neighbours apart.
// Source: reference document RAD-DINO §4; Sablayrolles et al. 2019, "Spreading vectors for
// similarity search".
#pragma once

#include <hlip/autograd/functions/index.hpp>
#include <hlip/autograd/functions/norm.hpp>
#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/ops/matmul.hpp>

HLIP_BEGIN

/// The most similar other row of each. @param x (N, C), rows of length 1  @return (N)
template <class T, class B> Tensor<std::int64_t, B> nearest_neighbours(const Tensor<T, B>& x) {
  const index_t n = x.dim(0);
  const Tensor<T, B> dots = matmul(x, x.transpose(0, 1));
  const auto row = Tensor<std::int64_t, B>::arange(n).reshape({n, 1}),
             column = Tensor<std::int64_t, B>::arange(n).reshape({1, n});
  return argmax(Tensor<T, B>(where(row == column, Tensor<T, B>::full(Shape{}, T(-1)), dots)), 1);
}

namespace detail {
template <class B> Var<double, B> koleo_in_double(const Var<double, B>& x, double eps) {
  const Var<double, B> unit = l2_normalize(x, eps);
  const Var<double, B> other = index_select(unit, nearest_neighbours(unit.value()));
  const Var<double, B> difference = unit - other + eps, squares = square(difference);
  const Var<double, B> distance = sqrt(sum(squares, {1}));
  const Var<double, B> logs = log(distance + eps);
  return mean(logs) * -1.0;
}
}  // namespace detail

/// −mean log(‖x − nearest neighbour of x + eps‖ + eps) of normalised rows; which row is nearest is
/// not differentiated. Computed in double: rows that are nearly alike cancel, and it is their
/// difference that counts.
/// @param x (N, C), N at least 2  @return scalar
template <class T, class B> Var<T, B> koleo_loss(const Var<T, B>& x, double eps = 1e-8) {
  expect_shape("koleo", "x", x.shape(), {{"N"}, {"C"}});
  expect(x.dim(0) >= 2, "koleo", "{} rows, a neighbour needs two", x.dim(0));
  const Var<double, B> wide(x.value().template to<double>(), x.requires_grad());
  const Var<double, B> loss = detail::koleo_in_double(wide, eps);
  return record("koleo", loss.value().template to<T>(), {x},
                [wide, loss](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  Var<double, B> leaf = wide;
                  leaf.zero_grad();
                  loss.backward(dy.template to<double>(), true);
                  grads.add(0, leaf.grad().template to<T>());
                });
}

HLIP_END
