// Masks of volumes from the feature maps of any encoder: a U-shaped decoder with skips, up to the
// size of the volume itself.
// Source: Çiçek et al. 2016, "3D U-Net"; Hatamizadeh et al. 2022, "UNETR" (the volume as the
// finest skip); reference document T3D §7.
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/nn/channel_norm.hpp>
#include <hlip/nn/conv.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Two times a convolution of 3x3x3 with instance norm and ReLU: small batches need no more.
template <class T, class B> struct DecoderBlock3d {
  using value_type = T;
  using backend = B;
  Conv3d<T, B> conv1, conv2;
  InstanceNorm<T, B> norm1, norm2;

  DecoderBlock3d() = default;
  DecoderBlock3d(index_t in, index_t out, Initializer& init)
      : conv1(in, out, {3}, init, {.padding{1}}, false),
        conv2(out, out, {3}, init, {.padding{1}}, false),
        norm1(out),
        norm2(out) {}
  template <class V> void visit(V&& v) {
    v("conv1", conv1);
    v("norm1", norm1);
    v("conv2", conv2);
    v("norm2", norm2);
  }
  Var<T, B> operator()(const Var<T, B>& x) const {
    const Var<T, B> once = relu(norm1(conv1(x)));
    return relu(norm2(conv2(once)));
  }
};

}  // namespace detail

/// From the coarsest map to the volume: enlarge, put the next finer map beside it, mix.
template <class T = float, class B = Cpu> struct PyramidDecoder3d {
  using value_type = T;
  using backend = B;
  /// To the map of that number, or, the first, to the volume.
  std::vector<ConvTranspose3d<T, B>> up;
  std::vector<detail::DecoderBlock3d<T, B>> mix;
  Conv3d<T, B> cls;
  std::vector<index_t> channels;  ///< of the maps that are expected, from fine to coarse

  PyramidDecoder3d() = default;
  /// @param map_channels, strides of the encoder's maps, from fine to coarse: voxels of the volume
  /// in one of the map, by axis  @param in_chans of the volume
  /// @param widths channels of the decoder, from the volume to the coarsest but one; the last
  /// stands for those that follow, too
  /// @throws hlip::error for lists of different lengths, and strides that do not divide each other
  PyramidDecoder3d(const std::vector<index_t>& map_channels,
                   const std::vector<std::array<index_t, 3>>& strides, index_t in_chans,
                   const std::vector<index_t>& widths, index_t classes, Initializer& init)
      : channels(map_channels) {
    constexpr const char* where = "pyramid_decoder";
    expect(!channels.empty() && channels.size() == strides.size(), where,
           "channels of {} maps and strides of {}, expected as many, and at least one",
           channels.size(), strides.size());
    expect(!widths.empty() && classes >= 1, where, "{} widths and {} classes, expected at least 1",
           widths.size(), classes);
    const auto width = [&](std::size_t level) {
      return widths[std::min(level, widths.size() - 1)];
    };
    up.resize(channels.size()), mix.resize(channels.size());
    index_t in = channels.back();
    for (std::size_t i = channels.size(); i-- > 0;) {
      Shape larger;
      for (std::size_t d = 0; d < 3; ++d) {
        const index_t finer = i > 0 ? strides[i - 1][d] : 1;
        expect(finer >= 1 && strides[i][d] % finer == 0, where,
               "a map of stride {} above one of stride {}, expected a multiple", strides[i][d],
               finer);
        larger.push_back(strides[i][d] / finer);
      }
      if (larger != Shape{1, 1, 1})
        up[i] = ConvTranspose3d<T, B>(in, width(i), larger, init, {.stride = larger});
      const index_t enlarged = larger == Shape{1, 1, 1} ? in : width(i),
                    skip = i > 0 ? channels[i - 1] : in_chans;
      mix[i] = {enlarged + skip, width(i), init};
      in = width(i);
    }
    cls = Conv3d<T, B>(in, classes, {1}, init);
  }
  template <class V> void visit(V&& v) {
    for (std::size_t i = up.size(); i-- > 0;) {
      v("up" + std::to_string(i), up[i]);
      v("mix" + std::to_string(i), mix[i]);
    }
    v("cls", cls);
  }
  /// @param maps of the encoder, from fine to coarse: (N, channels[i], d, h, w)
  /// @param volume what it saw, (N, in_chans, D, H, W)
  /// @return logits (N, classes, D, H, W)
  /// @throws hlip::error for another number of maps, other channels, and sizes that are not what
  /// the strides say
  Var<T, B> operator()(const FeatureMaps<T, B>& maps, const Var<T, B>& volume) const {
    expect(maps.size() == channels.size(), "pyramid_decoder", "{} feature maps, expected {}",
           maps.size(), channels.size());
    for (std::size_t i = 0; i < maps.size(); ++i)
      expect_shape("pyramid_decoder", "map " + std::to_string(i), maps[i].shape(),
                   {{"N", volume.dim(0)}, {"C", channels[i]}, {"d"}, {"h"}, {"w"}});
    Var<T, B> y = maps.back();
    for (std::size_t i = maps.size(); i-- > 0;) {
      const Var<T, B>& skip = i > 0 ? maps[i - 1] : volume;
      if (up[i].weight.numel() > 0) y = up[i](y);
      for (int d = 2; d < 5; ++d)
        expect(
            y.dim(d) == skip.dim(d), "pyramid_decoder",
            "a map enlarged to {} beside one of {} (hint: sides of the volume that are multiples "
            "of the coarsest map's stride)",
            to_string(y.shape()), to_string(skip.shape()));
      y = mix[i](concat(std::vector<Var<T, B>>{y, skip}, 1));
    }
    return cls(y);
  }
};

HLIP_END
