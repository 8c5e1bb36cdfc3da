// ViTDet's simple feature pyramid: four scales out of the last map alone; and masks from it.
// Source: Li et al. 2022, "Exploring Plain Vision Transformer Backbones for Object Detection";
// reference document RAD-DINO §9.
#pragma once

#include <hlip/autograd/functions/pool.hpp>
#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/nn/conv.hpp>
#include <hlip/nn/layer_norm_2d.hpp>

#include <string>

HLIP_BEGIN

/// Maps of 4, 2, 1 and 0.5 times the size, all of one width.
template <class T = float, class B = Cpu> struct SimplePyramid {
  using value_type = T;
  using backend = B;
  static constexpr std::size_t levels = 4;
  static constexpr double eps = 1e-6;  ///< of the norms
  ConvTranspose2d<T, B> up4a, up4b;    ///< C to C/2 to C/4, four times the size
  LayerNorm2d<T, B> up4n;              ///< between the two
  ConvTranspose2d<T, B> up2;           ///< C to C/2, twice the size
  /// Of every level: 1x1 and norm, 3x3 and norm, without bias
  std::array<Conv2d<T, B>, levels> lat, out;
  std::array<LayerNorm2d<T, B>, levels> lat_norm, out_norm;

  SimplePyramid() = default;
  /// @param dim channels of the last map, a multiple of 4  @param width channels of every level
  SimplePyramid(index_t dim, index_t width, Initializer& init) {
    expect(dim >= 4 && dim % 4 == 0 && width >= 1, "simple_pyramid",
           "dim is {} and width {}, expected a multiple of 4 and at least 1", dim, width);
    const ConvOptions twice{.stride{2}};
    up4a = ConvTranspose2d<T, B>(dim, dim / 2, {2}, init, twice);
    up4n = LayerNorm2d<T, B>(dim / 2, eps);
    up4b = ConvTranspose2d<T, B>(dim / 2, dim / 4, {2}, init, twice);
    up2 = ConvTranspose2d<T, B>(dim, dim / 2, {2}, init, twice);
    const index_t channels[levels] = {dim / 4, dim / 2, dim, dim};
    for (std::size_t i = 0; i < levels; ++i) {
      lat[i] = Conv2d<T, B>(channels[i], width, {1}, init, {}, false);
      out[i] = Conv2d<T, B>(width, width, {3}, init, {.padding{1}}, false);
      lat_norm[i] = LayerNorm2d<T, B>(width, eps);
      out_norm[i] = LayerNorm2d<T, B>(width, eps);
    }
  }
  template <class V> void visit(V&& v) {
    v("up4a", up4a);
    v("up4n", up4n);
    v("up4b", up4b);
    v("up2", up2);
    for (std::size_t i = 0; i < levels; ++i) {
      const std::string number = std::to_string(i);
      v("lat" + number, lat[i]);
      v("lat" + number + "_norm", lat_norm[i]);
      v("out" + number, out[i]);
      v("out" + number + "_norm", out_norm[i]);
    }
  }
  /// @param maps the last is (N, dim, h, w), h and w at least 2
  /// @return (N, width, 4·h, 4·w) … (N, width, h / 2, w / 2)
  /// @throws hlip::error for no map or one of other channels
  FeatureMaps<T, B> operator()(const FeatureMaps<T, B>& maps) const {
    const Var<T, B>& x = last_map("simple_pyramid", maps, up2.weight.dim(0));
    FeatureMaps<T, B> scales = {up4b(gelu(up4n(up4a(x)))), up2(x), x, max_pool2d(x, {2})};
    for (std::size_t i = 0; i < levels; ++i)
      scales[i] = out_norm[i](out[i](lat_norm[i](lat[i](scales[i]))));
    return scales;
  }
};

/// Masks from the pyramid: all levels in the size of the finest, side by side, and a convolution
/// of 1x1.
template <class T = float, class B = Cpu> struct SimplePyramidHead {
  using value_type = T;
  using backend = B;
  SimplePyramid<T, B> pyramid;
  Conv2d<T, B> cls;

  SimplePyramidHead() = default;
  /// @param dim channels of the last map, a multiple of 4  @param width of the pyramid, usually 256
  SimplePyramidHead(index_t dim, index_t width, index_t classes, Initializer& init)
      : pyramid(dim, width, init),
        cls(width * static_cast<index_t>(pyramid.levels), classes, {1}, init) {}
  template <class V> void visit(V&& v) {
    v("pyramid", pyramid);
    v("cls", cls);
  }
  /// @param maps the last is (N, dim, h, w)  @return logits (N, classes, 4·h, 4·w)
  /// @throws hlip::error for no map or one of other channels
  Var<T, B> operator()(const FeatureMaps<T, B>& maps, const Context& = {}) const {
    return cls(concat_at_finest(pyramid(maps)));
  }
};

HLIP_END
