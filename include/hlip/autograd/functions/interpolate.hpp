// Interpolation of Vars over their last axes.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/interpolate.hpp>

HLIP_BEGIN

/// @param sizes new sizes of the last sizes.size() axes
template <class T, class B>
Var<T, B> interpolate(const Var<T, B>& x, std::span<const index_t> sizes, Interpolation mode,
                      bool fp32_coordinates = true) {
  expect(static_cast<int>(sizes.size()) <= x.rank(), "interpolate",
         "{} sizes for a tensor of shape {}", sizes.size(), to_string(x.shape()));
  const std::vector<index_t> before(x.shape().end() - static_cast<std::ptrdiff_t>(sizes.size()),
                                    x.shape().end());
  return record("interpolate", interpolate(x.value(), sizes, mode, fp32_coordinates), {x},
                [before, mode, fp32_coordinates](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                  grads.add(0, interpolate_pull(dy, std::span<const index_t>(before), mode,
                                                fp32_coordinates));
                });
}

HLIP_END
