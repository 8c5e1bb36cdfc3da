// What a network that restores volumes is shown in place of them: intensities bent, voxels
// shuffled in small blocks, boxes or everything but boxes replaced by noise, boxes or patches taken
// out. Each operator takes its random numbers from a callable, so that a recorded tape replays it.
// Source: Zhou et al. 2019, "Models Genesis"; reference document T3D §4.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/core/random.hpp>
#include <hlip/imaging/augment/voxel_box.hpp>
#include <hlip/tensor/check.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What an operator made of a volume.
struct Corrupted {
  Tensor<float, Cpu> volume;          ///< (D, H, W)
  std::vector<VoxelBox> boxes;        ///< as they were drawn
  Tensor<std::uint8_t, Cpu> changed;  ///< (D, H, W), 1 where a voxel is no longer the clean one
};

namespace detail {

/// A whole number in [low, high], both ends included, from one uniform.
template <class Uniform> index_t draw_whole(Uniform& uniform, index_t low, index_t high) {
  const auto step = static_cast<index_t>(uniform() * static_cast<double>(high - low + 1));
  return std::min(high, low + step);
}

/// Shuffles what lies from `first` on: from the last to the second, each changes places.
template <class T, class Uniform> void shuffle_values(T* first, index_t n, Uniform& uniform) {
  for (index_t i = n - 1; i > 0; --i) std::swap(first[i], first[draw_whole(uniform, 0, i)]);
}

HLIP_LAZY void check_clean_volume(std::string_view where, const Tensor<float, Cpu>& volume) {
  expect_shape(where, "volume", volume.shape(), {{"D"}, {"H"}, {"W"}});
  expect(volume.numel() > 0, where, "volume is {}, it has no voxels", to_string(volume.shape()));
}

/// The volume in storage of its own, and a mask of one value.
HLIP_LAZY Corrupted begin_corruption(std::string_view where, const Tensor<float, Cpu>& volume,
                                     std::uint8_t changed) {
  check_clean_volume(where, volume);
  return {volume.clone(), {}, Tensor<std::uint8_t, Cpu>::full(volume.shape(), changed)};
}

HLIP_LAZY void mark_box(Corrupted& c, const VoxelBox& box, std::uint8_t changed) {
  each_row(c.volume.shape(), box,
           [&](index_t first, index_t n) { std::fill_n(c.changed.data() + first, n, changed); });
}

}  // namespace detail

// ---- boxes --------------------------------------------------------------------------------------

/// Boxes anywhere inside of a volume. Each side is a share of the volume's from `share`, at least a
/// voxel; boxes may overlap.
/// @param volume (D, H, W)  @param uniform called as uniform() for the next number in [0, 1): six
/// times a box, sides before places
/// @throws hlip::error for shares that are not 0 < low <= high <= 1, and a negative count
template <class Uniform>
std::vector<VoxelBox> sample_boxes(const Shape& volume, index_t count,
                                   const std::array<double, 2>& share, Uniform&& uniform) {
  expect(volume.rank() == 3 && volume.numel() > 0, "sample_boxes",
         "volume is {}, expected (D, H, W) with voxels", to_string(volume));
  expect(count >= 0, "sample_boxes", "count is {}, expected at least 0", count);
  expect(share[0] > 0 && share[0] <= share[1] && share[1] <= 1, "sample_boxes",
         "share is {} to {}, expected it within 0 to 1 (and above 0)", share[0], share[1]);
  std::vector<VoxelBox> boxes;
  for (index_t i = 0; i < count; ++i) {
    VoxelBox box;
    const auto side = [&](int d, double of) {
      return std::max<index_t>(1, static_cast<index_t>(static_cast<double>(volume[d]) * of));
    };
    for (int d = 0; d < 3; ++d)
      box.size[static_cast<std::size_t>(d)] = detail::draw_whole(uniform, side(d, share[0]),
                                                                 side(d, share[1]));
    for (int d = 0; d < 3; ++d) {
      const auto at = static_cast<std::size_t>(d);
      box.from[at] = detail::draw_whole(uniform, 0, volume[d] - box.size[at]);
    }
    boxes.push_back(box);
  }
  return boxes;
}

