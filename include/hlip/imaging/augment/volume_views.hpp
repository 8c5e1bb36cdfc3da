// The views of a study of volumes that self-distillation learns from: two large crops of each of
// its scans and several small ones, changed at random. What multi_crop.hpp is for pictures.
// Source: Oquab et al., "DINOv2", 2023, for pictures; that it is done so in three dimensions is a
// choice of this library.
#pragma once

#include <hlip/imaging/augment/multi_crop.hpp>
#include <hlip/imaging/augment/voxel_box.hpp>
#include <hlip/ops/interpolate.hpp>
#include <hlip/ops/shape.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

HLIP_BEGIN

/// Everything that is drawn at random. Nothing is flipped: reports say left and right.
struct VolumeViewOptions {
  std::array<index_t, 3> global_size = {112, 336, 336};  ///< (D, H, W) voxels of a large view
  std::array<index_t, 3> local_size = {56, 168, 168};
  index_t local_count = 8;  ///< global ones are two
  index_t local_scans = 1;  ///< scans in a small view; a large one has all
  std::array<double, 2> global_scale = {0.5, 1}, local_scale = {0.2, 0.5};  ///< of the voxels
  double aspect = 4.0 / 3;  ///< how far a crop's sides may be from the volume's own proportions
  double jitter = 0.8;      ///< probability that values are changed
  /// Strengths of that: x becomes c·x + b, c from 1 ± contrast, b from ± brightness. A network's
  /// input has a deviation of about 1.
  double brightness = 0.2, contrast = 0.2;
};

/// Throws unless the options can be carried out.
HLIP_LAZY void check_volume_views(const VolumeViewOptions& o) {
  constexpr const char* where = "volume_views";
  for (const auto& size : {o.global_size, o.local_size})
    for (const index_t n : size)
      expect(n >= 1 && n <= 4096, where, "a view of {} voxels, expected 1 to 4096", n);
  expect(o.local_count >= 0 && o.local_count <= 1024, where, "{} local views, expected 0 to 1024",
         o.local_count);
  expect(o.local_scans >= 1, where, "{} scans in a local view, expected at least 1", o.local_scans);
  for (const auto& [low, high] : {o.global_scale, o.local_scale})
    expect(low > 0 && low <= high && high <= 1, where,
           "a scale from {} to {}, expected it within 0 to 1 (and above 0)", low, high);
  expect(o.aspect >= 1 && o.aspect <= 100, where, "an aspect of {}, expected 1 to 100", o.aspect);
  for (const double p : {o.jitter, o.brightness, o.contrast})
    expect(p >= 0 && p <= 1, where, "a probability or strength of {}, expected 0 to 1", p);
}

/// A box with a share of a volume's voxels from `scale`, its sides off the volume's proportions by
/// up to `aspect`, anywhere inside. What would stick out is cut off.
/// @param uniform called as uniform() for the next number in [0, 1), seven times
template <class Uniform>
VoxelBox sample_voxel_box(const Shape& volume, const std::array<double, 2>& scale, double aspect,
                          Uniform&& uniform) {
  const double side = std::cbrt(scale[0] + (scale[1] - scale[0]) * uniform());
  std::array<double, 3> stretch;
  double mean = 0;
  for (double& s : stretch) s = std::log(aspect) * (uniform() - 0.5), mean += s / 3;
  VoxelBox box;
  for (std::size_t d = 0; d < 3; ++d) {
    const index_t n = volume[static_cast<int>(d)];
    const double wanted = static_cast<double>(n) * side * std::exp(stretch[d] - mean);
    box.size[d] = std::clamp<index_t>(static_cast<index_t>(std::nearbyint(wanted)), 1, n);
  }
  for (std::size_t d = 0; d < 3; ++d) {
    const index_t room = volume[static_cast<int>(d)] - box.size[d];
    box.from[d] = std::min(room, static_cast<index_t>(uniform() * static_cast<double>(room + 1)));
  }
  return box;
}

namespace detail {

/// One view of a scan: the box, trilinear to `size`, then contrast and brightness. @return (D, H,
/// W)
HLIP_LAZY Tensor<float, Cpu> draw_volume_view(const Tensor<float, Cpu>& scan,
                                              const std::array<index_t, 3>& size,
                                              const std::array<double, 2>& scale,
                                              const VolumeViewOptions& o, RandomStream& random) {
  const VoxelBox box = sample_voxel_box(scan.shape(), scale, o.aspect,
                                        [&] { return random.uniform(); });
  Tensor<float, Cpu> part = scan;
  for (int d = 0; d < 3; ++d) {
    const auto at = static_cast<std::size_t>(d);
    part = part.slice(d, box.from[at], box.from[at] + box.size[at]);
  }
  Tensor<float, Cpu> view = interpolate(part.contiguous(), std::span<const index_t>(size),
                                        Interpolation::linear);
  const bool changed = random.chance(o.jitter);
  const auto c = static_cast<float>(random.uniform(1 - o.contrast, 1 + o.contrast)),
             b = static_cast<float>(random.uniform(-o.brightness, o.brightness));
  if (changed)
    for (index_t i = 0; i < view.numel(); ++i) view.data()[i] = c * view.data()[i] + b;
  return view;
}

}  // namespace detail

/// The views of one study: the two large ones (2, N, 1, D, H, W), the small ones (local_count,
/// local_scans, 1, d, h, w). Each scan has a box of its own in each view, because scans of a study
/// need not lie alike. A pure function of its arguments, on one thread.
/// @param scans N prepared volumes (D, H, W)  @param key names the draw: seed, epoch and number of
/// the study; each view has a stream of its own
/// @throws hlip::error for options that cannot be carried out, and for what are no volumes
HLIP_LAZY MultiCropViews volume_views(const std::vector<Tensor<float, Cpu>>& scans,
                                      const VolumeViewOptions& o, RandomKey key) {
  check_volume_views(o);
  expect(!scans.empty(), "volume_views", "a study without scans");
  for (const auto& scan : scans)
    expect_shape("volume_views", "scan", scan.shape(), {{"D"}, {"H"}, {"W"}});
  const auto views = [&](index_t first, index_t count, std::size_t of_scans,
                         const std::array<index_t, 3>& size, const std::array<double, 2>& scale) {
    std::vector<Tensor<float, Cpu>> drawn;
    for (index_t v = first; v < first + count; ++v) {
      RandomStream random(key, static_cast<std::uint64_t>(v) << 32);
      std::vector<std::size_t> order;
      for (std::size_t s = 0; s < scans.size(); ++s) order.push_back(s);
      if (of_scans < order.size()) random.shuffle(order);
      for (std::size_t s = 0; s < of_scans; ++s)
        drawn.push_back(
            detail::draw_volume_view(scans[order[s % order.size()]], size, scale, o, random));
    }
    return stack(drawn, 0).reshape(
        {count, static_cast<index_t>(of_scans), 1, size[0], size[1], size[2]});
  };
  MultiCropViews out;
  out.global = views(0, 2, scans.size(), o.global_size, o.global_scale);
  if (o.local_count > 0)
    out.local = views(2, o.local_count, static_cast<std::size_t>(o.local_scans), o.local_size,
                      o.local_scale);
  return out;
}

HLIP_END
