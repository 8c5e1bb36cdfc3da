// Moving the pixels of a picture, and of the masks that belong to it, alike: flip, affine map and a
// smooth random displacement.
// Source: Simard et al. 2003, "Best practices for convolutional neural networks" (elastic
// displacement), here of a grid of control points under cubic B-splines.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/imaging/augment/byte_picture.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How far pixels may move; everything is drawn evenly up to these.
struct WarpOptions {
  double flip = 0.5;          ///< probability that left and right are exchanged
  double rotation = 10;       ///< degrees, either way
  double scale = 0.1;         ///< factors from 1 - scale to 1 + scale
  double translation = 0.05;  ///< of the sides, either way
  double elastic = 0.02;      ///< of the shorter side: how far a control point moves, either way
  int control_points = 4;     ///< that lie along a side
  friend bool operator==(const WarpOptions&, const WarpOptions&) = default;
};

namespace detail {

/// The four weights of a cubic B-spline. @param t place between two control points, 0 to 1
inline std::array<double, 4> b_spline_weights(double t) {
  const double u = 1 - t;
  return {u * u * u / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * u * u * u - 6 * u * u + 4) / 6,
          t * t * t / 6};
}

/// A displacement that varies smoothly over a picture.
class SmoothDisplacement {
 public:
  /// @param points along a side  @param reach pixels, either way
  SmoothDisplacement(int points, double reach, RandomStream& random)
      : spans_(points), grid_(static_cast<std::size_t>(points + 3)) {
    for (auto& row : grid_)
      for (int i = 0; i < points + 3; ++i)
        row.push_back({random.uniform(-reach, reach), random.uniform(-reach, reach)});
  }
  /// (y, x) at a place. @param y, x shares of the sides, 0 to 1
  std::array<double, 2> at(double y, double x) const {
    const auto [row, down] = place(y);
    const auto [column, across] = place(x);
    const auto wy = b_spline_weights(down), wx = b_spline_weights(across);
    std::array<double, 2> sum{};
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j)
        for (std::size_t d = 0; d < 2; ++d) sum[d] += wy[i] * wx[j] * grid_[row + i][column + j][d];
    return sum;
  }

 private:
  std::pair<std::size_t, double> place(double share) const {
    const double at = share * spans_;
    const auto first = std::min(static_cast<std::size_t>(at), static_cast<std::size_t>(spans_ - 1));
    return {first, at - static_cast<double>(first)};
  }
  int spans_;
  std::vector<std::vector<std::array<double, 2>>> grid_;
};

}  // namespace detail

/// Where the pixels of a warped picture come from. A pure function of its arguments: pictures and
/// masks of one size move alike.
class Warp {
 public:
  /// @param key names the draw: seed, epoch and number of the picture
  /// @throws hlip::error for options that cannot be carried out
  HLIP_LAZY Warp(index_t height, index_t width, const WarpOptions& o, RandomKey key)
      : height_(height), width_(width) {
    expect(height > 0 && width > 0, "warp", "a picture of {} x {} pixels", height, width);
    expect(
        o.flip >= 0 && o.flip <= 1 && std::abs(o.rotation) <= 180 && o.scale >= 0 && o.scale < 1 &&
            o.translation >= 0 && o.translation <= 1 && o.elastic >= 0 && o.elastic <= 1 &&
            o.control_points >= 1 && o.control_points <= 1024,
        "warp",
        "flip {}, rotation {}, scale {}, translation {}, elastic {} with {} points: out of range",
        o.flip, o.rotation, o.scale, o.translation, o.elastic, o.control_points);
    RandomStream random(key);
    const double side = random.chance(o.flip) ? -1 : 1, h = static_cast<double>(height),
                 w = static_cast<double>(width),
                 angle = random.uniform(-o.rotation, o.rotation) * std::numbers::pi / 180,
                 shrink = 1 / random.uniform(1 - o.scale, 1 + o.scale),
                 down = random.uniform(-o.translation, o.translation) * h,
                 across = random.uniform(-o.translation, o.translation) * w,
                 turn_cos = std::cos(angle) * shrink, turn_sin = std::sin(angle) * shrink;
    const detail::SmoothDisplacement bend(o.control_points, o.elastic * std::min(h, w), random);
    from_.reserve(static_cast<std::size_t>(height * width));
    for (index_t r = 0; r < height; ++r)
      for (index_t c = 0; c < width; ++c) {
        const double y = static_cast<double>(r) + 0.5, x = static_cast<double>(c) + 0.5,
                     v = y - h / 2, u = side * (x - w / 2);
        const auto [dy, dx] = bend.at(y / h, x / w);
        from_.push_back(
            {static_cast<float>(turn_cos * v - turn_sin * u + down + dy + h / 2 - 0.5),
             static_cast<float>(turn_sin * v + turn_cos * u + across + dx + w / 2 - 0.5)});
      }
  }

  /// The warped picture: between four pixels linear, black where nothing was.
  HLIP_LAZY BytePicture picture(const BytePicture& x) const {
    expect_picture(x, "warp");
    expect(x.height == height_ && x.width == width_, "warp",
           "a picture of {} x {} pixels, expected {} x {}", x.height, x.width, height_, width_);
    auto out = BytePicture::of_size(x.channels, height_, width_);
    for (index_t c = 0; c < x.channels; ++c)
      for (std::size_t i = 0; i < from_.size(); ++i)
        out.plane(c)[i] = static_cast<std::uint8_t>(value(x.plane(c), from_[i]) + 0.5f);
    return out;
  }
  /// A mask, warped in place: where more than half of a pixel lies inside, it is 255.
  /// @param mask (height, width), 0 or 255
  void mask(std::span<std::uint8_t> mask) const {
    expect(mask.size() == from_.size(), "warp", "a mask of {} pixels, expected {}", mask.size(),
           from_.size());
    const std::vector<std::uint8_t> before(mask.begin(), mask.end());
    for (std::size_t i = 0; i < from_.size(); ++i)
      mask[i] = value(before.data(), from_[i]) > 127.5f ? 255 : 0;
  }

 private:
  /// @param at (y, x), centres of pixels at whole numbers
  float value(const std::uint8_t* plane, const std::array<float, 2>& at) const {
    const float top = std::floor(at[0]), left = std::floor(at[1]), v = at[0] - top,
                u = at[1] - left;
    const auto pixel = [&](float y, float x) {
      const bool inside = y >= 0 && x >= 0 && y < static_cast<float>(height_) &&
                          x < static_cast<float>(width_);
      return inside ? static_cast<float>(
                          plane[static_cast<index_t>(y) * width_ + static_cast<index_t>(x)])
                    : 0.f;
    };
    return (1 - v) * ((1 - u) * pixel(top, left) + u * pixel(top, left + 1)) +
           v * ((1 - u) * pixel(top + 1, left) + u * pixel(top + 1, left + 1));
  }

  index_t height_, width_;
  std::vector<std::array<float, 2>> from_;  // (y, x) of every pixel
};

HLIP_END
