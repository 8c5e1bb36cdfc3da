// Residual networks over volumes, as a list of feature maps: what a decoder or a pooled feature
// sees of them. Parameters have the names of torchvision, MONAI and MedicalNet.
// Source: He et al. 2015, "Deep Residual Learning for Image Recognition"; reference document T3D
// §2.
#pragma once

#include <hlip/autograd/functions/pool.hpp>
#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/nn/channel_norm.hpp>
#include <hlip/nn/conv.hpp>

#include <array>
#include <cmath>
#include <string>
#include <vector>

HLIP_BEGIN

/// Residual blocks of one width; the first of them makes the map smaller.
struct ResNetLayer {
  index_t width = 64;  ///< inside a block; a bottleneck gives four times as many channels
  index_t blocks = 1;
  index_t stride = 2;
};

/// Sizes of a residual network; the defaults are ResNet-50's.
struct ResNet3dConfig {
  std::string name = "resnet50_3d";
  index_t in_chans = 1;
  index_t stem_width = 64, stem_kernel = 7, stem_stride = 2;
  bool stem_pool = true;  ///< a max pool of stride 2 behind the stem's map
  std::vector<ResNetLayer> layers = {{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}};
  bool bottleneck = true;   ///< blocks of 1, 3, 1; else of 3, 3
  index_t norm_groups = 0;  ///< of group norms; 0: batch norms

  index_t expansion() const { return bottleneck ? 4 : 1; }
  /// Channels of every map.
  std::vector<index_t> channels() const {
    std::vector<index_t> c = {stem_width};
    for (const ResNetLayer& layer : layers) c.push_back(layer.width * expansion());
    return c;
  }
  /// Voxels of the input in a voxel of every map, along an axis.
  std::vector<index_t> strides() const {
    std::vector<index_t> s = {stem_stride};
    index_t now = stem_stride * (stem_pool ? 2 : 1);
    for (const ResNetLayer& layer : layers) s.push_back(now *= layer.stride);
    return s;
  }
};

namespace detail {

/// A batch norm, or a group norm under the same names.
template <class T, class B> struct ResNetNorm : BatchNorm<T, B> {
  index_t groups = 0;

  ResNetNorm() = default;
  ResNetNorm(index_t channels, index_t group_count)
      : BatchNorm<T, B>(channels), groups(group_count) {
    if (groups > 0) this->running_mean = this->running_var = {};
  }
  Var<T, B> operator()(const Var<T, B>& x, const Context& context) const {
    if (groups == 0) return BatchNorm<T, B>::operator()(x, context);
    return group_norm(x, groups, this->weight, this->bias, this->eps);
  }
  Var<T, B> then_relu(const Var<T, B>& x, const Context& context) const {
    if (groups == 0) return BatchNorm<T, B>::then_relu(x, context);
    return relu((*this)(x, context));
  }
};

/// A convolution without bias that keeps the size, but for its stride. Weights normal with
/// √(2 / fan out), as torchvision draws them.
template <class T, class B>
Conv3d<T, B> resnet_conv(index_t in, index_t out, index_t kernel, index_t stride,
                         Initializer& init) {
  Initializer unset = Initializer::without_values();
  Conv3d<T, B> conv(in, out, {kernel}, unset, {.stride{stride}, .padding{kernel / 2}}, false);
  const auto fan_out = static_cast<double>(out * kernel * kernel * kernel);
  conv.weight = init.normal<T, B>(conv.weight.shape(), std::sqrt(2.0 / fan_out));
  return conv;
}

/// What brings the input of a block to its output's size: torchvision's `downsample`.
template <class T, class B> struct ResNetDownsample {
  using value_type = T;
  using backend = B;
  Conv3d<T, B> conv;
  ResNetNorm<T, B> norm;
  template <class V> void visit(V&& v) {
    v("0", conv);
    v("1", norm);
  }
};

/// relu(x + branch(x)), where the branch is convolutions of 1, 3, 1 or of 3, 3.
template <class T, class B> struct ResNetBlock {
  using value_type = T;
  using backend = B;
  Conv3d<T, B> conv1, conv2, conv3;
  ResNetNorm<T, B> bn1, bn2, bn3;
  ResNetDownsample<T, B> downsample;
  bool bottleneck = true;

  ResNetBlock() = default;
  /// @param in channels  @param stride of the block's convolution of 3x3x3
  ResNetBlock(const ResNet3dConfig& c, index_t in, index_t width, index_t stride, Initializer& init)
      : bottleneck(c.bottleneck) {
    const index_t out = width * c.expansion(), groups = c.norm_groups;
    conv1 = resnet_conv<T, B>(in, width, bottleneck ? 1 : 3, bottleneck ? 1 : stride, init);
    bn1 = ResNetNorm<T, B>(width, groups);
    conv2 = resnet_conv<T, B>(width, width, 3, bottleneck ? stride : 1, init);
    bn2 = ResNetNorm<T, B>(width, groups);
    if (bottleneck) {
      conv3 = resnet_conv<T, B>(width, out, 1, 1, init);
      bn3 = ResNetNorm<T, B>(out, groups);
    }
    if (stride != 1 || in != out)
      downsample = {resnet_conv<T, B>(in, out, 1, stride, init), ResNetNorm<T, B>(out, groups)};
  }
  template <class V> void visit(V&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("conv2", conv2);
    v("bn2", bn2);
    v("conv3", conv3);
    v("bn3", bn3);
    v("downsample", downsample);
  }
  Var<T, B> operator()(const Var<T, B>& x, const Context& context) const {
    const Var<T, B> first = bn1.then_relu(conv1(x), context);
    Var<T, B> branch = conv2(first);
    if (bottleneck) branch = bn3(conv3(bn2.then_relu(branch, context)), context);
    else branch = bn2(branch, context);
    const Var<T, B> kept = downsample.conv.weight.numel() > 0
                               ? downsample.norm(downsample.conv(x), context)
                               : x;
    return relu(kept + branch);
  }
};

}  // namespace detail

