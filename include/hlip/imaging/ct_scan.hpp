// A CT from its file to HU at one spacing, or to the network's input, in one pass: HU exist a row
// at a time. Needs zlib.
#pragma once

#include <hlip/imaging/hu_range.hpp>
#include <hlip/imaging/nifti.hpp>
#include <hlip/imaging/preprocess_ct.hpp>

#include <array>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// An unzipped CT whose voxels are still as stored; `slope` and `intercept` make HU of them.
struct CtScan {
  StoredVolume stored;
  double slope = 1, intercept = 0;
  Volume frame;  ///< geometry, source and warnings; in HU, no voxels

  CtScan(StoredVolume s, double m, double b)
      : stored(std::move(s)), slope(m), intercept(b), frame(stored.frame()) {
    detail::check_rescale(frame, slope, intercept);
    frame.unit = Unit::hounsfield;
  }
  Shape shape() const { return stored.header().shape(); }
  /// `n` voxels from number `first` on, in HU; inside of stored.use. @return how many were not
  /// finite and replaced
  index_t hounsfield(index_t first, index_t n, float* out) const {
    stored.values(first, n, out);
    return detail::make_hounsfield(out, n, slope, intercept);
  }
};

/// Goes through all voxels: warns of those that are not finite, and of a range that cannot be HU.
/// @return the range
HLIP_LAZY HuRange survey(CtScan& scan) {
  const index_t total = scan.shape().numel(), run = 1 << 18, runs = (total + run - 1) / run;
  std::vector<HuCounter> counters(static_cast<std::size_t>(runs));
  const index_t odd = scan.stored.use([&] {
    index_t found = 0;
#pragma omp parallel for schedule(static) reduction(+ : found) if (runs > 1)
    for (index_t r = 0; r < runs; ++r) {
      std::array<float, 2048> hu;
      constexpr auto step = static_cast<index_t>(hu.size());
      for (index_t at = r * run; at < std::min(total, (r + 1) * run); at += step) {
        const index_t n = std::min(step, total - at);
        found += scan.hounsfield(at, n, hu.data());
        counters[static_cast<std::size_t>(r)].add(hu.data(), n);
      }
    }
    return found;
  });
  HuCounter all;
  for (const auto& c : counters) all.add(c);
  detail::warn_of_odd_voxels(scan.frame, odd);
  auto range = all.range();
  if (!range.warning.empty()) scan.frame.warnings.push_back(range.warning);
  return range;
}

/// The whole scan in HU, at its own spacing.
HLIP_LAZY Volume to_volume(const CtScan& scan) {
  Volume out = scan.frame;
  out.voxels = Tensor<float, Cpu>::empty(scan.shape());
  float* to = out.voxels.data();
  const index_t total = out.voxels.numel(), run = 1 << 16, runs = (total + run - 1) / run;
  scan.stored.use([&] {
#pragma omp parallel for schedule(static) if (runs > 1)
    for (index_t r = 0; r < runs; ++r)
      scan.hounsfield(r * run, std::min(run, total - r * run), to + r * run);
  });
  return out;
}

/// As resample_to_spacing(to_volume(scan), target), without the volume in between.
HLIP_LAZY Volume resample_to_spacing(const CtScan& scan, const std::array<double, 3>& target) {
  Volume out = scan.frame;
  const auto size = resampled_size(scan.shape(), out.spacing, target);
  detail::resample_geometry(out, scan.shape(), size);
  out.voxels = scan.stored.use(
      [&] { return detail::resample_rows(scan.shape(), size, detail::rows_of(scan)); });
  return out;
}

/// As preprocess_ct(to_volume(scan), preset), without the volumes in between.
HLIP_LAZY Tensor<float, Cpu> preprocess_ct(const CtScan& scan, const CtPreset& preset) {
  return scan.stored.use([&] {
    return detail::rows_to_input(scan.shape(), scan.frame.spacing, preset, detail::rows_of(scan));
  });
}

HLIP_END
