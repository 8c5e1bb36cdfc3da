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

HLIP_END
