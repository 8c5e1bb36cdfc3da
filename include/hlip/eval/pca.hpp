// Principal components of a few hundred embeddings: a plane to look at them in.
#pragma once

#include <hlip/core/check.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

/// Rows seen along the directions in which they differ most.
struct PrincipalComponents {
  std::vector<double> scores;     ///< row-major (rows, components)
  std::vector<double> explained;  ///< share of the variance, per component
};

/// Principal components by power iteration with deflation, in double; the sign of a component is
/// that of its largest entry.
/// @param values row-major (rows, dim); their mean is taken away
/// @throws hlip::error if the sizes do not fit or a value is not finite
inline PrincipalComponents principal_components(std::span<const double> values, std::int64_t rows,
                                                std::int64_t dim, std::int64_t components) {
  expect(rows > 0 && dim > 0 && components > 0 &&
             values.size() == static_cast<std::size_t>(rows * dim),
         "principal_components", "{} values, expected {} rows x {}", values.size(), rows, dim);
  const auto n = static_cast<std::size_t>(rows), m = static_cast<std::size_t>(dim),
             k = static_cast<std::size_t>(components);
  std::vector<double> x(values.begin(), values.end());
  double total = 0;
  for (std::size_t e = 0; e < m; ++e) {
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += x[i * m + e] / static_cast<double>(n);
    expect(std::isfinite(mean), "principal_components",
           "column {} holds a value that is not finite", e);
    for (std::size_t i = 0; i < n; ++i) x[i * m + e] -= mean, total += x[i * m + e] * x[i * m + e];
  }
  PrincipalComponents out{std::vector<double>(n * k), std::vector<double>(k)};
  std::vector<double> direction(m), next(m), along(n);
  const auto project = [&] {
    for (std::size_t i = 0; i < n; ++i) {
      along[i] = 0;
      for (std::size_t e = 0; e < m; ++e) along[i] += x[i * m + e] * direction[e];
    }
  };
  for (std::size_t c = 0; c < k; ++c) {
    std::size_t longest = 0;  // begins with the row that is farthest from the mean
    double most = 0;
    for (std::size_t i = 0; i < n; ++i) {
      double square = 0;
      for (std::size_t e = 0; e < m; ++e) square += x[i * m + e] * x[i * m + e];
      if (square > most) most = square, longest = i;
    }
    if (!(most > 1e-24 * total)) break;  // nothing is left
    for (std::size_t e = 0; e < m; ++e) direction[e] = x[longest * m + e] / std::sqrt(most);
    for (int iteration = 0; iteration < 300; ++iteration) {
      project();
      std::fill(next.begin(), next.end(), 0.0);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t e = 0; e < m; ++e) next[e] += along[i] * x[i * m + e];
      double length = 0, change = 0;
      for (const double v : next) length += v * v;
      length = std::sqrt(length);
      for (std::size_t e = 0; e < m; ++e)
        change += std::abs(next[e] / length - direction[e]), direction[e] = next[e] / length;
      if (change < 1e-12) break;
    }
    std::size_t largest = 0;
    for (std::size_t e = 0; e < m; ++e)
      if (std::abs(direction[e]) > std::abs(direction[largest])) largest = e;
    if (direction[largest] < 0)
      for (double& v : direction) v = -v;
    project();
    for (std::size_t i = 0; i < n; ++i) {
      out.scores[i * k + c] = along[i];
      out.explained[c] += along[i] * along[i] / total;
      for (std::size_t e = 0; e < m; ++e) x[i * m + e] -= along[i] * direction[e];
    }
  }
  return out;
}

HLIP_END
