// UPerNet: masks from four maps of an encoder, by pyramid pooling and a top-down path.
// Source: Xiao et al. 2018, "Unified Perceptual Parsing for Scene Understanding"; of a vision
// transformer's blocks as in Bao et al. 2021 (BEiT); reference document RAD-DINO §9.
#pragma once

#include <hlip/autograd/functions/dropout.hpp>
#include <hlip/autograd/functions/pool.hpp>
#include <hlip/models/segmentation/conv_bn_relu.hpp>
#include <hlip/models/segmentation/feature_maps.hpp>

#include <string>

HLIP_BEGIN

/// Four maps of one size, brought to 4, 2, 1 and 0.5 times that.
template <class T = float, class B = Cpu> struct BlockScales {
  using value_type = T;
  using backend = B;
  ConvTranspose2d<T, B> a1, a2;  ///< of the first map, with norm and GELU between them
  BatchNorm<T, B> an;
  ConvTranspose2d<T, B> b;  ///< of the second

  BlockScales() = default;
  /// @param dim channels of the maps, before and after
  BlockScales(index_t dim, Initializer& init)
      : a1(dim, dim, {2}, init, {.stride{2}}),
        a2(dim, dim, {2}, init, {.stride{2}}),
        an(dim),
        b(dim, dim, {2}, init, {.stride{2}}) {}
  template <class V> void visit(V&& v) {
    v("a1", a1);
    v("an", an);
    v("a2", a2);
    v("b", b);
  }
  /// @param maps four of (N, dim, h, w), from early to late, h and w at least 2
  /// @return (N, dim, 4·h, 4·w) … (N, dim, h / 2, w / 2)
  /// @throws hlip::error for another number of maps, other channels or sizes that differ
  FeatureMaps<T, B> operator()(const FeatureMaps<T, B>& maps, const Context& context = {}) const {
    expect(maps.size() == 4, "block_scales", "{} feature maps, expected 4", maps.size());
    for (const auto& map : maps) {
      const Shape& first = maps[0].shape();
      expect_shape("block_scales", "a map", map.shape(),
                   {{"N"}, {"C", an.weight.numel()}, {"h"}, {"w"}});
      expect(map.shape() == first, "block_scales", "maps of {} and {}, expected one size",
             to_string(first), to_string(map.shape()));
    }
    const Var<T, B> normed = an(a1(maps[0]), context);
    return {a2(gelu(normed)), b(maps[1]), maps[2], max_pool2d(maps[3], {2})};
  }
};

