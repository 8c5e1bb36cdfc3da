// Drawing the boxes of random crops.
// Source: torchvision, transforms.RandomResizedCrop.
#pragma once

#include <hlip/imaging/augment/resized_crop.hpp>

#include <algorithm>
#include <array>
#include <cmath>

HLIP_BEGIN

/// A box of an area between `scale[0]` and `scale[1]` times that of the picture, as wide as
/// `aspect` times its height. Ten are tried; when none fits, it is the largest box about the centre
/// whose aspect is allowed.
/// @param aspect smallest and largest width over height
/// @param uniform gives the next number in [0, 1): two for a box that does not fit (area, aspect),
/// two more for one that does (top, left)
template <class Uniform>
CropBox sample_crop_box(index_t height, index_t width, const std::array<double, 2>& scale,
                        const std::array<double, 2>& aspect, Uniform&& uniform) {
  const auto between = [&](double low, double high) { return low + (high - low) * uniform(); };
  const auto below = [&](index_t n) {
    return std::min(n - 1, static_cast<index_t>(uniform() * static_cast<double>(n)));
  };
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  for (int i = 0; i < 10; ++i) {
    const double area = h * w * between(scale[0], scale[1]),
                 ratio = std::exp(between(std::log(aspect[0]), std::log(aspect[1])));
    CropBox box;
    box.width = static_cast<index_t>(std::nearbyint(std::sqrt(area * ratio)));
    box.height = static_cast<index_t>(std::nearbyint(std::sqrt(area / ratio)));
    if (box.width < 1 || box.width > width || box.height < 1 || box.height > height) continue;
    box.top = below(height - box.height + 1);
    box.left = below(width - box.width + 1);
    return box;
  }
  CropBox box{0, 0, height, width};
  const auto fit = [](double x, index_t most) {
    return std::clamp<index_t>(static_cast<index_t>(std::nearbyint(x)), 1, most);
  };
  if (w / h < aspect[0]) box.height = fit(w / aspect[0], height);
  else if (w / h > aspect[1]) box.width = fit(h * aspect[1], width);
  box.top = (height - box.height) / 2;
  box.left = (width - box.width) / 2;
  return box;
}

/// A square whose side is between `scale[0]` and `scale[1]` times the shorter side of the picture,
/// anywhere in it.
/// @param uniform gives the next number in [0, 1): three of them (side, top, left)
template <class Uniform>
CropBox sample_square_box(index_t height, index_t width, const std::array<double, 2>& scale,
                          Uniform&& uniform) {
  const index_t shorter = std::min(height, width);
  const double drawn = static_cast<double>(shorter) *
                       (scale[0] + (scale[1] - scale[0]) * uniform());
  const auto side = std::clamp<index_t>(static_cast<index_t>(std::nearbyint(drawn)), 1, shorter);
  const auto below = [&](index_t n) {
    return std::min(n - 1, static_cast<index_t>(uniform() * static_cast<double>(n)));
  };
  const index_t top = below(height - side + 1), left = below(width - side + 1);
  return {top, left, side, side};
}

HLIP_END
