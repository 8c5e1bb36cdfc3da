// How numbers of images, folds or seeds are summed up.
#pragma once

#include <hlip/eval/auc.hpp>

HLIP_BEGIN

/// How values lie: their mean, and the square root of their mean squared distance from it.
struct MeanSd {
  double mean = not_a_number, sd = not_a_number;
};

/// Mean and standard deviation of the values that are numbers, of the values themselves (divided by
/// n), not of a population they were drawn from (n - 1).
/// @return NaN if there are none
inline MeanSd mean_sd(std::span<const double> values) {
  MeanSd out{mean_without_nan(values), not_a_number};
  double squares = 0;
  std::int64_t count = 0;
  for (const double v : values)
    if (!std::isnan(v)) squares += (v - out.mean) * (v - out.mean), ++count;
  if (count > 0) out.sd = std::sqrt(squares / static_cast<double>(count));
  return out;
}

/// The same for a few values that stand for the many that could have been, such as seeds: the
/// standard deviation is that of the population (divided by n - 1), NaN of a single value.
inline MeanSd sample_mean_sd(std::span<const double> values) {
  MeanSd out = mean_sd(values);
  const auto n = static_cast<double>(
      std::count_if(values.begin(), values.end(), [](double v) { return !std::isnan(v); }));
  out.sd = n > 1 ? out.sd * std::sqrt(n / (n - 1)) : not_a_number;
  return out;
}

HLIP_END
