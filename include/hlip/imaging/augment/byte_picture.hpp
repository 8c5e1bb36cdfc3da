// Pictures of 8-bit levels, in which augmentation works: on radiographs in one channel.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/imaging/radiograph.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

HLIP_BEGIN

/// (channels, height, width) levels of 8 bits; 1 channel is grey, 3 are red, green and blue.
struct BytePicture {
  index_t channels = 1, height = 0, width = 0;
  std::vector<std::uint8_t> levels = {};

  /// Pixels of one channel.
  std::size_t plane_size() const { return static_cast<std::size_t>(height * width); }
  std::uint8_t* plane(index_t c) {
    return levels.data() + static_cast<std::size_t>(c) * plane_size();
  }
  const std::uint8_t* plane(index_t c) const {
    return levels.data() + static_cast<std::size_t>(c) * plane_size();
  }
  /// Levels not set.
  static BytePicture of_size(index_t channels, index_t height, index_t width) {
    BytePicture out{channels, height, width};
    out.levels.resize(static_cast<std::size_t>(channels) * out.plane_size());
    return out;
  }
};

/// Throws unless the levels are those of a picture of at least one pixel, of 1 or 3 channels.
HLIP_LAZY void expect_picture(const BytePicture& x, std::string_view operation) {
  expect((x.channels == 1 || x.channels == 3) && x.height > 0 && x.width > 0 &&
             x.levels.size() == static_cast<std::size_t>(x.channels) * x.plane_size(),
         operation, "{} levels for a picture of {} x {} x {}, expected 1 or 3 channels and a pixel",
         x.levels.size(), x.channels, x.height, x.width);
}

/// A radiograph in 8 bits, one channel: its window becomes 0 … 255, rounded to the nearest level.
/// The 8 bits of a PNG or JPEG stay as they are.
/// @throws hlip::error unless the levels are those of a picture
HLIP_LAZY BytePicture to_byte_picture(const Radiograph& x) {
  expect(x.height > 0 && x.width > 0 && x.bits >= 1 && x.bits <= 16 &&
             x.levels.size() == static_cast<std::size_t>(x.height * x.width),
         "to_byte_picture", "{} levels of {} bits for a picture of {} x {} pixels", x.levels.size(),
         x.bits, x.height, x.width);
  const auto [black, white] = x.window;
  expect(std::isfinite(black) && std::isfinite(white) && black <= white, "to_byte_picture",
         "a window from {} to {}", black, white);
  auto out = BytePicture::of_size(1, x.height, x.width);
  if (x.bits <= 8 && black == 0 && white == 255) {
    std::transform(x.levels.begin(), x.levels.end(), out.levels.begin(), [](std::uint16_t v) {
      return static_cast<std::uint8_t>(std::min<int>(v, 255));
    });
    return out;
  }
  const double low = black, range = white - black;  // of no range: what is above is white
  std::transform(x.levels.begin(), x.levels.end(), out.levels.begin(), [=](std::uint16_t v) {
    const double shown = range > 0 ? (v - low) * 255 / range : v > low ? 255.0 : 0.0;
    return static_cast<std::uint8_t>(std::clamp(shown, 0.0, 255.0) + 0.5);
  });
  return out;
}

HLIP_END
