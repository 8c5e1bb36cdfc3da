// Where the voxels of a CT lie in the network's input: what a map made on the input needs to be
// shown over the scan itself.
#pragma once

#include <hlip/imaging/preprocess_ct.hpp>

#include <array>
#include <cmath>
#include <vector>

HLIP_BEGIN

/// The way from a scan to the network's input as one straight line per axis, resampling, padding
/// and cropping taken together: input index = scale · scan index + offset, in units of voxels, (D,
/// H, W).
struct CtInputGrid {
  std::array<index_t, 3> scan{}, input{};  ///< voxels
  std::array<double, 3> scale = {1, 1, 1}, offset = {0, 0, 0};
};

/// @param scan its shape (D, H, W)  @param resampled its size at the preset's spacing
HLIP_LAZY CtInputGrid ct_input_grid(const Shape& scan, const std::array<index_t, 3>& resampled,
                                    const CtPreset& preset) {
  CtInputGrid grid;
  for (std::size_t d = 0; d < 3; ++d) {
    const bool crop = preset.mode == FitMode::crop;
    const detail::FittedAxis fit(resampled[d], preset.size[d]);
    grid.scan[d] = scan[static_cast<int>(d)];
    grid.input[d] = preset.size[d];
    grid.scale[d] = static_cast<double>(crop ? resampled[d] : preset.size[d]) /
                    static_cast<double>(grid.scan[d]);
    // centres of voxels: half-pixel
    grid.offset[d] = 0.5 * grid.scale[d] - 0.5 + static_cast<double>(crop ? fit.to - fit.from : 0);
  }
  return grid;
}
/// @param spacing mm, as preprocess_ct is told  @throws hlip::error as resampled_size
HLIP_LAZY CtInputGrid ct_input_grid(const Shape& scan, const std::array<double, 3>& spacing,
                                    const CtPreset& preset) {
  return ct_input_grid(scan, resampled_size(scan, spacing, preset.spacing), preset);
}

/// The affine of the network's input, given the scan's: both lead to the same mm.
HLIP_LAZY Affine input_affine(const Affine& scan, const CtInputGrid& grid) {
  Affine a = scan;
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t r = 0; r < 3; ++r) {
      a[r][c] = scan[r][c] / grid.scale[2 - c];
      a[r][3] -= a[r][c] * grid.offset[2 - c];
    }
  return a;
}

/// For each slice of the input the slice of the scan that it shows, counted from 0; -1 where it
/// shows none because the scan was padded.
HLIP_LAZY std::vector<index_t> scan_slices(const CtInputGrid& grid) {
  std::vector<index_t> numbers;
  for (index_t z = 0; z < grid.input[0]; ++z) {
    const auto number = static_cast<index_t>(
        std::lround((static_cast<double>(z) - grid.offset[0]) / grid.scale[0]));
    numbers.push_back(number >= 0 && number < grid.scan[0] ? number : -1);
  }
  return numbers;
}

/// A map with one value per patch, on the voxels of the scan: trilinear between the centres of
/// patches, as it would be on the input; 0 where the scan was cropped away.
/// @param patches (d, h, w)  @param patch_size voxels of the input (pd, ph, pw); patches begin at
/// its first voxel
/// @return (D, H, W) of the scan
HLIP_LAZY Tensor<float, Cpu> patches_to_scan(const Tensor<float, Cpu>& patches,
                                             const Shape& patch_size, const CtInputGrid& grid) {
  expect_shape("patches_to_scan", "patches", patches.shape(), {{"d"}, {"h"}, {"w"}});
  struct Place {
    index_t low = -1, high = -1;  ///< -1: cropped away
    float weight = 0;             ///< of `high`
  };
  std::array<std::vector<Place>, 3> places;
  for (std::size_t d = 0; d < 3; ++d) {
    const index_t n = patches.dim(static_cast<int>(d));
    const double patch = static_cast<double>(patch_size[static_cast<int>(d)]);
    for (index_t v = 0; v < grid.scan[d]; ++v) {
      const double at = grid.scale[d] * static_cast<double>(v) + grid.offset[d];
      Place p;
      if (at >= -0.5 && at <= static_cast<double>(grid.input[d]) - 0.5) {
        const double patch_at = std::clamp((at + 0.5) / patch - 0.5, 0.0,
                                           static_cast<double>(n - 1));
        p.low = static_cast<index_t>(patch_at);
        p.high = std::min(p.low + 1, n - 1);
        p.weight = static_cast<float>(patch_at - static_cast<double>(p.low));
      }
      places[d].push_back(p);
    }
  }
  const auto from = patches.contiguous();
  const index_t h = from.dim(1), w = from.dim(2), height = grid.scan[1], width = grid.scan[2],
                rows = grid.scan[0] * height;
  const auto out = Tensor<float, Cpu>::zeros({grid.scan[0], height, width});
  const float* source = from.data();
  float* to = out.data();
#pragma omp parallel for schedule(static) if (rows * width > 65536)
  for (index_t r = 0; r < rows; ++r) {
    const Place z = places[0][static_cast<std::size_t>(r / height)],
                y = places[1][static_cast<std::size_t>(r % height)];
    if (z.low < 0 || y.low < 0) continue;
    const auto line = [&](index_t x) {  // patch column x, between the four patches around this row
      const float near = source[(z.low * h + y.low) * w + x] * (1 - y.weight) +
                         source[(z.low * h + y.high) * w + x] * y.weight;
      const float far = source[(z.high * h + y.low) * w + x] * (1 - y.weight) +
                        source[(z.high * h + y.high) * w + x] * y.weight;
      return near * (1 - z.weight) + far * z.weight;
    };
    index_t known = -1;
    float low = 0, high = 0;
    for (index_t i = 0; i < width; ++i) {
      const Place x = places[2][static_cast<std::size_t>(i)];
      if (x.low < 0) continue;
      if (x.low != known) low = line(x.low), high = line(x.high), known = x.low;
      to[r * width + i] = low * (1 - x.weight) + high * x.weight;
    }
  }
  return out;
}

HLIP_END
