// From 8-bit levels to what a network takes.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cmath>

HLIP_BEGIN

/// What levels become: (level · rescale - mean) / std, channel by channel.
struct LevelScale {
  double rescale = 1.0 / 255;
  std::array<double, 3> mean = {0, 0, 0}, std = {1, 1, 1};
  friend bool operator==(const LevelScale&, const LevelScale&) = default;
};

/// Mean and deviation commonly quoted for the public RAD-DINO.
inline constexpr LevelScale rad_dino_levels = {
    1.0 / 255, {0.5307, 0.5307, 0.5307}, {0.2583, 0.2583, 0.2583}};
/// ImageNet's, of DINOv2.
inline constexpr LevelScale imagenet_levels = {
    1.0 / 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};

/// Throws unless every level becomes a finite number.
HLIP_LAZY void check_levels(const LevelScale& s) {
  for (std::size_t c = 0; c < 3; ++c)
    expect(std::isfinite(s.rescale) && std::isfinite(s.mean[c]) && std::isfinite(s.std[c]) &&
               s.std[c] > 0,
           "normalize", "rescale {}, mean {} and std {} cannot normalise", s.rescale, s.mean[c],
           s.std[c]);
}

/// Writes `channels` normalised planes to `to`; the one channel of a grey picture is repeated.
/// @param x of one channel, or of as many as are written
HLIP_LAZY void normalize_into(const BytePicture& x, const LevelScale& scale, index_t channels,
                              float* to) {
  expect_picture(x, "normalize");
  check_levels(scale);
  expect(channels == x.channels || (x.channels == 1 && channels == 3), "normalize",
         "{} channels of a picture of {}, expected 3, or 1 of a grey one", channels, x.channels);
  std::array<float, 256> table;
  for (index_t c = 0; c < channels; ++c, to += x.plane_size()) {
    const auto k = static_cast<std::size_t>(c);
    const bool again = c > 0 && x.channels == 1 && scale.mean[k] == scale.mean[k - 1] &&
                       scale.std[k] == scale.std[k - 1];
    if (again) {
      std::copy_n(to - x.plane_size(), x.plane_size(), to);
      continue;
    }
    for (std::size_t v = 0; v < 256; ++v)
      table[v] = static_cast<float>((static_cast<double>(v) * scale.rescale - scale.mean[k]) /
                                    scale.std[k]);
    const std::uint8_t* from = x.plane(x.channels == 1 ? 0 : c);
    std::transform(from, from + x.plane_size(), to, [&](std::uint8_t v) { return table[v]; });
  }
}

/// Normalised levels. @return (channels, H, W)
HLIP_LAZY Tensor<float, Cpu> normalize(const BytePicture& x, const LevelScale& scale,
                                       index_t channels = 3) {
  auto out = Tensor<float, Cpu>::empty({channels, x.height, x.width});
  normalize_into(x, scale, channels, out.data());
  return out;
}

HLIP_END