/// In-painting: boxes filled with uniform noise; what lies around them says what was there.
/// @param volume (D, H, W) in [0, 1]  @param count of boxes  @param share see sample_boxes
/// @param uniform the boxes, then voxel by voxel the noise of one box after the other
template <class Uniform>
Corrupted paint_inside(const Tensor<float, Cpu>& volume, index_t count,
                       const std::array<double, 2>& share, Uniform&& uniform) {
  Corrupted c = detail::begin_corruption("paint_inside", volume, 0);
  c.boxes = sample_boxes(volume.shape(), count, share, uniform);
  for (const VoxelBox& box : c.boxes) {
    detail::mark_box(c, box, 1);
    each_row(volume.shape(), box, [&](index_t first, index_t n) {
      for (float* v = c.volume.data() + first; n > 0; --n) *v++ = static_cast<float>(uniform());
    });
  }
  return c;
}

/// Out-painting: boxes stay, all else is uniform noise.
/// @param volume (D, H, W) in [0, 1]  @param count of boxes  @param share see sample_boxes
/// @param uniform the boxes, then noise for every voxel, those of the boxes too
template <class Uniform>
Corrupted paint_outside(const Tensor<float, Cpu>& volume, index_t count,
                        const std::array<double, 2>& share, Uniform&& uniform) {
  Corrupted c = detail::begin_corruption("paint_outside", volume, 1);
  const Tensor<float, Cpu> clean = volume.contiguous();
  c.boxes = sample_boxes(volume.shape(), count, share, uniform);
  for (index_t i = 0; i < clean.numel(); ++i) c.volume.data()[i] = static_cast<float>(uniform());
  for (const VoxelBox& box : c.boxes) {
    detail::mark_box(c, box, 0);
    each_row(volume.shape(), box, [&](index_t first, index_t n) {
      std::copy_n(clean.data() + first, n, c.volume.data() + first);
    });
  }
  return c;
}

/// Cut-out: boxes of zeros.
/// @param volume (D, H, W)  @param count of boxes  @param share, uniform see sample_boxes
template <class Uniform>
Corrupted cut_out(const Tensor<float, Cpu>& volume, index_t count,
                  const std::array<double, 2>& share, Uniform&& uniform) {
  Corrupted c = detail::begin_corruption("cut_out", volume, 0);
  c.boxes = sample_boxes(volume.shape(), count, share, uniform);
  for (const VoxelBox& box : c.boxes) {
    detail::mark_box(c, box, 1);
    each_row(volume.shape(), box,
             [&](index_t first, index_t n) { std::fill_n(c.volume.data() + first, n, 0.0f); });
  }
  return c;
}

// ---- patches ------------------------------------------------------------------------------------

/// Patches of a volume by axis; the last ones are smaller where the side is no multiple.
/// @param volume (D, H, W)  @param patch side of a patch in voxels
HLIP_LAZY Shape patch_grid(const Shape& volume, index_t patch) {
  expect(patch >= 1, "patch_grid", "patch is {} voxels, expected at least 1", patch);
  Shape grid;
  for (const index_t n : volume) grid.push_back((n + patch - 1) / patch);
  return grid;
}

/// A share of `patches`, rounded, drawn without putting back. @return 1 for those
/// @throws hlip::error for a share outside of 0 to 1, and a negative number of patches
template <class Uniform>
std::vector<std::uint8_t> sample_patches(index_t patches, double share, Uniform&& uniform) {
  expect(patches >= 0 && share >= 0 && share <= 1, "sample_patches",
         "a share of {} of {} patches, expected 0 to 1", share, patches);
  std::vector<std::uint8_t> drawn(static_cast<std::size_t>(patches));
  std::fill_n(drawn.begin(), std::llround(share * static_cast<double>(patches)), std::uint8_t{1});
  detail::shuffle_values(drawn.data(), patches, uniform);
  return drawn;
}

