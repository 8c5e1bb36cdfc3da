// Resampled CT volumes on disk: one safetensors file per reconstruction, with affine, spacing, unit
// and source, found again by a hash of the choices that made it. Needs libdeflate and
// nlohmann_json.
#pragma once

#include <hlip/datasets/ct_rate/load_volume.hpp>
#include <hlip/io/checksum.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/source_stamp.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// How HU are kept: float16 (exact to 0.5 HU or better below 1024), or int16 (whole HU).
enum class CacheType { float16, int16 };

namespace detail {
inline constexpr std::string_view ct_cache_format =
    "ct-cache=2 ";  ///< another number when the same choices give other files
/// How the settings of a cache at the preset's spacing begin.
inline std::string ct_cache_spacing(const CtPreset& preset) {
  return fmt::format("{}spacing={},{},{} ", ct_cache_format, preset.spacing[0], preset.spacing[1],
                     preset.spacing[2]);
}
}  // namespace detail

/// The choices that decide what is in a cache, as text. Window and size are not among them: they
/// are applied when a cached volume is used.
HLIP_LAZY std::string ct_cache_settings(const CtPreset& preset, CacheType type) {
  return fmt::format("{}already_hu={} type={}", detail::ct_cache_spacing(preset),
                     preset.already_hu ? "yes" : "no",
                     type == CacheType::float16 ? "float16" : "int16");
}

/// 16 hexadecimal digits that name these settings (64-bit FNV-1a).
HLIP_LAZY std::string ct_cache_key(std::string_view settings) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : settings) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return fmt::format("{:016x}", hash);
}

/// Where a cache keeps a reconstruction: <root>/<key of the
/// settings>/<split>/<patient>/<study>/<volume>.safetensors.
HLIP_LAZY std::string ct_cache_path(const std::string& root, const CtPreset& preset, CacheType type,
                                    const std::string& split, const CtRateVolume& recon) {
  const auto name = parse_ct_rate_name(recon.name);
  if (!name) fail("ct_cache", "{} is not the name of a volume", quote_text(recon.name));
  const std::string volume = ct_rate_volume_path(*name);
  return fmt::format("{}/{}/{}/{}.safetensors", root, ct_cache_key(ct_cache_settings(preset, type)),
                     split, volume.substr(0, volume.size() - std::string_view(".nii.gz").size()));
}

/// What tells whether a cached file is out of date: the table row and the file itself, by its size
/// and time of change, and by its contents where only the time differs, as it does when a tree is
/// copied.
struct CtCacheStamp {
  std::string row, file;

  /// Of a reconstruction as it is now. @param v its path and row of the table
  static CtCacheStamp of(const CtRateVolume& v) {
    return {fmt::format("slope={} intercept={} spacing={},{},{}", v.slope, v.intercept,
                        v.spacing[0], v.spacing[1], v.spacing[2]),
            to_string(SourceStamp(v.path))};
  }
  friend bool operator==(const CtCacheStamp&, const CtCacheStamp&) = default;
};

/// The CRC-32 of a file's bytes, 8 hexadecimal digits. @throws hlip::error when it cannot be read
HLIP_LAZY std::string file_crc32(const std::string& path) {
  return fmt::format("{:08x}", crc32_of(MappedFile(path).bytes()));
}

