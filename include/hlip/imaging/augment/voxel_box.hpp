// A box of voxels: where a crop or a corruption of a volume lies.
#pragma once

#include <hlip/tensor/shape.hpp>

#include <array>

HLIP_BEGIN

/// Voxels of a volume, (D, H, W).
struct VoxelBox {
  std::array<index_t, 3> from = {}, size = {};
  index_t voxels() const { return size[0] * size[1] * size[2]; }
};

/// Calls fn(first, n) for every row of a box: its n voxels lie side by side from number `first` of
/// the volume, which is contiguous. @param box inside of the volume (D, H, W)
template <class Fn> void each_row(const Shape& volume, const VoxelBox& box, Fn&& fn) {
  for (index_t z = box.from[0]; z < box.from[0] + box.size[0]; ++z)
    for (index_t y = box.from[1]; y < box.from[1] + box.size[1]; ++y)
      fn((z * volume[1] + y) * volume[2] + box.from[2], box.size[2]);
}

HLIP_END
