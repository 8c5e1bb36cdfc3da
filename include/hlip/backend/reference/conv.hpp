// Reference convolution: a loop over outputs, a loop over what each of them reads, and doubles.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/backend/reference/memory.hpp>

#include <algorithm>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Calls fn(x, weight, y, channel of x, channel of y): the three elements, by number, of every
/// product of a convolution.
template <class Fn> void each_conv_product(const ConvGeometry& g, Fn fn) {
  const auto at = [](const ConvGeometry::Axes& size, const ConvGeometry::Axes& i) {
    return (i[0] * size[1] + i[1]) * size[2] + i[2];
  };
  const auto each = [](const ConvGeometry::Axes& size, auto body) {
    for (index_t i = 0; i < size[0]; ++i)
      for (index_t j = 0; j < size[1]; ++j)
        for (index_t k = 0; k < size[2]; ++k) body(ConvGeometry::Axes{i, j, k});
  };
  for (index_t n = 0; n < g.batch; ++n)
    for (index_t to = 0; to < g.groups * g.out_channels; ++to)
      for (index_t c = 0; c < g.in_channels; ++c) {
        const index_t from = to / g.out_channels * g.in_channels + c;
        each(g.out, [&](const ConvGeometry::Axes& q) {
          each(g.kernel, [&](const ConvGeometry::Axes& t) {
            ConvGeometry::Axes i{};
            for (std::size_t a = 0; a < 3; ++a) {
              i[a] = q[a] * g.stride[a] - g.padding[a] + t[a] * g.dilation[a];
              if (i[a] < 0 || i[a] >= g.in[a]) return;
            }
            fn((n * g.groups * g.in_channels + from) * g.volume(g.in) + at(g.in, i),
               (to * g.in_channels + c) * g.volume(g.kernel) + at(g.kernel, t),
               (n * g.groups * g.out_channels + to) * g.volume(g.out) + at(g.out, q));
          });
        });
      }
}

/// to[i] = sum[i] + bias of its channel
template <class T>
void store_with_bias(const std::vector<double>& sum, const T* bias, index_t channels, index_t inner,
                     T* to) {
  for (std::size_t i = 0; i < sum.size(); ++i)
    to[i] = static_cast<T>(
        sum[i] +
        (bias ? static_cast<double>(bias[static_cast<index_t>(i) / inner % channels]) : 0.0));
}

}  // namespace detail

/// y = weight ∗ x + bias; see ConvArgs.
template <class T> void conv_forward(Reference, const ConvArgs<T>& a) {
  std::vector<double> sum(static_cast<std::size_t>(a.g.y_size()));
  detail::each_conv_product(a.g, [&](index_t x, index_t w, index_t y) {
    sum[static_cast<std::size_t>(y)] += static_cast<double>(a.weight[w]) *
                                        static_cast<double>(a.x[x]);
  });
  detail::store_with_bias(sum, a.bias, a.g.groups * a.g.out_channels, a.g.volume(a.g.out), a.y);
}

/// x = the transpose of that product applied to y, + bias; see ConvArgs.
template <class T> void conv_backward_input(Reference, const ConvArgs<T>& a) {
  std::vector<double> sum(static_cast<std::size_t>(a.g.x_size()));
  detail::each_conv_product(a.g, [&](index_t x, index_t w, index_t y) {
    sum[static_cast<std::size_t>(x)] += static_cast<double>(a.weight[w]) *
                                        static_cast<double>(a.y[y]);
  });
  detail::store_with_bias(sum, a.bias, a.g.groups * a.g.in_channels, a.g.volume(a.g.in), a.x);
}

/// weight = [weight +] its gradient for y; see ConvArgs.
template <class T> void conv_backward_weight(Reference, const ConvArgs<T>& a) {
  std::vector<double> sum(static_cast<std::size_t>(a.g.weight_size()));
  detail::each_conv_product(a.g, [&](index_t x, index_t w, index_t y) {
    sum[static_cast<std::size_t>(w)] += static_cast<double>(a.x[x]) * static_cast<double>(a.y[y]);
  });
  for (std::size_t i = 0; i < sum.size(); ++i)
    a.weight[i] = static_cast<T>((a.add ? static_cast<double>(a.weight[i]) : 0.0) + sum[i]);
}

HLIP_END
