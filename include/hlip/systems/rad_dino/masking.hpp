// Which patches the student does not see: blocks of random shape, in half of the pictures of a
// batch; in volumes they are boxes. Source: reference document RAD-DINO §5; Bao et al. 2022 (BEiT);
// Oquab et al. 2023 (DINOv2).
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/core/random.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

HLIP_BEGIN

struct MaskingOptions {
  double probability = 0.5;                 ///< of a picture to be masked at all
  double min_ratio = 0.1, max_ratio = 0.5;  ///< of its patches, when it is
  index_t min_patches = 4;                  ///< area of the smallest block asked for
  double min_aspect = 0.3;                  ///< height over width; the largest is its inverse
};

/// The masks of a batch.
struct BatchMasks {
  std::vector<std::uint8_t> masks;  ///< (pictures, patches), 1 hides
  index_t masked = 0;               ///< ones in them
  index_t upper_bound = 0;          ///< of the ones, known before they are drawn
};

/// What is masked: patches of a picture, which is one deep, or of a volume.
struct MaskGrid {
  index_t depth = 1, rows = 0, columns = 0;
  index_t cells() const { return depth * rows * columns; }
};

namespace detail {

/// A whole number in [low, high], both ends included, from one uniform.
template <class Uniform> index_t whole_between(Uniform& uniform, index_t low, index_t high) {
  return low + static_cast<index_t>(std::floor(uniform() * static_cast<double>(high - low + 1)));
}

/// Tries ten times to add one block of new cells, at most `allowed` of them. @return how many came
template <class Uniform>
index_t add_block(std::vector<std::uint8_t>& mask, const MaskGrid& grid, index_t allowed,
                  const MaskingOptions& o, Uniform& uniform) {
  const double low = std::log(o.min_aspect), high = std::log(1 / o.min_aspect);
  const auto aspect_drawn = [&] { return std::exp(low + (high - low) * uniform()); };
  for (int attempt = 0; attempt < 10; ++attempt) {
    const auto least = static_cast<double>(o.min_patches);
    double area = least + (static_cast<double>(allowed) - least) * uniform();
    const double aspect = aspect_drawn();
    index_t deep = 1;
    if (grid.depth > 1) {  // as deep as a box of the grid's own proportions, times an aspect
      const double side = std::cbrt(area / static_cast<double>(grid.cells()));
      deep = static_cast<index_t>(
          std::nearbyint(static_cast<double>(grid.depth) * side * aspect_drawn()));
      if (deep < 1 || deep > grid.depth) continue;
      area /= static_cast<double>(deep);
    }
    // nearbyint: halves to even, as the published code rounds
    const auto h = static_cast<index_t>(std::nearbyint(std::sqrt(area * aspect))),
               w = static_cast<index_t>(std::nearbyint(std::sqrt(area / aspect)));
    if (h >= grid.rows || w >= grid.columns) continue;
    const index_t top = whole_between(uniform, 0, grid.rows - h),
                  left = whole_between(uniform, 0, grid.columns - w),
                  front = grid.depth > 1 ? whole_between(uniform, 0, grid.depth - deep) : 0;
    index_t fresh = 0;
    const auto each_cell = [&](auto fn) {
      for (index_t z = front; z < front + deep; ++z)
        for (index_t y = top; y < top + h; ++y)
          for (index_t x = left; x < left + w; ++x)
            fn(mask[static_cast<std::size_t>((z * grid.rows + y) * grid.columns + x)]);
    };
    each_cell([&](std::uint8_t& cell) { fresh += cell == 0; });
    if (fresh == 0 || fresh > allowed) continue;
    each_cell([](std::uint8_t& cell) { cell = 1; });
    return fresh;
  }
  return 0;
}

}  // namespace detail

/// Masks `target` cells of a grid with blocks, or fewer when no block fits any more. Those of a
/// volume are boxes: less high and wide than it, as deep as it at most (scans can be a few patches
/// deep), and with half of its rows over its whole depth in one box at most.
/// @param uniform called as uniform() for the next number in [0, 1): RandomStream, or a tape
/// @return depth · rows · columns cells, 1 hides
template <class Uniform>
std::vector<std::uint8_t> block_mask(const MaskGrid& grid, index_t target,
                                     const MaskingOptions& options, Uniform&& uniform) {
  expect(grid.depth > 0 && grid.rows > 0 && grid.columns > 0, "block_mask",
         "a grid of {} x {} x {}", grid.depth, grid.rows, grid.columns);
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(grid.cells()));
  // of one block; see reference document RAD-DINO §5
  const index_t cap = grid.depth * (grid.rows / 2 * grid.rows);
  for (index_t done = 0; done < target;) {
    const index_t added = detail::add_block(mask, grid, std::min(target - done, cap), options,
                                            uniform);
    if (added == 0) break;
    done += added;
  }
  return mask;
}

/// Masks for a batch: ⌊pictures · probability⌋ of them get one, the i-th with a ratio out of the
/// i-th of equal slices of the range; then they are shuffled.
/// @param pictures or volumes, each of one grid
template <class Uniform>
BatchMasks batch_masks(index_t pictures, const MaskGrid& grid, const MaskingOptions& options,
                       Uniform&& uniform) {
  const auto count = static_cast<index_t>(static_cast<double>(pictures) * options.probability);
  const auto patches = static_cast<double>(grid.cells());
  // in float, as the published code's linspace
  const auto edge = [&](index_t i) {
    const auto low = static_cast<float>(options.min_ratio),
               high = static_cast<float>(options.max_ratio),
               step = (high - low) / static_cast<float>(std::max<index_t>(count, 1));
    // linspace counts from the nearer end
    return static_cast<double>(i < (count + 1) / 2 ? low + step * static_cast<float>(i)
                                                   : high - step * static_cast<float>(count - i));
  };
  BatchMasks batch;
  std::vector<std::vector<std::uint8_t>> list;
  for (index_t i = 0; i < pictures; ++i) {
    index_t target = 0;
    if (i < count) {
      const double low = edge(i), high = edge(i + 1);
      target = static_cast<index_t>(patches * (low + (high - low) * uniform()));
      batch.upper_bound += static_cast<index_t>(patches * high);
    }
    list.push_back(block_mask(grid, target, options, uniform));
  }
  for (std::size_t i = list.size(); i > 1; --i)
    std::swap(list[i - 1],
              list[static_cast<std::size_t>(std::floor(uniform() * static_cast<double>(i)))]);
  for (const auto& mask : list) {
    batch.masks.insert(batch.masks.end(), mask.begin(), mask.end());
    batch.masked += std::accumulate(mask.begin(), mask.end(), index_t{0});
  }
  return batch;
}

HLIP_END
