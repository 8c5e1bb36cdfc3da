// The control of self-distillation: pictures that have lost their anatomy.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/imaging/radiograph.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

HLIP_BEGIN

/// The patches of a picture in random order: the control, which keeps levels and textures and
/// takes the anatomy away. @param patch side of a patch in pixels; a remainder stays where it is
HLIP_LAZY BytePicture shuffle_patches(const BytePicture& x, index_t patch, RandomKey key) {
  const index_t rows = x.height / patch, columns = x.width / patch;
  std::vector<index_t> order(static_cast<std::size_t>(rows * columns));
  std::iota(order.begin(), order.end(), index_t{0});
  RandomStream(key).shuffle(order);
  BytePicture y = x;
  for (index_t c = 0; c < x.channels; ++c)
    for (index_t to = 0; to < rows * columns; ++to) {
      const index_t from = order[static_cast<std::size_t>(to)];
      for (index_t line = 0; line < patch; ++line) {
        const auto at = [&](index_t p) {
          return (p / columns * patch + line) * x.width + p % columns * patch;
        };
        std::copy_n(x.plane(c) + at(from), patch, y.plane(c) + at(to));
      }
    }
  return y;
}

/// The same of a radiograph that is going to be prepared for an encoder, as its patches will lie:
/// windowed to 8 bits, the patches of its centre square exchanged.
/// @param side of the square that is cut for the encoder, in pixels after resizing
/// @param number of the picture, which names the order
HLIP_LAZY Radiograph shuffled_radiograph(const Radiograph& x, index_t side, index_t patch,
                                         std::uint64_t number) {
  const BytePicture grey = to_byte_picture(x);
  const index_t shorter = std::min(x.height, x.width),
                scaled = std::max<index_t>(1, patch * shorter / std::max<index_t>(1, side));
  const BytePicture shuffled = shuffle_patches(grey, scaled, {0, 0x5Fu, number});
  Radiograph y = x;
  y.bits = 8;
  y.window = {0, 255};
  y.levels.assign(shuffled.levels.begin(), shuffled.levels.end());
  return y;
}

HLIP_END
