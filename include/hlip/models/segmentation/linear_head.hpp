// The linear decoder of masks: what can be read off every patch by itself.
// Source: reference document RAD-DINO §9; Oquab et al. 2023 (DINOv2), appendix.
#pragma once

#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/nn/channel_norm.hpp>
#include <hlip/nn/conv.hpp>

HLIP_BEGIN

/// Batch norm and a convolution of 1x1 on the last map.
template <class T = float, class B = Cpu> struct LinearHead {
  using value_type = T;
  using backend = B;
  BatchNorm<T, B> bn;
  Conv2d<T, B> conv;

  LinearHead() = default;
  /// @param dim channels of the last map
  LinearHead(index_t dim, index_t classes, Initializer& init)
      : bn(dim), conv(dim, classes, {1}, init) {}
  template <class V> void visit(V&& v) {
    v("bn", bn);
    v("conv", conv);
  }
  /// @param maps the last is (N, dim, h, w)
  /// @return logits (N, classes, h, w), which resize_map brings to the size of the picture
  /// @throws hlip::error for no map or one of other channels
  Var<T, B> operator()(const FeatureMaps<T, B>& maps, const Context& context = {}) const {
    return conv(bn(last_map("linear_head", maps, bn.weight.numel()), context));
  }
};

HLIP_END
