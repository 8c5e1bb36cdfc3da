// Central differences against backward(), in double.
#pragma once

#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/autograd/var.hpp>

#include <cmath>
#include <string>

HLIP_BEGIN

/// Step of the differences, and how far gradients may differ: atol + rtol · size.
struct GradcheckOptions {
  double eps = 1e-6, atol = 1e-7, rtol = 1e-6;
};

/// Compares the gradient of Σ fn(inputs)·w (w fixed and irregular) with central differences, for
/// every element of every input.
///
/// @param fn called as `Var fn(const std::vector<Var>&)`  @return empty if all agree, else what
/// differs most
template <class Fn, class B>
std::string gradcheck(Fn fn, const std::vector<Tensor<double, B>>& inputs,
                      const GradcheckOptions& options = {}) {
  std::vector<Var<double, B>> leaves;
  for (const auto& x : inputs) leaves.emplace_back(x, true);
  const Var<double, B> y = fn(leaves);
  std::vector<double> weights(static_cast<std::size_t>(y.numel()));
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5 + uniform_at({77, 0, 0}, i);
  const auto seed = Tensor<double, B>::from_values(y.shape(), std::span<const double>(weights));
  y.backward(seed);
  const auto objective = [&] {
    NoGrad guard;
    std::vector<Var<double, B>> constants(inputs.begin(), inputs.end());
    const Tensor<double, B> value = fn(constants).value() * seed;
    return sum(value).item();
  };
  std::string worst;
  double worst_ratio = 1;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!leaves[k].has_grad()) return fmt::format("input {} received no gradient", k);
    const Shape& shape = inputs[k].shape();
    for (index_t i = 0; i < inputs[k].numel(); ++i) {
      Shape at = Shape::filled(shape.rank(), 0);
      for (index_t rest = i, d = shape.rank() - 1; d >= 0; rest /= shape[static_cast<int>(d)], --d)
        at[static_cast<int>(d)] = rest % shape[static_cast<int>(d)];
      Tensor<double, B> element = inputs[k];
      for (int d = 0; d < shape.rank(); ++d) element = element.slice(d, at[d], at[d] + 1);
      const double x = element.item(), h = options.eps * (1 + std::abs(x));
      element.fill(x + h);
      const double up = objective();
      element.fill(x - h);
      const double down = objective();
      element.fill(x);
      const double numeric = (up - down) / (2 * h), analytic = leaves[k].grad().at(at);
      const double ratio = std::abs(numeric - analytic) /
                           (options.atol + options.rtol * std::abs(numeric));
      if (!(ratio <= worst_ratio)) {
        worst_ratio = ratio;
        worst = fmt::format("input {} at {}: backward gives {:.12g}, central difference {:.12g}", k,
                            to_string(at), analytic, numeric);
      }
    }
  }
  return worst;
}

HLIP_END
