// What decoders and U-Nets are made of: convolution without bias, batch norm, ReLU.
#pragma once

#include <hlip/nn/channel_norm.hpp>
#include <hlip/nn/conv.hpp>

HLIP_BEGIN

/// relu(bn(conv(x))); maps keep their size.
template <class T = float, class B = Cpu> struct ConvBnRelu {
  using value_type = T;
  using backend = B;
  Conv2d<T, B> conv;
  BatchNorm<T, B> bn;

  ConvBnRelu() = default;
  /// @param kernel its side, odd
  ConvBnRelu(index_t in, index_t out, index_t kernel, Initializer& init)
      : conv(in, out, {kernel}, init, {.padding{kernel / 2}}, false), bn(out) {}
  template <class V> void visit(V&& v) {
    v("conv", conv);
    v("bn", bn);
  }
  /// @param x (N, in, h, w)  @return (N, out, h, w)
  Var<T, B> operator()(const Var<T, B>& x, const Context& context = {}) const {
    return bn.then_relu(conv(x), context);
  }
};

HLIP_END