/// Writes a volume in HU, wholly or not at all.
/// @param settings of `ct_cache_settings`; @param stamp of its source, and @param source_crc32 of
/// file_crc32
HLIP_LAZY void write_ct_cache(const std::string& path, const Volume& volume, CacheType type,
                              const std::string& settings, const CtCacheStamp& stamp = {},
                              const std::string& source_crc32 = "") {
  if (volume.unit != Unit::hounsfield)
    fail("write_ct_cache", "{}: values are {}, expected HU", volume.source, unit_name(volume.unit));
  const auto hu = volume.voxels.contiguous();
  SafetensorsWriter file;
  std::uint32_t crc = 0;
  const auto sum = [&](const auto* values, std::size_t n) {
    crc = crc32_of(std::as_bytes(std::span(values, n)), crc);
  };
  if (type == CacheType::float16) {
    auto kept = Tensor<float16, Cpu>::empty(hu.shape());
    for (index_t i = 0; i < hu.numel(); ++i)
      kept.data()[i] = float16(std::clamp(hu.data()[i], -65504.f, 65504.f));
    sum(kept.data(), static_cast<std::size_t>(kept.numel()));
    file.add("hu", kept);
  } else {
    auto kept = Tensor<std::int16_t, Cpu>::empty(hu.shape());
    for (index_t i = 0; i < hu.numel(); ++i)
      kept.data()[i] = static_cast<std::int16_t>(
          std::nearbyint(std::clamp(hu.data()[i], -32768.f, 32767.f)));
    sum(kept.data(), static_cast<std::size_t>(kept.numel()));
    file.add("hu", kept);
  }
  std::vector<double> affine;
  for (const auto& row : volume.affine) affine.insert(affine.end(), row.begin(), row.end());
  file.add("affine", std::span<const double>(affine), {4, 4});
  file.add("spacing", std::span<const double>(volume.spacing), {3});
  sum(affine.data(), affine.size());
  sum(volume.spacing.data(), volume.spacing.size());
  file.metadata("unit", std::string(unit_name(volume.unit)));
  file.metadata("source", volume.source);
  file.metadata("orientation_known", volume.orientation_known ? "yes" : "no");
  file.metadata("settings", settings);
  file.metadata("crc32", fmt::format("{:08x}", crc));
  file.metadata("source_row", stamp.row);
  file.metadata("source_file", stamp.file);
  file.metadata("source_crc32", source_crc32);
  std::string warnings;
  for (const auto& w : volume.warnings) warnings += w + "\n";
  if (!warnings.empty()) file.metadata("warnings", warnings);
  file.write(path);
}

/// The stamp a cached volume was written with; empty when there is no sound file.
HLIP_LAZY CtCacheStamp ct_cache_stamp(const std::string& path) {
  if (!is_file(path)) return {};
  try {
    const SafetensorsFile file(path);
    return {file.metadata("source_row"), file.metadata("source_file")};
  } catch (const error&) {
    return {};
  }
}

