// How far the surfaces of two masks of a volume lie apart. Where Dice counts voxels, this says how
// wrong an outline is. Source: Felzenszwalb and Huttenlocher 2012, "Distance Transforms of Sampled
// Functions" (exact, linear in the voxels); reference document T3D §7.
#pragma once

#include <hlip/eval/bootstrap.hpp>

#include <array>

HLIP_BEGIN

/// Distances between two surfaces, of both directions together, in the unit of the spacing.
struct SurfaceDistance {
  double mean = 0;         ///< average symmetric surface distance
  double hausdorff = 0;    ///< the largest
  double hausdorff95 = 0;  ///< 95 % of them are smaller; linear between neighbours
};

namespace detail {

using VoxelCounts = std::array<std::int64_t, 3>;  // (D, H, W)

/// A part of a volume.
struct MaskBox {
  VoxelCounts from = {}, size = {};
  std::size_t voxels() const { return static_cast<std::size_t>(size[0] * size[1] * size[2]); }
};

/// The smallest box around everything that is in a mask or the other; empty if nothing is.
HLIP_LAZY MaskBox box_around(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
                             const VoxelCounts& size) {
  VoxelCounts low = size, high = {};  // high: one behind the last
  std::size_t i = 0;
  for (std::int64_t z = 0; z < size[0]; ++z)
    for (std::int64_t y = 0; y < size[1]; ++y)
      for (std::int64_t x = 0; x < size[2]; ++x, ++i) {
        if (a[i] == 0 && b[i] == 0) continue;
        const VoxelCounts at = {z, y, x};
        for (std::size_t d = 0; d < 3; ++d)
          low[d] = std::min(low[d], at[d]), high[d] = std::max(high[d], at[d] + 1);
      }
  if (high[0] == 0) return {};
  return {low, {high[0] - low[0], high[1] - low[1], high[2] - low[2]}};
}

/// 1 for voxels of the mask beside one that is not of it, by a face; the outside is not of it.
/// @return of the box alone, which has the whole mask in it
HLIP_LAZY std::vector<std::uint8_t> mask_border(std::span<const std::uint8_t> mask,
                                                const VoxelCounts& size, const MaskBox& box) {
  std::vector<std::uint8_t> border(box.voxels());
  const VoxelCounts step = {size[1] * size[2], size[2], 1};
  std::size_t i = 0;
  for (std::int64_t z = 0; z < box.size[0]; ++z)
    for (std::int64_t y = 0; y < box.size[1]; ++y)
      for (std::int64_t x = 0; x < box.size[2]; ++x, ++i) {
        const VoxelCounts at = {box.from[0] + z, box.from[1] + y, box.from[2] + x};
        const std::int64_t here = at[0] * step[0] + at[1] * step[1] + at[2];
        if (mask[static_cast<std::size_t>(here)] == 0) continue;
        bool inner = true;
        for (std::size_t d = 0; d < 3 && inner; ++d)
          inner = at[d] > 0 && at[d] + 1 < size[d] &&
                  mask[static_cast<std::size_t>(here - step[d])] != 0 &&
                  mask[static_cast<std::size_t>(here + step[d])] != 0;
        border[i] = inner ? 0 : 1;
      }
  return border;
}

/// One line of the transform: f(x) becomes min over q of f(q) + (h · (x − q))², the lower envelope
/// of parabolas.
class ParabolaEnvelope {
 public:
  ParabolaEnvelope(std::size_t length, double h)
      : h2_(h * h), values_(length), at_(length), from_(length + 1) {}

  /// @param first, step of the line's values; infinity is no parabola
  HLIP_LAZY void operator()(double* first, std::size_t step) {
    const std::size_t n = values_.size();
    std::size_t count = 0;  // parabolas of the envelope: at_, each from from_ to the next one's
    for (std::size_t q = 0; q < n; ++q) {
      values_[q] = first[q * step];
      if (std::isinf(values_[q])) continue;
      double start = -std::numeric_limits<double>::infinity();
      while (count > 0) {
        start = crossing(at_[count - 1], q);
        if (start > from_[count - 1]) break;
        --count;
        start = -std::numeric_limits<double>::infinity();
      }
      at_[count] = q, from_[count] = start;
      ++count;
    }
    for (std::size_t x = 0, k = 0; x < n && count > 0; ++x) {
      while (k + 1 < count && from_[k + 1] < static_cast<double>(x)) ++k;
      const double away = static_cast<double>(x) - static_cast<double>(at_[k]);
      first[x * step] = values_[at_[k]] + h2_ * away * away;
    }
  }

