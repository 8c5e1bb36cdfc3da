// Pictures and volumes as channels, and what is summed of them.
#pragma once

#include <hlip/ops/reduce.hpp>

HLIP_BEGIN

/// @param x (N, C, …)  @return the same as (N, C, elements)
template <class T, class B> Tensor<T, B> as_channels(const Tensor<T, B>& x) {
  const index_t n = x.dim(0), c = x.dim(1);
  return x.contiguous().reshape({n, c, n * c > 0 ? x.numel() / (n * c) : 0});
}
/// Sums of the channels, along what is neighbours in memory first.
/// @param x (N, C, elements)  @return (C)
template <class T, class B> Tensor<T, B> channel_sums(const Tensor<T, B>& x) {
  return sum(sum(x, {2}), {0});
}

HLIP_END
