// L-BFGS: finds the minimum of a smooth function of a few thousand numbers, in double.
// Source: Nocedal and Wright, "Numerical Optimization", 2006, algorithms 7.4 and 7.5; Lewis and
// Overton 2013 for the line search.
#pragma once

#include <hlip/core/check.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

HLIP_BEGIN

struct LbfgsOptions {
  double tolerance = 1e-6;  ///< done when no entry of the gradient is larger
  int max_iterations = 1000;
  std::size_t memory = 10;  ///< steps whose curvature is remembered
};

struct LbfgsResult {
  std::vector<double> x;
  double value = 0;
  double gradient = 0;  ///< its largest entry there
  int iterations = 0;
  bool converged = false;  ///< whether that is within the tolerance
};

namespace detail {

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

inline double largest_entry(const std::vector<double>& a) {
  double largest = 0;
  for (const double v : a) largest = std::max(largest, std::abs(v));
  return largest;
}

/// A step that was made, and what the gradient changed by.
struct LbfgsStep {
  std::vector<double> s, y;
  double rho;  ///< 1 / (s·y)
};

/// The direction to go: minus the gradient, through the curvature that the steps have shown.
inline std::vector<double> lbfgs_direction(const std::vector<double>& gradient,
                                           const std::deque<LbfgsStep>& steps) {
  std::vector<double> d = gradient, along(steps.size());
  for (std::size_t k = steps.size(); k-- > 0;) {
    along[k] = steps[k].rho * dot(steps[k].s, d);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] -= along[k] * steps[k].y[i];
  }
  if (!steps.empty()) {
    const auto& last = steps.back();
    const double scale = 1 / (last.rho * dot(last.y, last.y));
    for (double& v : d) v *= scale;
  }
  for (std::size_t k = 0; k < steps.size(); ++k) {
    const double back = steps[k].rho * dot(steps[k].y, d);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] += (along[k] - back) * steps[k].s[i];
  }
  for (double& v : d) v = -v;
  return d;
}

}  // namespace detail

/// Minimises f from `x` on.
/// @param f called as f(x, gradient) -> value; writes the gradient, which has the size of x
/// @return the best point found; not converged when the iterations or the digits of a double ran
/// out
/// @throws hlip::error when f is not finite at the beginning
template <class F>
LbfgsResult minimize_lbfgs(F&& f, std::vector<double> x, const LbfgsOptions& options = {}) {
  // One function: the loop of the method and the line search inside.
  std::vector<double> gradient(x.size()), next(x.size()), next_gradient(x.size());
  double value = f(std::as_const(x), gradient);
  expect(std::isfinite(value), "lbfgs", "the function is {} where it begins", value);
  std::deque<detail::LbfgsStep> steps;
  int iteration = 0;
  for (; iteration < options.max_iterations; ++iteration) {
    if (detail::largest_entry(gradient) <= options.tolerance) break;
    std::vector<double> d = detail::lbfgs_direction(gradient, steps);
    const double slope = detail::dot(gradient, d);
    double length = steps.empty() ? 1 / std::max(1.0, std::sqrt(-slope)) : 1, low = 0,
           high = std::numeric_limits<double>::infinity(), next_value = 0;
    // what rounding alone may add to the value: the end is flat
    const double slack = 1e-15 * std::abs(value);
    bool found = false;
    for (int tried = 0; tried < 60 && !found && slope < 0; ++tried) {
      for (std::size_t i = 0; i < x.size(); ++i) next[i] = x[i] + length * d[i];
      next_value = f(std::as_const(next), next_gradient);
      if (!(next_value <= value + 1e-4 * length * slope + slack)) high = length;
      else if (detail::dot(next_gradient, d) < 0.9 * slope) low = length;
      else found = true;
      if (!found) length = std::isfinite(high) ? (low + high) / 2 : 2 * low;
    }
    if (!found && steps.empty()) break;
    if (!found) {  // curvature that misleads is forgotten
      steps.clear();
      continue;
    }
    detail::LbfgsStep step{next, next_gradient, 0};
    for (std::size_t i = 0; i < x.size(); ++i) step.s[i] -= x[i], step.y[i] -= gradient[i];
    const double curvature = detail::dot(step.s, step.y);
    std::swap(x, next), std::swap(gradient, next_gradient), value = next_value;
    if (!(curvature > 0)) continue;
    step.rho = 1 / curvature;
    steps.push_back(std::move(step));
    if (steps.size() > options.memory) steps.pop_front();
  }
  const double largest = detail::largest_entry(gradient);
  return {std::move(x), value, largest, iteration, largest <= options.tolerance};
}

HLIP_END
