// Cutting a box out of an 8-bit picture and resizing it, to the bit as Pillow does: two passes of
// fixed-point weights, along the rows first, each rounded to 8 bits.
// Source: Pillow, src/libImaging/Resample.c.
#pragma once

#include <hlip/imaging/augment/byte_picture.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

HLIP_BEGIN

/// The kernel of a resize; widened when shrinking. cubic is Keys' with a = -0.5.
enum class ByteResize { bilinear, bicubic };

/// A rectangle of a picture.
struct CropBox {
  index_t top = 0, left = 0, height = 0, width = 0;
  friend bool operator==(const CropBox&, const CropBox&) = default;
};

namespace detail {

/// For each of the outputs first … first + count - 1 of a resize from n_in to n_out: where its
/// inputs begin, how many they are, and their weights in fixed point.
struct ByteTaps {
  static constexpr int bits = 32 - 8 - 2;  // so that a sum of weighted levels fits
  std::size_t most = 0;                    // weights from one output to the next
  std::vector<index_t> begin;
  std::vector<int> count;
  std::vector<std::int32_t> weight;

  HLIP_LAZY static ByteTaps of(index_t n_in, index_t n_out, index_t first, index_t outputs,
                               ByteResize kernel) {
    ByteTaps t;
    const double scale = static_cast<double>(n_in) / static_cast<double>(n_out),
                 wide = std::max(scale, 1.0),
                 support = (kernel == ByteResize::bicubic ? 2.0 : 1.0) * wide;
    t.most = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
    t.weight.resize(t.most * static_cast<std::size_t>(outputs));
    std::vector<double> w(t.most);
    for (index_t o = 0; o < outputs; ++o) {
      const double centre = (static_cast<double>(first + o) + 0.5) * scale;
      const auto from = std::max<index_t>(static_cast<index_t>(centre - support + 0.5), 0),
                 to = std::min<index_t>(static_cast<index_t>(centre + support + 0.5), n_in);
      const auto n = static_cast<std::size_t>(to - from);
      double total = 0;
      for (std::size_t k = 0; k < n; ++k) {
        const double at = (static_cast<double>(from) + static_cast<double>(k) - centre + 0.5) /
                          wide;
        w[k] = kernel == ByteResize::bicubic ? cubic(std::abs(at))
                                             : std::max(0.0, 1 - std::abs(at));
        total += w[k];
      }
      for (std::size_t k = 0; k < n; ++k) {
        const double x = (total != 0 ? w[k] / total : w[k]) * (1 << bits);
        t.weight[static_cast<std::size_t>(o) * t.most + k] = static_cast<std::int32_t>(
            x < 0 ? x - 0.5 : x + 0.5);
      }
      t.begin.push_back(from);
      t.count.push_back(static_cast<int>(n));
    }
    return t;
  }

 private:
  static double cubic(double x) {
    constexpr double a = -0.5;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
  }
};

inline std::uint8_t fixed_to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> ByteTaps::bits, 0, 255));
}

/// Resizes along a row: `rows` rows of x, `stride` apart.
HLIP_LAZY void resize_rows(const std::uint8_t* x, index_t stride, index_t rows,
                           const ByteTaps& taps, std::uint8_t* y) {
  const std::size_t n = taps.begin.size();
  for (index_t r = 0; r < rows; ++r, x += stride, y += n)
    for (std::size_t o = 0; o < n; ++o) {
      const std::uint8_t* from = x + taps.begin[o];
      const std::int32_t* w = taps.weight.data() + o * taps.most;
      std::int32_t sum = 1 << (ByteTaps::bits - 1);
      for (int k = 0; k < taps.count[o]; ++k) sum += from[k] * w[k];
      y[o] = fixed_to_byte(sum);
    }
}

/// Resizes down the columns. @param x its row `offset` is the first there is
HLIP_LAZY void resize_columns(const std::uint8_t* x, index_t stride, index_t offset, index_t width,
                              const ByteTaps& taps, std::uint8_t* y) {
  std::vector<std::int32_t> sums(static_cast<std::size_t>(width));
  for (std::size_t o = 0; o < taps.begin.size(); ++o, y += width) {
    std::fill(sums.begin(), sums.end(), 1 << (ByteTaps::bits - 1));
    for (int k = 0; k < taps.count[o]; ++k) {
      const std::uint8_t* row = x + (taps.begin[o] - offset + k) * stride;
      const std::int32_t w = taps.weight[o * taps.most + static_cast<std::size_t>(k)];
      for (index_t i = 0; i < width; ++i) sums[static_cast<std::size_t>(i)] += row[i] * w;
    }
    for (index_t i = 0; i < width; ++i) y[i] = fixed_to_byte(sums[static_cast<std::size_t>(i)]);
  }
}

}  // namespace detail

/// A part of what `box` of x becomes when it is resized to height x width: `part` of the result,
/// and nothing else is computed. Pixels outside of the box play no part.
/// @param x (C, H, W)  @return (C, part.height, part.width)
/// @throws hlip::error when a box does not lie inside of what it is cut from
HLIP_LAZY BytePicture resized_crop(const BytePicture& x, const CropBox& box, index_t height,
                                   index_t width, ByteResize kernel, const CropBox& part) {
  expect_picture(x, "resized_crop");
  const auto inside = [](const CropBox& b, index_t h, index_t w) {
    return b.top >= 0 && b.left >= 0 && b.height > 0 && b.width > 0 && b.height <= h &&
           b.width <= w && b.top <= h - b.height && b.left <= w - b.width;
  };
  expect(inside(box, x.height, x.width), "resized_crop",
         "a box of {} x {} at ({}, {}) in a picture of {} x {}", box.height, box.width, box.top,
         box.left, x.height, x.width);
  expect(inside(part, height, width), "resized_crop",
         "a part of {} x {} at ({}, {}) of a result of {} x {}", part.height, part.width, part.top,
         part.left, height, width);
  auto out = BytePicture::of_size(x.channels, part.height, part.width);
  const auto along = detail::ByteTaps::of(box.width, width, part.left, part.width, kernel),
             down = detail::ByteTaps::of(box.height, height, part.top, part.height, kernel);
  const index_t first = down.begin.front(), rows = down.begin.back() + down.count.back() - first;
  std::vector<std::uint8_t> narrowed(static_cast<std::size_t>(rows * part.width));
  for (index_t c = 0; c < x.channels; ++c) {
    detail::resize_rows(x.plane(c) + (box.top + first) * x.width + box.left, x.width, rows, along,
                        narrowed.data());
    detail::resize_columns(narrowed.data(), part.width, first, part.width, down, out.plane(c));
  }
  return out;
}

/// `box` of x, resized to height x width.
HLIP_LAZY BytePicture resized_crop(const BytePicture& x, const CropBox& box, index_t height,
                                   index_t width, ByteResize kernel = ByteResize::bicubic) {
  return resized_crop(x, box, height, width, kernel, CropBox{0, 0, height, width});
}

/// Exchanges left and right.
HLIP_LAZY void hflip(BytePicture& x) {
  for (auto row = x.levels.begin(); row != x.levels.end(); row += x.width)
    std::reverse(row, row + x.width);
}

HLIP_END
