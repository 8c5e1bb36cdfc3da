// Features brought to mean 0 and standard deviation 1 of the samples that are learned from, and the
// tested ones by the same numbers.
// Source: scikit-learn, StandardScaler.
#pragma once

#include <hlip/eval/mean_sd.hpp>
#include <hlip/tensor/tensor.hpp>

#include <span>
#include <vector>

HLIP_BEGIN

/// Mean and standard deviation (divided by n) of each feature.
/// @param x (samples, features)
/// @throws hlip::error if x is no such table or has no samples
template <class T, class B> std::vector<MeanSd> feature_statistics(const Tensor<T, B>& x) {
  expect(x.rank() == 2 && x.dim(0) > 0, "feature_statistics",
         "x is {}, expected (samples, features) with a sample", to_string(x.shape()));
  const auto values = x.to_vector();
  const auto width = static_cast<std::size_t>(x.dim(1));
  std::vector<MeanSd> statistics;
  std::vector<double> column;
  for (std::size_t k = 0; k < width; ++k) {
    column.clear();
    for (std::size_t i = k; i < values.size(); i += width)
      column.push_back(static_cast<double>(values[i]));
    statistics.push_back(mean_sd(column));
  }
  return statistics;
}

/// (x - mean) / sd of each feature; one whose sd is 0 becomes 0.
/// @param x (samples, features), perhaps none; @param statistics as feature_statistics gives them,
/// of the samples that are learned from
/// @return the same shape
/// @throws hlip::error if the sizes do not fit
template <class T, class B>
Tensor<T, B> standardise(const Tensor<T, B>& x, std::span<const MeanSd> statistics) {
  expect(x.rank() == 2 && x.dim(1) == static_cast<index_t>(statistics.size()), "standardise",
         "x is {}, expected (samples, {})", to_string(x.shape()), statistics.size());
  auto values = x.to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const MeanSd& of = statistics[i % statistics.size()];
    values[i] = of.sd > 0 ? static_cast<T>((static_cast<double>(values[i]) - of.mean) / of.sd)
                          : T(0);
  }
  return Tensor<T, B>::from_values(x.shape(), std::span<const T>(values));
}

HLIP_END