/// The head of UPerNet, for any encoder that has maps of four sizes.
template <class T = float, class B = Cpu> struct UPerHead {
  using value_type = T;
  using backend = B;
  static constexpr std::size_t levels = 4;
  static constexpr index_t bins[] = {1, 2, 3, 6};  ///< a side, of the pooled maps

  std::array<ConvBnRelu<T, B>, std::size(bins)> ppm;  ///< of the pooled coarsest map
  ConvBnRelu<T, B> bottleneck;                        ///< of that map and what came of those
  std::array<ConvBnRelu<T, B>, levels - 1> lat, fpn;  ///< of the finer maps
  ConvBnRelu<T, B> fuse;                              ///< of all levels
  Conv2d<T, B> cls;
  /// Of whole channels before the classifier, in training
  double dropout_rate = 0.1;

  UPerHead() = default;
  /// @param channels of the four maps  @param width of everything inside, usually 512
  UPerHead(const std::array<index_t, levels>& channels, index_t width, index_t classes,
           Initializer& init) {
    for (auto& pooled : ppm) pooled = ConvBnRelu<T, B>(channels.back(), width, 1, init);
    const auto bin_count = static_cast<index_t>(std::size(bins));
    bottleneck = ConvBnRelu<T, B>(channels.back() + bin_count * width, width, 3, init);
    for (std::size_t i = 0; i + 1 < levels; ++i) {
      lat[i] = ConvBnRelu<T, B>(channels[i], width, 1, init);
      fpn[i] = ConvBnRelu<T, B>(width, width, 3, init);
    }
    fuse = ConvBnRelu<T, B>(static_cast<index_t>(levels) * width, width, 3, init);
    cls = Conv2d<T, B>(width, classes, {1}, init);
  }
  template <class V> void visit(V&& v) {
    for (std::size_t i = 0; i < ppm.size(); ++i) v("ppm" + std::to_string(i), ppm[i]);
    v("bottleneck", bottleneck);
    for (std::size_t i = 0; i < lat.size(); ++i) v("lat" + std::to_string(i), lat[i]);
    for (std::size_t i = 0; i < fpn.size(); ++i) v("fpn" + std::to_string(i), fpn[i]);
    v("fuse", fuse);
    v("cls", cls);
  }
  /// @param maps four, from fine to coarse, (N, C, h, w) with the channels of the constructor
  /// @param context training: batch norms use the batch, channels are dropped
  /// @return logits (N, classes, h, w) in the size of the finest map
  /// @throws hlip::error for another number of maps or other channels; in training for a single
  /// picture, whose one pooled value has no variance
  Var<T, B> operator()(const FeatureMaps<T, B>& maps, const Context& context = {}) const {
    expect(maps.size() == levels, "uper_net", "{} feature maps, expected {}", maps.size(), levels);
    for (std::size_t i = 0; i < levels; ++i)
      expect_shape("uper_net", "map " + std::to_string(i), maps[i].shape(),
                   {{"N", maps[0].dim(0)}, {"C", channels(i)}, {"h"}, {"w"}});
    FeatureMaps<T, B> level = top_down(maps, context);
    for (std::size_t i = 0; i < fpn.size(); ++i) level[i] = fpn[i](level[i], context);
    return cls(drop_channels(fuse(concat_at_finest(std::move(level)), context), context));
  }

 private:
  index_t channels(std::size_t level) const {
    return (level < lat.size() ? lat[level] : ppm[0]).conv.weight.dim(1);
  }
  /// The coarsest map with what its surroundings hold, in bins from coarse to fine.
  Var<T, B> pooled(const Var<T, B>& coarsest, const Context& context) const {
    FeatureMaps<T, B> parts = {coarsest};
    for (std::size_t i = 0; i < ppm.size(); ++i)
      parts.push_back(ppm[i](adaptive_avg_pool(coarsest, {bins[i], bins[i]}), context));
    return bottleneck(concat_at_finest(std::move(parts)), context);
  }
  /// Every level with what the coarser ones say.
  FeatureMaps<T, B> top_down(const FeatureMaps<T, B>& maps, const Context& context) const {
    FeatureMaps<T, B> level(levels);
    level.back() = pooled(maps.back(), context);
    for (std::size_t i = levels - 1; i-- > 0;) {
      const Var<T, B> here = lat[i](maps[i], context),
                      coarser = resize_map(level[i + 1], here.dim(2), here.dim(3));
      level[i] = here + coarser;
    }
    return level;
  }
  Var<T, B> drop_channels(const Var<T, B>& x, const Context& context) const {
    if (!context.training || dropout_rate == 0) return x;
    const Var<T, B> kept = dropout(Var<T, B>(Tensor<T, B>::ones({x.dim(0), x.dim(1), 1, 1})),
                                   dropout_rate, context.child(0).key);
    return x * kept;
  }
};

/// UPerNet over four blocks of a vision transformer.
template <class T = float, class B = Cpu> struct UPerNet {
  using value_type = T;
  using backend = B;
  BlockScales<T, B> scales;
  UPerHead<T, B> decoder;

  UPerNet() = default;
  /// @param dim channels of the maps  @param width of the head, usually 512
  UPerNet(index_t dim, index_t width, index_t classes, Initializer& init)
      : scales(dim, init), decoder({dim, dim, dim, dim}, width, classes, init) {}
  template <class V> void visit(V&& v) {
    v("scales", scales);
    v("decoder", decoder);
  }
  /// @param maps four of (N, dim, h, w), from early to late  @return logits (N, classes, 4·h, 4·w)
  /// @throws hlip::error as the scales and the head
  Var<T, B> operator()(const FeatureMaps<T, B>& maps, const Context& context = {}) const {
    return decoder(scales(maps, context), context);
  }
};

HLIP_END
