// LayerNorm over the channels of pictures, as timm's LayerNorm2d.
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/nn/layer_norm.hpp>

HLIP_BEGIN

/// The channels of every pixel, normalised. @param x (N, C, H, W)  @return the shape of x
template <class T = float, class B = Cpu> struct LayerNorm2d : LayerNorm<T, B> {
  using LayerNorm<T, B>::LayerNorm;
  Var<T, B> operator()(const Var<T, B>& x) const {
    expect_shape("layer_norm_2d", "x", x.shape(),
                 {{"N"}, {"C", this->weight.numel()}, {"H"}, {"W"}});
    return permute(LayerNorm<T, B>::operator()(permute(x, {0, 2, 3, 1})), {0, 3, 1, 2});
  }
};

HLIP_END
