// Tensors of all ranks, through the host: a communicator knows no backend.
#pragma once

#include <hlip/distributed/communicator.hpp>
#include <hlip/ops/reduce.hpp>

#include <algorithm>
#include <span>
#include <vector>

HLIP_BEGIN

/// The sums of what every rank has, in rank order; with one rank the tensor itself. A collective
/// call.
template <class T, class B, Communicator C>
Tensor<T, B> sum_over_ranks(const Tensor<T, B>& x, const C& communicator) {
  if (communicator.size() == 1) return x;
  std::vector<T> sums = x.to_vector();
  communicator.all_reduce_sum(std::span<T>(sums));
  return Tensor<T, B>::from_values(x.shape(), std::span<const T>(sums));
}

/// How many there are on all ranks together. A collective call.
template <Communicator C> index_t count_over_ranks(index_t here, const C& communicator) {
  double count[] = {static_cast<double>(here)};
  communicator.all_reduce_sum(std::span<double>(count));
  return static_cast<index_t>(count[0]);
}

/// The largest element that any rank has. A collective call.  @return one element, shape (1, 1)
template <class T, class B, Communicator C>
Tensor<T, B> max_over_ranks(const Tensor<T, B>& x, const C& communicator) {
  const auto lowest = Tensor<T, B>::full({1, 1}, std::numeric_limits<T>::lowest());
  const Tensor<T, B> own = x.numel() > 0 ? max(x.reshape({1, x.numel()}), {1}, true) : lowest;
  if (communicator.size() == 1) return own;
  const T mine = own.item();
  std::vector<T> all(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(&mine, all.data(), sizeof(T));
  return Tensor<T, B>::full({1, 1}, *std::max_element(all.begin(), all.end()));
}

HLIP_END