/// Sets patches to 0.
/// @param volume (D, H, W)  @param dropped one element for each patch of patch_grid, row-major, not
/// 0 for those that go
/// @throws hlip::error for another number of elements
HLIP_LAZY Corrupted drop_patches(const Tensor<float, Cpu>& volume, index_t patch,
                                 std::span<const std::uint8_t> dropped) {
  Corrupted c = detail::begin_corruption("drop_patches", volume, 0);
  const Shape grid = patch_grid(volume.shape(), patch);
  expect(static_cast<index_t>(dropped.size()) == grid.numel(), "drop_patches",
         "dropped has {} elements, expected {} for the patches {} of volume {}", dropped.size(),
         grid.numel(), to_string(grid), to_string(volume.shape()));
  std::size_t cell = 0;
  for (index_t z = 0; z < grid[0]; ++z)
    for (index_t y = 0; y < grid[1]; ++y)
      for (index_t x = 0; x < grid[2]; ++x) {
        if (dropped[cell++] == 0) continue;
        VoxelBox box{{z * patch, y * patch, x * patch}, {}};
        for (std::size_t d = 0; d < 3; ++d)
          box.size[d] = std::min(patch, volume.shape()[static_cast<int>(d)] - box.from[d]);
        c.boxes.push_back(box);
      }
  for (const VoxelBox& box : c.boxes) {
    detail::mark_box(c, box, 1);
    each_row(volume.shape(), box,
             [&](index_t first, index_t n) { std::fill_n(c.volume.data() + first, n, 0.0f); });
  }
  return c;
}

// ---- places -------------------------------------------------------------------------------------

/// Shuffles the voxels within small blocks: texture goes, what is where stays. Blocks have 1 voxel
/// to a sixth of the volume on each side. Each is filled out of the clean volume, so where blocks
/// overlap the last one counts.
/// @param volume (D, H, W)
/// @param uniform for every block three sides, three places, then one for each voxel but the first
template <class Uniform>
Corrupted shuffle_voxels(const Tensor<float, Cpu>& volume, index_t blocks, Uniform&& uniform) {
  expect(blocks >= 0, "shuffle_voxels", "blocks is {}, expected at least 0", blocks);
  Corrupted c = detail::begin_corruption("shuffle_voxels", volume, 0);
  const Tensor<float, Cpu> clean = volume.contiguous();
  const Shape& shape = volume.shape();
  std::vector<float> values;
  for (index_t i = 0; i < blocks; ++i) {
    VoxelBox box;
    for (std::size_t d = 0; d < 3; ++d)
      box.size[d] = detail::draw_whole(uniform, 1,
                                       std::max<index_t>(1, shape[static_cast<int>(d)] / 6));
    for (std::size_t d = 0; d < 3; ++d)
      box.from[d] = detail::draw_whole(uniform, 0, shape[static_cast<int>(d)] - box.size[d]);
    values.clear();
    each_row(shape, box, [&](index_t first, index_t n) {
      values.insert(values.end(), clean.data() + first, clean.data() + first + n);
    });
    detail::shuffle_values(values.data(), box.voxels(), uniform);
    const float* from = values.data();
    each_row(shape, box, [&](index_t first, index_t n) {
      std::copy_n(from, n, c.volume.data() + first);
      from += n;
    });
    if (box.voxels() > 1) detail::mark_box(c, box, 1);  // one voxel has no other place
    c.boxes.push_back(box);
  }
  return c;
}

// ---- intensities --------------------------------------------------------------------------------

/// A curve of intensities by samples, x and y rising from 0 to 1.
struct IntensityCurve {
  std::vector<double> x, y;
};

