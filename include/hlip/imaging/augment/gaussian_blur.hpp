// Gaussian blur of an 8-bit picture.
// Source: torchvision, transforms/functional, gaussian_blur.
#pragma once

#include <hlip/imaging/augment/byte_picture.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

HLIP_BEGIN

namespace detail {

/// The index that reflection at the middle of the border pixels gives, for pictures of any size.
inline index_t reflected_index(index_t i, index_t n) {
  if (n == 1) return 0;
  const index_t period = 2 * (n - 1), at = ((i % period) + period) % period;
  return at < n ? at : period - at;
}

}  // namespace detail

/// Blurs in place: a Gaussian sampled at `kernel` pixels and made to sum to 1, borders reflected,
/// rounded once at the end.
/// @param sigma in pixels, positive  @param kernel odd
HLIP_LAZY void gaussian_blur(BytePicture& x, double sigma, int kernel = 9) {
  expect_picture(x, "gaussian_blur");
  expect(kernel > 0 && kernel % 2 == 1 && kernel <= 1023 && sigma > 0 && std::isfinite(sigma),
         "gaussian_blur", "kernel {} and sigma {}, expected an odd and a positive number", kernel,
         sigma);
  const index_t reach = kernel / 2, h = x.height, w = x.width;
  std::vector<float> weight;
  double total = 0;
  const auto gauss = [sigma](index_t d) {
    const double z = static_cast<double>(d) / sigma;
    return std::exp(-0.5 * z * z);
  };
  for (index_t d = -reach; d <= reach; ++d) total += gauss(d);
  for (index_t d = -reach; d <= reach; ++d) weight.push_back(static_cast<float>(gauss(d) / total));
  std::vector<float> padded(static_cast<std::size_t>(w + 2 * reach)), along(x.plane_size()),
      sums(static_cast<std::size_t>(w));
  const auto accumulate = [w](float* to, const float* from, float by) {
    for (index_t i = 0; i < w; ++i) to[i] += by * from[i];
  };
  for (index_t c = 0; c < x.channels; ++c) {
    std::fill(along.begin(), along.end(), 0.0f);
    for (index_t r = 0; r < h; ++r) {
      const std::uint8_t* row = x.plane(c) + r * w;
      std::copy(row, row + w, padded.begin() + reach);
      for (index_t i = 0; i < reach; ++i) {
        padded[static_cast<std::size_t>(i)] = row[detail::reflected_index(i - reach, w)];
        padded[static_cast<std::size_t>(w + reach + i)] = row[detail::reflected_index(w + i, w)];
      }
      for (int k = 0; k < kernel; ++k)
        accumulate(along.data() + r * w, padded.data() + k, weight[static_cast<std::size_t>(k)]);
    }
    for (index_t r = 0; r < h; ++r) {
      std::fill(sums.begin(), sums.end(), 0.5f);
      for (int k = 0; k < kernel; ++k)
        accumulate(sums.data(), along.data() + detail::reflected_index(r - reach + k, h) * w,
                   weight[static_cast<std::size_t>(k)]);
      std::uint8_t* row = x.plane(c) + r * w;
      for (index_t i = 0; i < w; ++i)
        row[i] = static_cast<std::uint8_t>(std::min(sums[static_cast<std::size_t>(i)], 255.0f));
    }
  }
}

HLIP_END