 private:
  // where the parabola of q comes below that of p < q
  double crossing(std::size_t p, std::size_t q) const {
    const auto a = static_cast<double>(p), b = static_cast<double>(q);
    return (values_[q] - values_[p] + h2_ * (b * b - a * a)) / (2 * h2_ * (b - a));
  }

  double h2_;
  std::vector<double> values_;
  std::vector<std::size_t> at_;
  std::vector<double> from_;
};

/// Squared distance of every voxel to the nearest one that is marked; infinity if none is.
HLIP_LAZY std::vector<double> squared_distances(std::span<const std::uint8_t> marked,
                                                const VoxelCounts& size,
                                                const std::array<double, 3>& spacing) {
  std::vector<double> out(marked.size());
  for (std::size_t i = 0; i < marked.size(); ++i)
    out[i] = marked[i] != 0 ? 0 : std::numeric_limits<double>::infinity();
  std::size_t step = 1;
  for (std::size_t d = 3; d-- > 0;) {
    const auto n = static_cast<std::size_t>(size[d]);
    ParabolaEnvelope line(n, spacing[d]);
    for (std::size_t block = 0; block < out.size(); block += n * step)
      for (std::size_t i = block; i < block + step; ++i) line(out.data() + i, step);
    step *= n;
  }
  return out;
}

}  // namespace detail

/// Distances from every border voxel of a mask to the nearest border voxel of the other, both ways.
/// A border voxel has a neighbour by a face outside of its mask; what lies outside of the volume
/// counts as outside of the mask. Time and memory grow with the voxels of the box around both
/// masks.
///
/// Two empty masks agree: 0. One alone that is empty is infinitely far: not NaN, which would leave
/// a missed organ out of a mean.
/// @param predicted, target one element for each voxel, row-major, 0 outside of the mask
/// @param size voxels (D, H, W)  @param spacing of voxels along these, in mm for distances in mm
/// @throws hlip::error for lengths that differ from the size, and a spacing that is not positive
HLIP_LAZY SurfaceDistance surface_distance(std::span<const std::uint8_t> predicted,
                                           std::span<const std::uint8_t> target,
                                           const std::array<std::int64_t, 3>& size,
                                           const std::array<double, 3>& spacing = {1, 1, 1}) {
  for (std::size_t d = 0; d < 3; ++d) {
    expect(size[d] >= 0 && size[d] <= std::int64_t{1} << 20, "surface_distance",
           "size is {} x {} x {}, expected 0 to 2^20 voxels", size[0], size[1], size[2]);
    expect(spacing[d] > 0 && std::isfinite(spacing[d]), "surface_distance",
           "spacing is {} x {} x {}, expected positive numbers", spacing[0], spacing[1],
           spacing[2]);
  }
  const auto voxels = static_cast<std::size_t>(size[0] * size[1] * size[2]);
  expect(predicted.size() == voxels && target.size() == voxels, "surface_distance",
         "predicted has {} voxels, target {}, expected {} for {} x {} x {}", predicted.size(),
         target.size(), voxels, size[0], size[1], size[2]);

  const detail::MaskBox box = detail::box_around(predicted, target, size);
  const std::vector<std::uint8_t> borders[] = {detail::mask_border(predicted, size, box),
                                               detail::mask_border(target, size, box)};
  std::vector<double> distances;
  for (std::size_t from = 0; from < 2; ++from) {
    const auto squares = detail::squared_distances(borders[1 - from], box.size, spacing);
    for (std::size_t i = 0; i < squares.size(); ++i)
      if (borders[from][i] != 0) distances.push_back(std::sqrt(squares[i]));
  }
  if (distances.empty()) return {};
  std::sort(distances.begin(), distances.end());
  constexpr double far = std::numeric_limits<double>::infinity();
  if (std::isinf(distances.back())) return {far, far, far};
  return {std::accumulate(distances.begin(), distances.end(), 0.0) /
              static_cast<double>(distances.size()),
          distances.back(), quantile_of_sorted(distances, 0.95)};
}

HLIP_END