/// The network without its classifier.
template <class T = float, class B = Cpu> struct ResNet3d {
  using value_type = T;
  using backend = B;
  using Block = detail::ResNetBlock<T, B>;
  ResNet3dConfig config;
  Conv3d<T, B> conv1;
  detail::ResNetNorm<T, B> bn1;
  std::vector<std::vector<Block>> layers;

  ResNet3d() = default;
  /// @throws hlip::error for sizes that make no network
  ResNet3d(const ResNet3dConfig& c, Initializer& init) : config(c) {
    check(c);
    conv1 = detail::resnet_conv<T, B>(c.in_chans, c.stem_width, c.stem_kernel, c.stem_stride, init);
    bn1 = detail::ResNetNorm<T, B>(c.stem_width, c.norm_groups);
    index_t in = c.stem_width;
    for (const ResNetLayer& layer : c.layers) {
      std::vector<Block> blocks;
      for (index_t i = 0; i < layer.blocks; ++i) {
        blocks.emplace_back(c, in, layer.width, i == 0 ? layer.stride : 1, init);
        in = layer.width * c.expansion();
      }
      layers.push_back(std::move(blocks));
    }
  }
  template <class V> void visit(V&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    for (std::size_t i = 0; i < layers.size(); ++i) v("layer" + std::to_string(i + 1), layers[i]);
  }
  std::vector<index_t> channels() const { return config.channels(); }
  std::vector<std::array<index_t, 3>> strides() const {
    std::vector<std::array<index_t, 3>> all;
    for (const index_t s : config.strides()) all.push_back({s, s, s});
    return all;
  }
  /// @param x (N, in_chans, D, H, W)  @param context training: batch norms use the batch
  /// @return the stem's map and that of every layer, (N, channels()[i], d, h, w)
  /// @throws hlip::error for other channels
  FeatureMaps<T, B> operator()(const Var<T, B>& x, const Context& context = {}) const {
    expect_shape(config.name, "x", x.shape(),
                 {{"N"}, {"in_chans", config.in_chans}, {"D"}, {"H"}, {"W"}});
    FeatureMaps<T, B> maps = {bn1.then_relu(conv1(x), context)};
    Var<T, B> y = config.stem_pool ? max_pool3d(maps[0], {3}, {.stride{2}, .padding{1}}) : maps[0];
    for (const auto& layer : layers) {
      for (const Block& block : layer) y = block(y, context);
      maps.push_back(y);
    }
    return maps;
  }

 private:
  static void check(const ResNet3dConfig& c) {
    expect(c.in_chans >= 1 && c.stem_width >= 1 && c.stem_stride >= 1, c.name,
           "in_chans {}, stem_width {}, stem_stride {}, expected at least 1 each", c.in_chans,
           c.stem_width, c.stem_stride);
    expect(c.stem_kernel >= 1 && c.stem_kernel % 2 == 1, c.name,
           "stem_kernel {}, expected an odd number", c.stem_kernel);
    expect(!c.layers.empty(), c.name, "no layers, expected at least one");
    for (const ResNetLayer& layer : c.layers)
      expect(layer.width >= 1 && layer.blocks >= 1 && layer.stride >= 1, c.name,
             "a layer of width {}, {} blocks and stride {}, expected at least 1 each", layer.width,
             layer.blocks, layer.stride);
    for (const index_t channels : c.channels())
      expect(c.norm_groups >= 0 && (c.norm_groups == 0 || channels % c.norm_groups == 0), c.name,
             "{} channels do not divide into {} norm_groups", channels, c.norm_groups);
    for (const ResNetLayer& layer : c.layers)
      expect(c.norm_groups == 0 || layer.width % c.norm_groups == 0, c.name,
             "a layer of width {} does not divide into {} norm_groups", layer.width, c.norm_groups);
  }
};

HLIP_END
