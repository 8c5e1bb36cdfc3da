// Resampled CT volumes on disk: one safetensors file per reconstruction, with affine, spacing, unit and source, found again by a hash of
// the choices that made it. Needs nlohmann_json.
#pragma once

#include <hlip/data/load_ct_rate.hpp>
#include <hlip/io/safetensors.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// How HU are kept: float16 (exact to 0.5 HU or better below 1024), or int16 (whole HU).
enum class CacheType { float16, int16 };

/// The choices that decide what is in a cache, as text. Window and size are not among them: they are applied when a cached volume is used.
inline std::string ct_cache_settings(const CtPreset& preset, CacheType type) {
  return fmt::format("ct-cache=1 spacing={},{},{} already_hu={} type={}", preset.spacing[0], preset.spacing[1], preset.spacing[2], preset.already_hu ? "yes" : "no",
                     type == CacheType::float16 ? "float16" : "int16");
}

/// 16 hexadecimal digits that name these settings (64-bit FNV-1a).
inline std::string ct_cache_key(std::string_view settings) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : settings) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return fmt::format("{:016x}", hash);
}

/// Where a cache keeps a reconstruction: <root>/<key of the settings>/<split>/<patient>/<study>/<volume>.safetensors.
inline std::string ct_cache_path(const std::string& root, const CtPreset& preset, CacheType type, const std::string& split, const CtRateVolume& recon) {
  const auto name = parse_ct_rate_name(recon.name);
  if (!name) fail("ct_cache", "{} is not the name of a volume", quote_text(recon.name));
  const std::string volume = ct_rate_volume_path(*name);
  return fmt::format("{}/{}/{}/{}.safetensors", root, ct_cache_key(ct_cache_settings(preset, type)), split, volume.substr(0, volume.size() - std::string_view(".nii.gz").size()));
}

/// Changes when a volume or its table row does: a cached file with another stamp is out of date.
inline std::string ct_cache_stamp_of(const CtRateVolume& v) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(v.path, failed);
  return fmt::format("bytes={} slope={} intercept={} spacing={},{},{}", failed ? 0 : size, v.slope, v.intercept, v.spacing[0], v.spacing[1], v.spacing[2]);
}

/// Writes a volume in HU, wholly or not at all.
/// @param settings of `ct_cache_settings`; @param stamp anything that tells an outdated file: it is given back by `ct_cache_stamp`
inline void write_ct_cache(const std::string& path, const Volume& volume, CacheType type, const std::string& settings, const std::string& stamp) {
  if (volume.unit != Unit::hounsfield) fail("write_ct_cache", "{}: values are {}, expected HU", volume.source, unit_name(volume.unit));
  const auto hu = volume.voxels.contiguous();
  SafetensorsWriter file;
  if (type == CacheType::float16) {
    auto kept = Tensor<float16, Cpu>::empty(hu.shape());
    for (index_t i = 0; i < hu.numel(); ++i) kept.data()[i] = float16(std::clamp(hu.data()[i], -65504.f, 65504.f));
    file.add("hu", kept);
  } else {
    auto kept = Tensor<std::int16_t, Cpu>::empty(hu.shape());
    for (index_t i = 0; i < hu.numel(); ++i) kept.data()[i] = static_cast<std::int16_t>(std::nearbyint(std::clamp(hu.data()[i], -32768.f, 32767.f)));
    file.add("hu", kept);
  }
  std::vector<double> affine;
  for (const auto& row : volume.affine) affine.insert(affine.end(), row.begin(), row.end());
  file.add("affine", std::span<const double>(affine), {4, 4});
  file.add("spacing", std::span<const double>(volume.spacing), {3});
  file.metadata("unit", std::string(unit_name(volume.unit)));
  file.metadata("source", volume.source);
  file.metadata("orientation_known", volume.orientation_known ? "yes" : "no");
  file.metadata("settings", settings);
  file.metadata("stamp", stamp);
  std::string warnings;
  for (const auto& w : volume.warnings) warnings += w + "\n";
  if (!warnings.empty()) file.metadata("warnings", warnings);
  file.write(path);
}

/// The stamp a cached volume was written with, or an empty string when there is no sound file.
inline std::string ct_cache_stamp(const std::string& path) {
  if (!is_file(path)) return "";
  try {
    return SafetensorsFile(path).metadata("stamp");
  } catch (const error&) {
    return "";
  }
}

/// Reads a volume of the cache: HU at the cache's spacing. @throws hlip::error when the file is not one of a cache
inline Volume read_ct_cache(const std::string& path) {
  const SafetensorsFile file(path);
  Volume volume;
  volume.voxels = file.tensor<float, Cpu>("hu");
  expect_shape("read_ct_cache", path, volume.voxels.shape(), {{"D"}, {"H"}, {"W"}});
  const auto affine = file.values<double>("affine"), spacing = file.values<double>("spacing");
  if (affine.size() != 16 || spacing.size() != 3 || file.metadata("unit") != unit_name(Unit::hounsfield)) fail_file(path, "", "is not a cached CT volume");
  for (std::size_t r = 0; r < 4; ++r)
    for (std::size_t c = 0; c < 4; ++c) volume.affine[r][c] = affine[4 * r + c];
  std::copy(spacing.begin(), spacing.end(), volume.spacing.begin());
  volume.unit = Unit::hounsfield;
  volume.source = file.metadata("source");
  volume.orientation_known = file.metadata("orientation_known") == "yes";
  return volume;
}

/// The sound and current cached file of a reconstruction, of either type, or an empty string.
inline std::string find_in_ct_cache(const std::string& root, const CtPreset& preset, const std::string& split, const CtRateVolume& recon) {
  for (const CacheType type : {CacheType::float16, CacheType::int16}) {
    const std::string path = ct_cache_path(root, preset, type, split, recon);
    if (is_file(path) && ct_cache_stamp(path) == ct_cache_stamp_of(recon)) return path;
  }
  return "";
}

HLIP_END
