// Rows of the conformance table: convolution.
#pragma once

#include "conformance.hpp"

namespace conformance {

struct Convolution {
  static constexpr const char* name = "conv";
  // batch, groups, channels in and out of a group, then three each of: in, kernel, stride, padding,
  // dilation
  static std::vector<Sizes> sizes() {
    return {
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1},
        {2, 1, 3, 5, 1, 9, 7, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1},     // a picture
        {1, 1, 4, 20, 1, 40, 37, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1},  // several tiles
        {3, 1, 70, 33, 1, 6, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1},   // pixels by themselves
        {2, 1, 5, 4, 1, 9, 8, 1, 1, 1, 1, 2, 2, 0, 0, 0, 1, 1, 1},     // each second of them
        {2, 1, 3, 8, 1, 23, 20, 1, 7, 7, 1, 2, 2, 0, 3, 3, 1, 1, 1},
        {1, 1, 2, 3, 5, 6, 7, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},  // a volume
        {2, 1, 3, 2, 5, 6, 7, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1},
        {1, 1, 2, 2, 7, 8, 9, 2, 2, 2, 2, 2, 2, 0, 0, 0, 1, 1, 1},  // a remainder nothing reads
        {1, 1, 2, 2, 4, 5, 6, 1, 2, 2, 1, 2, 2, 0, 0, 0, 1, 1, 1},
        {1, 1, 2, 3, 4, 9, 11, 2, 3, 3, 1, 2, 3, 0, 4, 1, 3, 2, 2},  // one of everything
        {2, 3, 2, 4, 1, 8, 9, 1, 3, 3, 1, 2, 1, 0, 1, 1, 1, 1, 1},   // groups
        {1, 6, 1, 1, 1, 12, 9, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1},  // one channel each
        {1, 1, 1, 2, 1, 3, 3, 1, 3, 3, 1, 1, 1, 0, 5, 5, 1, 1, 1},   // outputs of padding alone
        {1, 1, 2, 2, 6, 1, 1, 3, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1},
        {1, 1, 2, 3, 3, 4, 5, 1, 1, 3, 3, 1, 1, 0, 0, 1, 1, 1, 1},
        {9, 1, 40, 300, 1, 6, 6, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1},  // rows in blocks, many tiles
        {0, 1, 2, 2, 1, 4, 4, 1, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1},     // no pictures
    };
  }
  static double terms(const Sizes& s) {
    return static_cast<double>(std::max(s[2], s[3]) * s[7] * s[8] * s[9] +
                               s[0] * s[4] * s[5] * s[6]);
  }
  template <class T, class B> static Outputs run(const Sizes& s) {
    ConvArgs<T> a;
    ConvGeometry& g = a.g;
    g.batch = s[0], g.groups = s[1], g.in_channels = s[2], g.out_channels = s[3];
    for (std::size_t i = 0; i < 3; ++i) {
      g.in[i] = s[4 + i], g.kernel[i] = s[7 + i], g.stride[i] = s[10 + i], g.padding[i] = s[13 + i],
      g.dilation[i] = s[16 + i];
      g.out[i] =
          (g.in[i] + 2 * g.padding[i] - g.dilation[i] * (g.kernel[i] - 1) - 1) / g.stride[i] + 1;
    }
    const Buffer<T, B> x(numbers<T>(g.x_size(), 1)), w(numbers<T>(g.weight_size(), 2)),
        dy(numbers<T>(g.y_size(), 3)), bias(numbers<T>(g.groups * (s[2] + s[3]), 4));
    const Buffer<T, B> y(g.y_size()), plain(g.y_size()), dx(g.x_size()), shifted(g.x_size()),
        dw(g.weight_size()), more(numbers<T>(g.weight_size(), 5));
    a.x = x, a.weight = w, a.y = y, a.bias = bias;
    conv_forward(B{}, a);
    a.y = plain, a.bias = nullptr;
    conv_forward(B{}, a);
    a.x = dx, a.y = dy;
    conv_backward_input(B{}, a);
    a.x = shifted, a.bias = bias;
    conv_backward_input(B{}, a);
    a.x = x, a.weight = dw;
    conv_backward_weight(B{}, a);
    a.weight = more, a.add = true;
    conv_backward_weight(B{}, a);
    return {{"y", y.values()},        {"without bias", plain.values()},
            {"dx", dx.values()},      {"dx + bias", shifted.values()},
            {"dweight", dw.values()}, {"added", more.values()}};
  }
};

}  // namespace conformance