/// A cached volume, mapped and checked: HU are converted when they are asked for, and what is not
/// asked for is not read.
class CtCacheFile {
 public:
  /// @throws hlip::error when the file is not one of a cache, or of a cache in another format
  HLIP_LAZY explicit CtCacheFile(const std::string& path) : file_(path) {
    const auto fault = [&](const std::string& what) {
      fail_file(path, "", "is not a cached CT volume: {}", what);
    };
    if (!file_.contains("hu") || !file_.contains("affine") || !file_.contains("spacing"))
      fault("hu, affine or spacing is absent");
    const auto& hu = file_.info("hu");
    if (hu.shape.rank() != 3 || hu.shape.numel() == 0)
      fault(fmt::format("hu is {}, expected (D, H, W)", to_string(hu.shape)));
    if (hu.dtype != DType::F16 && hu.dtype != DType::I16)
      fault(fmt::format("hu is {}, expected F16 or I16", dtype_name(hu.dtype)));
    if (file_.metadata("unit") != unit_name(Unit::hounsfield))
      fault(fmt::format("its unit is {}", quote_text(file_.metadata("unit"))));
    const std::string settings = file_.metadata("settings");
    if (!settings.starts_with(detail::ct_cache_format))
      fail_file(path, "settings",
                "{} is not the format this version writes ({}); run preprocess_ct_rate again",
                quote_text(settings), detail::ct_cache_format);
    const auto affine = file_.values<double>("affine"), spacing = file_.values<double>("spacing");
    if (affine.size() != 16 || spacing.size() != 3) fault("affine has 16 values and spacing 3");
    for (const double s : spacing)
      if (!(s > 0) || !std::isfinite(s)) fault(fmt::format("its spacing is {} mm", s));
    for (std::size_t r = 0; r < 4; ++r)
      for (std::size_t c = 0; c < 4; ++c) frame_.affine[r][c] = affine[4 * r + c];
    std::copy(spacing.begin(), spacing.end(), frame_.spacing.begin());
    frame_.unit = Unit::hounsfield;
    frame_.source = file_.metadata("source");
    frame_.orientation_known = file_.metadata("orientation_known") == "yes";
    const std::string warnings = file_.metadata("warnings");
    for (std::size_t at = 0, end; (end = warnings.find('\n', at)) != warnings.npos; at = end + 1)
      frame_.warnings.push_back(warnings.substr(at, end - at));
  }
  const std::string& path() const { return file_.path(); }
  Shape shape() const { return file_.info("hu").shape; }
  /// Reads all of it. @throws hlip::error when voxels, affine and spacing are not those that were
  /// written
  HLIP_LAZY void verify() const {
    const std::uint32_t sum = use([&] {
      std::uint32_t all = 0;
      for (const char* name : {"hu", "affine", "spacing"})
        all = crc32_of(file_.info(name).bytes, all);
      return all;
    });
    if (const std::string crc = fmt::format("{:08x}", sum), written = file_.metadata("crc32");
        crc != written)
      fail_file(path(), "",
                "is damaged: its CRC-32 is {}, {} was written (hint: preprocess_ct_rate --verify "
                "makes it again)",
                crc, quote_text(written));
  }
  std::string metadata(const std::string& key) const { return file_.metadata(key); }
  /// Geometry, unit, source and warnings, without voxels.
  const Volume& frame() const { return frame_; }
  /// The choices it was made with; see ct_cache_settings.
  std::string settings() const { return file_.metadata("settings"); }
  /// Whether it was made for the preset's spacing, so that nothing is left to resample.
  bool resampled_for(const CtPreset& preset) const {
    return settings().starts_with(detail::ct_cache_spacing(preset));
  }
  /// fn(), which asks for voxels. @throws hlip::error when the file cannot be read; see
  /// MappedFile::use
  template <class Fn> decltype(auto) use(Fn fn) const { return file_.use(fn); }
  /// `n` voxels from number `first` on; inside of `use`.
  void hounsfield(index_t first, index_t n, float* out) const {
    const auto& hu = file_.info("hu");
    const std::byte* from = hu.bytes.data() + 2 * first;
    if (hu.dtype == DType::F16)
      for (index_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(detail::load<float16>(from + 2 * i));
    else
      for (index_t i = 0; i < n; ++i) out[i] = detail::load<std::int16_t>(from + 2 * i);
  }

 private:
  SafetensorsFile file_;
  Volume frame_;
};

/// Reads a volume of the cache: HU at the cache's spacing. @throws hlip::error when the file is not
/// one of a cache
HLIP_LAZY Volume read_ct_cache(const std::string& path) {
  const CtCacheFile file(path);
  file.verify();
  Volume volume = file.frame();
  volume.voxels = Tensor<float, Cpu>::empty(file.shape());
  file.use([&] { file.hounsfield(0, volume.voxels.numel(), volume.voxels.data()); });
  return volume;
}

/// The range of a cached volume's HU. @throws hlip::error when it is damaged
HLIP_LAZY HuRange survey(const CtCacheFile& file) {
  file.verify();
  const index_t total = file.shape().numel(), run = 1 << 18, runs = (total + run - 1) / run;
  std::vector<HuCounter> counters(static_cast<std::size_t>(runs));
  file.use([&] {
#pragma omp parallel for schedule(static) if (runs > 1)
    for (index_t r = 0; r < runs; ++r) {
      std::array<float, 2048> hu;
      constexpr auto step = static_cast<index_t>(hu.size());
      for (index_t at = r * run; at < std::min(total, (r + 1) * run); at += step) {
        const index_t n = std::min(step, total - at);
        file.hounsfield(at, n, hu.data());
        counters[static_cast<std::size_t>(r)].add(hu.data(), n);
      }
    }
  });
  HuCounter all;
  for (const auto& c : counters) all.add(c);
  return all.range();
}

/// A cached volume to the network's input. It is resampled only if it was made for another spacing.
/// @throws hlip::error when it is damaged
HLIP_LAZY Tensor<float, Cpu> preprocess_ct(const CtCacheFile& file, const CtPreset& preset) {
  file.verify();
  const Shape shape = file.shape();
  if (!file.resampled_for(preset))
    return file.use([&] {
      return detail::rows_to_input(shape, file.frame().spacing, preset, detail::rows_of(file));
    });
  if (preset.mode == FitMode::resize)
    return ct_network_input(read_ct_cache(file.path()).voxels, preset);
  return file.use([&] {
    return detail::fit_rows(shape, preset,
                            [&](index_t d, index_t h, index_t w, index_t n, float* out) {
                              file.hounsfield((d * shape[1] + h) * shape[2] + w, n, out);
                            });
  });
}

/// The sound and current cached file of a reconstruction, of either type, or an empty string.
HLIP_LAZY std::string find_in_ct_cache(const std::string& root, const CtPreset& preset,
                                       const std::string& split, const CtRateVolume& recon) {
  for (const CacheType type : {CacheType::float16, CacheType::int16}) {
    const std::string path = ct_cache_path(root, preset, type, split, recon);
    if (is_file(path) && ct_cache_stamp(path) == CtCacheStamp::of(recon)) return path;
  }
  return "";
}

HLIP_END