/// Samples of the cubic Bezier curve from (0, 0) to (1, 1) over two inner points, x and y sorted
/// each for itself: a curve that only rises, wherever the points lie.
/// @param first, second (x, y) in [0, 1]
/// @throws hlip::error for points outside, and fewer than two samples
HLIP_LAZY IntensityCurve bezier_curve(const std::array<double, 2>& first,
                                      const std::array<double, 2>& second, index_t samples = 1000) {
  expect(samples >= 2, "bezier_curve", "samples is {}, expected at least 2", samples);
  for (const double v : {first[0], first[1], second[0], second[1]})
    expect(v >= 0 && v <= 1, "bezier_curve", "a point has {}, expected 0 to 1", v);
  IntensityCurve curve;
  for (index_t i = 0; i < samples; ++i) {
    const double t = static_cast<double>(i) / static_cast<double>(samples - 1), s = 1 - t;
    const auto at = [&](double a, double b) {
      return 3 * t * s * s * a + 3 * t * t * s * b + t * t * t;
    };
    curve.x.push_back(at(first[0], second[0]));
    curve.y.push_back(at(first[1], second[1]));
  }
  std::sort(curve.x.begin(), curve.x.end());
  std::sort(curve.y.begin(), curve.y.end());
  return curve;
}

/// Intensities along a curve, linear between its samples.
/// @param volume any shape; a value below 0 (or NaN) counts as 0, one above 1 as 1
/// @param descending bright becomes dark: y is taken from its end
/// @throws hlip::error for a curve whose x does not rise from 0 to 1, or with another number of y
HLIP_LAZY Tensor<float, Cpu> apply_curve(const Tensor<float, Cpu>& volume,
                                         const IntensityCurve& curve, bool descending = false) {
  const std::vector<double>& x = curve.x;
  expect(x.size() >= 2 && x.size() == curve.y.size() && x.front() == 0 && x.back() == 1 &&
             std::is_sorted(x.begin(), x.end()),
         "apply_curve", "a curve of {} x and {} y, expected as many, x rising from 0 to 1",
         x.size(), curve.y.size());
  std::vector<double> y = curve.y;
  if (descending) std::reverse(y.begin(), y.end());
  std::vector<double> slope(x.size());  // 0 behind the last sample, and where two share an x
  for (std::size_t i = 0; i + 1 < x.size(); ++i)
    if (x[i] < x[i + 1]) slope[i] = (y[i + 1] - y[i]) / (x[i + 1] - x[i]);
  // The last sample that is not above each of these marks: a million voxels look their place up,
  // and for most there is no sample between two marks to search for.
  constexpr std::size_t marks = 8192;
  std::vector<std::uint32_t> before(marks + 2);
  for (std::size_t k = 0, i = 0; k < before.size(); ++k) {
    while (i + 1 < x.size() && x[i + 1] <= static_cast<double>(k) / marks) ++i;
    before[k] = static_cast<std::uint32_t>(i);
  }
  Tensor<float, Cpu> out = volume.clone();
  for (index_t i = 0; i < out.numel(); ++i) {
    float& value = out.data()[i];
    const double v = value > 0 ? std::min(static_cast<double>(value), 1.0) : 0;
    const auto mark = static_cast<std::size_t>(v * marks);
    std::size_t at = before[mark];
    if (at < before[mark + 1]) {
      const double* first = x.data() + 1;
      at = static_cast<std::size_t>(std::upper_bound(first + at, first + before[mark + 1], v) -
                                    first);
    }
    value = static_cast<float>(y[at] + (v - x[at]) * slope[at]);
  }
  return out;
}

/// Intensities along a random curve: every voxel changes, and none its place.
/// @param volume (D, H, W) in [0, 1]  @param descending probability that bright becomes dark
/// @param uniform called five times: x and y of two points, then whether it descends
template <class Uniform>
Tensor<float, Cpu> bend_intensity(const Tensor<float, Cpu>& volume, double descending,
                                  Uniform&& uniform) {
  detail::check_clean_volume("bend_intensity", volume);
  std::array<double, 2> first, second;
  for (double* v : {&first[0], &first[1], &second[0], &second[1]}) *v = uniform();
  return apply_curve(volume, bezier_curve(first, second), uniform() < descending);
}

HLIP_END
