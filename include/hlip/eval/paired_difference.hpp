// What two ways of doing a thing differ by when both were tried in pairs, such as from the same
// seeds: the mean difference with its interval.
#pragma once

#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/mean_sd.hpp>

#include <cmath>
#include <numbers>
#include <span>
#include <vector>

HLIP_BEGIN

/// P(-t <= T <= t) of Student's t with so many degrees of freedom, exactly.
/// @param t 0 or more; @param degrees 1 or more
/// Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
inline double student_t_within(double t, std::int64_t degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const bool odd = degrees % 2 == 1;
  double term = odd ? std::cos(angle) : 1, sum = degrees == 1 ? 0 : term;
  for (std::int64_t k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= static_cast<double>(k - 1) / static_cast<double>(k) * std::cos(angle) * std::cos(angle);
    sum += term;
  }
  sum *= std::sin(angle);
  return odd ? 2 / std::numbers::pi * (angle + sum) : sum;
}

/// The t that T of Student's t exceeds in neither direction with this probability: 12.706 for
/// 95 % and one degree of freedom.
/// @param degrees 1 to 1000000  @throws hlip::error for another number, or a confidence that is not
/// between 0 and 1
inline double student_t_quantile(double confidence, std::int64_t degrees) {
  expect(confidence > 0 && confidence < 1, "student_t_quantile",
         "confidence is {}, expected between 0 and 1", confidence);
  expect(degrees >= 1 && degrees <= 1000000, "student_t_quantile",
         "{} degrees of freedom, expected 1 to 1000000", degrees);
  double low = 0, high = 1;
  while (student_t_within(high, degrees) < confidence) high *= 2;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (student_t_within(middle, degrees) < confidence ? low : high) = middle;
  }
  return high;
}

/// A mean of differences; NaN where there are too few pairs: one for the mean, two for the rest.
struct PairedDifference {
  std::int64_t pairs = 0;
  double mean = not_a_number, sd = not_a_number;
  Interval interval;  ///< of the mean, by Student's t
};

/// a[i] - b[i] over the pairs of which both are known (not NaN).
/// @throws hlip::error if there is not one b for each a
inline PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                          double confidence = 0.95) {
  expect(a.size() == b.size(), "paired_difference", "{} and {} values, expected pairs", a.size(),
         b.size());
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!std::isnan(a[i] - b[i])) differences.push_back(a[i] - b[i]);
  const MeanSd spread = sample_mean_sd(differences);
  PairedDifference out{static_cast<std::int64_t>(differences.size()), spread.mean, spread.sd, {}};
  if (out.pairs < 2) return out;
  const double half = student_t_quantile(confidence, out.pairs - 1) * spread.sd /
                      std::sqrt(static_cast<double>(out.pairs));
  out.interval = {spread.mean - half, spread.mean + half};
  return out;
}

HLIP_END
