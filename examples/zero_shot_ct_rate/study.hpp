// The scan that zero_shot_ct_rate is asked about, as a volume in HU: a file as stored, a DICOM
// series, or one that preprocess_ct_rate has brought there.
#pragma once

#include "zero_shot_ct_rate/options.hpp"

#include <hlip/datasets/ct_rate/cache.hpp>
#include <hlip/imaging/ct_grid.hpp>
#include <hlip/imaging/ct_scan.hpp>
#include <hlip/imaging/dicom/recognise.hpp>
#include <hlip/imaging/plausible_ct.hpp>

#ifdef HLIP_WITH_DICOM
#include <hlip/imaging/dicom.hpp>
#endif
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <variant>

namespace zero_shot_ct_rate {

inline void print_volume(const Options& o, const Shape& shape,
                         const std::array<double, 3>& spacing) {
  fmt::print("{}: {} voxels of {:.3g} × {:.3g} × {:.3g} mm (D, H, W)", visible_text(o.volume),
             to_string(shape), spacing[0], spacing[1], spacing[2]);
}

/// Says what is odd about a scan: what the reader assumed, and what makes it implausible as a chest
/// CT in HU.
inline void warn(const Options& o, const HuRange& range, const Shape& shape, const Volume& frame) {
  for (const auto& w : frame.warnings)
    if (w != range.warning) fmt::print(stderr, "{}: warning: {}\n", visible_text(o.volume), w);
  for (const auto& odd : ct_oddities(range, shape, frame))
    fmt::print(stderr, "{}: warning: {}{}\n", visible_text(o.volume), odd.what,
               odd.fault ? "; the probabilities mean nothing if this is so" : "");
}

/// The voxel size that was asked for, instead of the file's.
inline void set_asked_spacing(const Options& o, Volume& frame) {
  if (!o.spacing.empty()) set_spacing(frame, {o.spacing[0], o.spacing[1], o.spacing[2]});
}

// Air is −1000 HU and every chest CT has some, so a file without negative values holds HU + 1024.
inline constexpr const char* taken_as_shifted =
    "no value is below 0, so the file is taken to hold HU + 1024 (hint: --rescale SLOPE INTERCEPT "
    "or --already-hu decide otherwise)";

/// The volume, ready to be turned into HU. What the options say counts, otherwise the values are
/// looked at; what was done is printed.
inline CtScan read_ct(const Options& o) {
  const StoredVolume stored(o.volume);
  CtScan scan(stored, o.slope(), o.intercept());
  HuRange range = survey(scan);
  if (o.rescaled()) {
    fmt::print("intensity: stored values × {} + {} gives HU, as asked\n", o.slope(), o.intercept());
  } else if (!o.already_hu && range.min >= 0) {
    fmt::print("intensity: {}\n", taken_as_shifted);
    scan = CtScan(stored, 1, -1024);
    range = survey(scan);
  }
  set_asked_spacing(o, scan.frame);
  print_volume(o, scan.shape(), scan.frame.spacing);
  fmt::print(", {} to {} HU\n", range.min, range.max);
  warn(o, range, scan.shape(), scan.frame);
  return scan;
}

/// A DICOM series in HU, by its own rescaling; what it does not say is settled as for other files.
inline Volume read_dicom_ct([[maybe_unused]] const Options& o) {
#ifdef HLIP_WITH_DICOM
  Volume volume = read_dicom(o.volume, {.series = o.series, .modality = "CT"});
  if (volume.unit != Unit::hounsfield || o.rescaled()) {
    const bool guess = !o.rescaled() && !o.already_hu && hu_range(volume.voxels).min >= 0;
    if (guess) fmt::print("intensity: {}\n", taken_as_shifted);
    volume = to_hounsfield(volume, o.slope(), guess ? -1024 : o.intercept());
  }
  const HuRange range = hu_range(volume.voxels);
  set_asked_spacing(o, volume);
  print_volume(o, volume.voxels.shape(), volume.spacing);
  fmt::print(", {} to {} HU\n", range.min, range.max);
  warn(o, range, volume.voxels.shape(), volume);
  return volume;
#else
  fail_without_dicom(o.volume);
#endif
}

/// A scan as stored, a DICOM series, or a volume that preprocess_ct_rate brought to HU and the
/// spacing of a model before.
using Study = std::variant<CtScan, Volume, CtCacheFile>;

inline Study read_study(const Options& o) {
  if (!o.cached()) return is_dicom(o.volume) ? Study(read_dicom_ct(o)) : Study(read_ct(o));
  Study study(std::in_place_type<CtCacheFile>, o.volume);
  const auto& cached = std::get<CtCacheFile>(study);
  print_volume(o, cached.shape(), cached.frame().spacing);
  fmt::print(", cached from {}\n", cached.frame().source);
  warn(o, survey(cached), cached.shape(), cached.frame());
  return study;
}

inline const Volume& frame_of(const CtScan& scan) { return scan.frame; }
inline const Volume& frame_of(const Volume& series) { return series; }
inline const Volume& frame_of(const CtCacheFile& cached) { return cached.frame(); }

inline CtInputGrid grid_of(const CtScan& scan, const CtPreset& preset) {
  return ct_input_grid(scan.shape(), scan.frame.spacing, preset);
}
inline CtInputGrid grid_of(const Volume& series, const CtPreset& preset) {
  return ct_input_grid(series.voxels.shape(), series.spacing, preset);
}
inline CtInputGrid grid_of(const CtCacheFile& cached, const CtPreset& preset) {
  const Shape s = cached.shape();
  if (!cached.resampled_for(preset)) return ct_input_grid(s, cached.frame().spacing, preset);
  return ct_input_grid(s, std::array<index_t, 3>{s[0], s[1], s[2]}, preset);
}

}  // namespace zero_shot_ct_rate
