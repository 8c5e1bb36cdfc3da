// A picture in memory: rows of red, green and blue bytes, with rectangles and text.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/report/font.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

HLIP_BEGIN

struct Colour {
  std::uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(const Colour&, const Colour&) = default;
};

/// Between two colours. @param share of `b`, 0 … 1
inline Colour blend(Colour a, Colour b, double share) {
  const auto mix = [&](std::uint8_t x, std::uint8_t y) {
    return static_cast<std::uint8_t>(std::lround(x + (y - x) * share));
  };
  return {mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b)};
}

inline Colour grey_colour(double value) {
  const auto v = static_cast<std::uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
  return {v, v, v};
}

/// The colours of heat maps, from blue over green to red. @param value 0 … 1  Source: MATLAB's jet.
inline Colour jet_colour(double value) {
  const auto ramp = [&](double centre) {
    return static_cast<std::uint8_t>(
        std::lround(255 * std::clamp(1.5 - std::abs(4 * value - centre), 0.0, 1.0)));
  };
  return {ramp(3), ramp(2), ramp(1)};
}

/// What is drawn outside of the picture is not drawn.
class Picture {
 public:
  Picture(std::int64_t width, std::int64_t height, Colour background)
      : width_(width), height_(height) {
    if (width < 1 || height < 1 || width > 32767 || height > 32767)
      fail("picture", "{} x {} pixels, expected 1 to 32767", width, height);
    pixels_.resize(static_cast<std::size_t>(3 * width * height));
    fill(0, 0, width, height, background);
  }
  std::int64_t width() const { return width_; }
  std::int64_t height() const { return height_; }
  const std::vector<std::uint8_t>& pixels() const { return pixels_; }

  Colour at(std::int64_t x, std::int64_t y) const {
    const auto* p = pixels_.data() + 3 * (y * width_ + x);
    return {p[0], p[1], p[2]};
  }
  void set(std::int64_t x, std::int64_t y, Colour c) {
    if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
    auto* p = pixels_.data() + 3 * (y * width_ + x);
    p[0] = c.r, p[1] = c.g, p[2] = c.b;
  }
  void fill(std::int64_t x, std::int64_t y, std::int64_t width, std::int64_t height, Colour c) {
    for (std::int64_t j = std::max<std::int64_t>(y, 0); j < std::min(y + height, height_); ++j)
      for (std::int64_t i = std::max<std::int64_t>(x, 0); i < std::min(x + width, width_); ++i)
        set(i, j, c);
  }
  /// Pixels a text is wide.
  static std::int64_t text_width(std::string_view text, std::int64_t dot) {
    return static_cast<std::int64_t>(text.size()) * (glyph_width + 1) * dot;
  }
  /// A line of text with its upper left corner at (x, y). @param dot pixels of a dot; what is not
  /// ASCII is drawn as '?'
  void text(std::int64_t x, std::int64_t y, std::string_view text, Colour c, std::int64_t dot = 2) {
    for (const char letter : text) {
      const auto& glyph = glyphs[static_cast<std::size_t>(
          letter >= ' ' && letter <= '~' ? letter - ' ' : '?' - ' ')];
      for (int i = 0; i < glyph_width; ++i)
        for (int j = 0; j < glyph_height; ++j)
          if (glyph[static_cast<std::size_t>(i)] >> j & 1)
            fill(x + i * dot, y + j * dot, dot, dot, c);
      x += (glyph_width + 1) * dot;
    }
  }

 private:
  std::int64_t width_, height_;
  std::vector<std::uint8_t> pixels_;
};

HLIP_END
