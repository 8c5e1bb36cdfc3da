// Brightness, contrast, colour: operations on the levels of an 8-bit picture, in place. In one
// channel, where there is no colour, only brightness, contrast, gamma and solarising change
// anything.
// Source: torchvision, transforms/functional; Pillow, ImageEnhance and Convert.c.
#pragma once

#include <hlip/imaging/augment/byte_picture.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

HLIP_BEGIN

namespace detail {

/// Away from (factor above 1) or towards a reference; cut to 8 bits, not rounded. Product and sum
/// are rounded one after the other on every processor: where they are fused, levels differ.
inline std::uint8_t blend_level(float x, float reference, float factor) {
  const volatile float step = factor * (x - reference);
  return static_cast<std::uint8_t>(std::clamp(reference + step, 0.0f, 255.0f));
}

inline std::uint8_t luminance(int red, int green, int blue) {
  return static_cast<std::uint8_t>((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16);
}

HLIP_LAZY void expect_factor(double factor, std::string_view operation) {
  expect(factor >= 0 && factor <= 1e6, operation, "a factor of {}, expected 0 or more", factor);
}

/// Every level becomes fn(level).
template <class Fn> void map_levels(BytePicture& x, Fn fn) {
  std::array<std::uint8_t, 256> table;
  for (std::size_t v = 0; v < 256; ++v) table[v] = fn(static_cast<int>(v));
  for (auto& v : x.levels) v = table[v];
}

/// Every pixel becomes fn(red, green, blue).
template <class Fn> void map_pixels(BytePicture& x, Fn fn) {
  std::uint8_t *red = x.plane(0), *green = x.plane(1), *blue = x.plane(2);
  for (std::size_t i = 0; i < x.plane_size(); ++i) {
    const std::array<std::uint8_t, 3> to = fn(red[i], green[i], blue[i]);
    red[i] = to[0], green[i] = to[1], blue[i] = to[2];
  }
}

}  // namespace detail

/// All channels become the luminance; rounded, weights 0.299, 0.587 and 0.114.
HLIP_LAZY void rgb_to_grayscale(BytePicture& x) {
  expect_picture(x, "rgb_to_grayscale");
  if (x.channels == 1) return;
  detail::map_pixels(x, [](int r, int g, int b) {
    const auto grey = detail::luminance(r, g, b);
    return std::array{grey, grey, grey};
  });
}

/// Blends with black. @param factor 0 is black, 1 changes nothing
HLIP_LAZY void adjust_brightness(BytePicture& x, double factor) {
  detail::expect_factor(factor, "adjust_brightness");
  const auto f = static_cast<float>(factor);
  detail::map_levels(x, [f](int v) { return detail::blend_level(static_cast<float>(v), 0, f); });
}

/// Blends with the mean luminance, rounded to a level. @param factor 0 is even grey, 1 changes
/// nothing
HLIP_LAZY void adjust_contrast(BytePicture& x, double factor) {
  expect_picture(x, "adjust_contrast");
  detail::expect_factor(factor, "adjust_contrast");
  std::uint64_t sum = 0;
  if (x.channels == 1)
    for (const auto v : x.levels) sum += v;
  else
    for (std::size_t i = 0; i < x.plane_size(); ++i)
      sum += detail::luminance(x.plane(0)[i], x.plane(1)[i], x.plane(2)[i]);
  const auto mean = std::floor(static_cast<double>(sum) / static_cast<double>(x.plane_size()) +
                               0.5);
  const auto f = static_cast<float>(factor), reference = static_cast<float>(mean);
  detail::map_levels(
      x, [=](int v) { return detail::blend_level(static_cast<float>(v), reference, f); });
}

/// Levels as shares of the largest one, to a power; rounded.
/// @param gamma above 1 darkens, 1 changes nothing
HLIP_LAZY void adjust_gamma(BytePicture& x, double gamma) {
  expect(gamma > 0 && gamma <= 100, "adjust_gamma", "gamma is {}, expected above 0", gamma);
  detail::map_levels(x, [gamma](int v) {
    return static_cast<std::uint8_t>(std::lround(255 * std::pow(v / 255.0, gamma)));
  });
}

/// Blends every pixel with its luminance. @param factor 0 is grey, 1 changes nothing
HLIP_LAZY void adjust_saturation(BytePicture& x, double factor) {
  expect_picture(x, "adjust_saturation");
  detail::expect_factor(factor, "adjust_saturation");
  if (x.channels == 1) return;
  const auto f = static_cast<float>(factor);
  detail::map_pixels(x, [f](int r, int g, int b) {
    const auto grey = static_cast<float>(detail::luminance(r, g, b));
    return std::array{detail::blend_level(static_cast<float>(r), grey, f),
                      detail::blend_level(static_cast<float>(g), grey, f),
                      detail::blend_level(static_cast<float>(b), grey, f)};
  });
}

namespace detail {

/// Hue, saturation and value, each of 8 bits: what falls between two levels is lost, in Pillow's
/// way. Floats and doubles are its own: a last bit decides between two hues.
HLIP_LAZY std::array<std::uint8_t, 3> to_hsv(int r, int g, int b) {
  const int most = std::max({r, g, b}), range = most - std::min({r, g, b});
  if (range == 0) return {0, 0, static_cast<std::uint8_t>(most)};
  const auto wide = static_cast<float>(range);
  const auto from = [&](int v) { return static_cast<float>(most - v) / wide; };
  const float sixths = r == most   ? from(b) - from(g)
                       : g == most ? static_cast<float>(2.0 + from(r) - from(b))
                                   : static_cast<float>(4.0 + from(g) - from(r));
  const auto hue = static_cast<float>(std::fmod(sixths / 6.0 + 1.0, 1.0));
  const float saturation = wide / static_cast<float>(most);
  return {static_cast<std::uint8_t>(hue * 255.0), static_cast<std::uint8_t>(saturation * 255.0),
          static_cast<std::uint8_t>(most)};
}
HLIP_LAZY std::array<std::uint8_t, 3> from_hsv(const std::array<std::uint8_t, 3>& hsv) {
  const auto [h, s, full] = hsv;
  if (s == 0) return {full, full, full};
  const double sixths = h * 6.0 / 255.0;
  const int sixth = static_cast<int>(sixths);
  const auto f = static_cast<float>(sixths - sixth);
  const auto fs = static_cast<float>(s / 255.0);
  const auto level = [v = full](double x) { return static_cast<std::uint8_t>(std::round(v * x)); };
  const auto p = level(1.0 - fs), q = level(1.0 - fs * f), t = level(1.0 - fs * (1.0 - f));
  switch (sixth % 6) {
    case 0: return {full, t, p};
    case 1: return {q, full, p};
    case 2: return {p, full, t};
    case 3: return {p, q, full};
    case 4: return {t, p, full};
    default: return {full, p, q};
  }
}

}  // namespace detail

/// Turns the colours, in steps of a 255th of a turn. @param shift of the hue, in turns, -0.5 … 0.5
HLIP_LAZY void adjust_hue(BytePicture& x, double shift) {
  expect_picture(x, "adjust_hue");
  expect(shift >= -0.5 && shift <= 0.5, "adjust_hue", "a shift of {} turns, expected -0.5 to 0.5",
         shift);
  if (x.channels == 1) return;
  const auto turn = static_cast<int>(shift * 255);
  detail::map_pixels(x, [turn](int r, int g, int b) {
    auto hsv = detail::to_hsv(r, g, b);
    hsv[0] = static_cast<std::uint8_t>(hsv[0] + turn);  // round the circle
    return detail::from_hsv(hsv);
  });
}

/// Inverts the levels that are `threshold` or more.
HLIP_LAZY void solarize(BytePicture& x, int threshold) {
  detail::map_levels(
      x, [threshold](int v) { return static_cast<std::uint8_t>(v >= threshold ? 255 - v : v); });
}

HLIP_END
