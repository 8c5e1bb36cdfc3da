// Reads NIfTI-1 and NIfTI-2 volumes: .nii, .nii.gz, .hdr with .img. Needs zlib.
#pragma once

#include <hlip/backend/scalar_math.hpp>
#include <hlip/imaging/nifti_header.hpp>
#include <hlip/imaging/nifti_write.hpp>
#include <hlip/imaging/volume.hpp>
#include <hlip/io/gzip.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a file may ask for before it is refused.
struct NiftiLimits {
  /// all voxels of a file, as stored and as float
  std::uint64_t max_bytes = std::uint64_t{1} << 32;
};

/// How a file is read.
struct NiftiOptions {
  NiftiLimits limits;
  index_t volume = 0;   ///< which volume of a 4-D file
  bool strict = false;  ///< refuse files that would be read with a warning
};

/// What is in a NIfTI file; see inspect_nifti.
struct NiftiInfo {
  NiftiHeader header;
  bool voxels_read = false;
  double min = 0, max = 0;  ///< of the finite voxels, scaled
  std::uint64_t not_finite = 0;
};

namespace detail {

/// The bytes of a file from front to back, unzipped when they are zipped (the name does not
/// matter).
class ByteStream {
 public:
  HLIP_LAZY explicit ByteStream(const std::string& path) : file_(path) {
    if (file_.size() == 0) fail_file(path, "", "is empty, expected a NIfTI volume");
    use([&] {
      if (is_gzip(file_.bytes())) gzip_.emplace(file_.bytes(), path);
    });
  }
  const std::string& path() const { return file_.path(); }
  bool zipped() const { return gzip_.has_value() || fast_; }
  /// fn(), which reads what `view` gave: see MappedFile::use.
  template <class Fn> decltype(auto) use(Fn fn) const { return file_.use(fn); }
  std::size_t read(std::span<std::byte> out) {
    return file_.use([&] { return read_now(out); });
  }
  /// The next bytes without a copy, where they lie in memory already: mapped, or unzipped at once.
  /// Empty otherwise, and nothing is read.
  std::span<const std::byte> view(std::uint64_t bytes) {
    const auto all = fast_   ? std::span<const std::byte>(fast_.get(), fast_size_)
                     : gzip_ ? std::span<const std::byte>()
                             : file_.bytes();
    if (all.size() < at_ || all.size() - at_ < bytes) return {};
    return all.subspan(std::exchange(at_, at_ + static_cast<std::size_t>(bytes)),
                       static_cast<std::size_t>(bytes));
  }
  HLIP_LAZY std::uint64_t skip(std::uint64_t bytes) {
    if (!gzip_) {
      const auto all = fast_ ? fast_size_ : file_.size();
      const std::uint64_t n = std::min<std::uint64_t>(bytes, all - at_);
      at_ += static_cast<std::size_t>(n);
      return n;
    }
    std::vector<std::byte> dump(std::min<std::uint64_t>(bytes, 1 << 18));
    for (std::uint64_t done = 0;;) {
      const auto step = std::min<std::uint64_t>(dump.size(), bytes - done);
      const auto n = step == 0 ? 0 : read(std::span(dump).first(step));
      done += n;
      if (n < step || step == 0) return done;
    }
  }
  /// The most bytes the contents can have, known without unzipping.
  std::size_t largest() const { return zipped() ? max_inflated_size(file_.size()) : file_.size(); }
  /// Starts again at byte 0, now that all contents are known to have `total` bytes: unzips them at
  /// once where a faster library is there.
  HLIP_LAZY void restart(std::uint64_t total) {
    at_ = 0;
    if (!gzip_) return;
    gzip_.reset();
    if (fast_gunzip) {
      fast_ = std::make_unique_for_overwrite<std::byte[]>(total);
      fast_size_ = static_cast<std::size_t>(total);
      if (file_.use([&] { return fast_gunzip(file_.bytes(), {fast_.get(), fast_size_}); })) return;
      fast_.reset();  // damaged: the slow way says where
    }
    gzip_.emplace(file_.bytes(), path());
  }

 private:
  std::size_t read_now(std::span<std::byte> out) {
    if (gzip_) return gzip_->read(out);
    const auto all = fast_ ? std::span<const std::byte>(fast_.get(), fast_size_) : file_.bytes();
    const std::size_t n = std::min(out.size(), all.size() - at_);
    if (n > 0) std::memcpy(out.data(), all.data() + at_, n);
    at_ += n;
    return n;
  }

  MappedFile file_;
  std::optional<GzipReader> gzip_;
  std::unique_ptr<std::byte[]> fast_;
  std::size_t fast_size_ = 0, at_ = 0;
};

inline bool replace_end(std::string& name, std::string_view old_end, std::string_view new_end) {
  if (!std::string_view(name).ends_with(old_end)) return false;
  name.replace(name.size() - old_end.size(), old_end.size(), new_end);
  return true;
}

/// The other file of a .hdr / .img pair, zipped or not. @throws hlip::error when there is none
HLIP_LAZY std::string other_of_pair(const std::string& path, std::string_view have,
                                    std::string_view want) {
  std::string stem = path;
  replace_end(stem, ".gz", "");
  if (!replace_end(stem, have, ""))
    fail_file(path, "magic",
              "says that the voxels are in a separate .img file, which is looked for beside a .hdr "
              "file only");
  for (const char* end : {"", ".gz"})
    if (const auto name = stem + std::string(want) + end; is_file(name)) return name;
  fail_file(path, "", "its other half {}{} is absent", stem, want);
}

template <class T, bool Swapped>
void scale_voxels(const std::byte* raw, index_t n, double slope, double inter, float* out) {
  const bool plain = slope == 1 && inter == 0;
  const auto value = [&](index_t i) {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), raw + i * static_cast<index_t>(sizeof(T)), sizeof(T));
    if constexpr (Swapped) std::reverse(bytes.begin(), bytes.end());
    return std::bit_cast<T>(bytes);
  };
  if (plain)  // outside of the loops: each is then a few SIMD instructions
    for (index_t i = 0; i < n; ++i) out[i] = static_cast<float>(value(i));
  else
    for (index_t i = 0; i < n; ++i)
      out[i] = static_cast<float>(multiply_add(static_cast<double>(value(i)), slope, inter));
}

/// Stored voxels as numbers: slope * stored + inter of the file.
HLIP_LAZY void scale_voxels(const NiftiHeader& h, const std::byte* raw, index_t n, float* out) {
  const auto run = [&]<class T>(T) {
    h.swapped ? scale_voxels<T, true>(raw, n, h.slope, h.inter, out)
              : scale_voxels<T, false>(raw, n, h.slope, h.inter, out);
  };
  switch (h.type) {
    case NiftiType::u8: return run(std::uint8_t{});
    case NiftiType::i8: return run(std::int8_t{});
    case NiftiType::i16: return run(std::int16_t{});
    case NiftiType::u16: return run(std::uint16_t{});
    case NiftiType::i32: return run(std::int32_t{});
    case NiftiType::u32: return run(std::uint32_t{});
    case NiftiType::i64: return run(std::int64_t{});
    case NiftiType::u64: return run(std::uint64_t{});
    case NiftiType::f32: return run(float{});
    case NiftiType::f64: return run(double{});
  }
}

/// An opened NIfTI file: header checked, and the file that holds the voxels known to be able to
/// hold them.
struct OpenNifti {
  NiftiHeader header;
  std::unique_ptr<ByteStream> voxels;

  HLIP_LAZY OpenNifti(const std::string& path, const NiftiOptions& options) {
    std::string header_path = path;
    const std::string_view plain = std::string_view(path).ends_with(".gz")
                                       ? std::string_view(path).substr(0, path.size() - 3)
                                       : std::string_view(path);
    if (plain.ends_with(".img")) header_path = other_of_pair(path, ".img", ".hdr");
    voxels = std::make_unique<ByteStream>(header_path);
    std::array<std::byte, 540> first{};
    const auto n = voxels->read(first);
    if (n == 0) fail_file(path, "", "the gzip stream is empty, expected a NIfTI volume");
    header = parse_nifti_header(std::span<const std::byte>(first).first(n), header_path,
                                options.limits.max_bytes);
    if (header.pair)
      voxels = std::make_unique<ByteStream>(other_of_pair(header_path, ".hdr", ".img"));
    // both below 2^54: no overflow
    const std::uint64_t total = header.vox_offset + header.data_bytes;
    if (total > voxels->largest())
      fail_file(voxels->path(), fmt::format("byte {}", header.vox_offset),
                "{} voxels of {} bytes do not fit: the file {} {} bytes",
                header.data_bytes / header.voxel_bytes, header.voxel_bytes,
                voxels->zipped() ? "can hold at most" : "has", voxels->largest());
    if (!voxels->zipped() && voxels->largest() > total)
      header.warnings.push_back(fmt::format("{} bytes follow the last voxel and are not used",
                                            voxels->largest() - total));
    if (options.strict && !header.warnings.empty())
      fail_file(path, "", "refused because reading is strict: {}", header.warnings.front());
  }

  /// The bytes of one volume as stored, the stream checked to its end. They live as long as this
  /// object.
  HLIP_LAZY std::span<const std::byte> read(index_t volume) {
    const auto volume_voxels = static_cast<std::uint64_t>(header.dim[0] * header.dim[1] *
                                                          header.dim[2]);
    const std::uint64_t before = static_cast<std::uint64_t>(volume) * volume_voxels *
                                 header.voxel_bytes,
                        size = volume_voxels * header.voxel_bytes;
    voxels->restart(header.vox_offset + header.data_bytes);
    need(header.vox_offset + before, voxels->skip(header.vox_offset + before), 0);
    auto bytes = voxels->view(size);
    if (bytes.empty()) {
      copy_ = std::make_unique_for_overwrite<std::byte[]>(size);
      need(size, voxels->read({copy_.get(), static_cast<std::size_t>(size)}),
           header.vox_offset + before);
      bytes = {copy_.get(), static_cast<std::size_t>(size)};
    }
    const std::uint64_t after = header.data_bytes - before - size;
    need(after, voxels->skip(after), header.vox_offset + before + size);
    std::byte extra{};
    // Asking for one more byte also makes zlib check the CRC
    if (voxels->zipped() && voxels->read({&extra, 1}) != 0)
      fail_file(voxels->path(), fmt::format("byte {}", header.vox_offset + header.data_bytes),
                "the contents go on after the last voxel the header declares");
    return bytes;
  }

 private:
  void need(std::uint64_t wanted, std::uint64_t got, std::uint64_t at) const {
    if (got != wanted)
      fail_file(voxels->path(), fmt::format("byte {}", at + got),
                "ends after {} of {} bytes of voxels and header", at + got,
                header.vox_offset + header.data_bytes);
  }
  std::unique_ptr<std::byte[]> copy_;
};

}  // namespace detail

/// One volume of a NIfTI file before its numbers are made: for programs that go through it once,
/// row by row.
class StoredVolume {
 public:
  /// Opens a file and unzips it; refuses what `read_nifti` refuses.
  HLIP_LAZY explicit StoredVolume(const std::string& path, const NiftiOptions& options = {})
      : file_(std::make_shared<detail::OpenNifti>(path, options)), path_(path) {
    const auto& h = file_->header;
    if (options.volume < 0 || options.volume >= h.volumes())
      fail_file(path, "", "has no volume {}, only {}", options.volume, h.volumes());
    bytes_ = file_->read(options.volume).data();
  }
  const NiftiHeader& header() const { return file_->header; }
  const std::string& path() const { return path_; }
  /// `count` voxels from number `first` on, in the order (D, H, W): scl_slope * stored + scl_inter.
  /// To be called inside of `use`.
  HLIP_LAZY void values(index_t first, index_t count, float* out) const {
    detail::scale_voxels(header(), bytes_ + first * static_cast<index_t>(header().voxel_bytes),
                         count, out);
  }
  /// fn(), which asks for values, on any number of threads. @throws hlip::error when the file
  /// cannot be read; see MappedFile::use
  template <class Fn> decltype(auto) use(Fn fn) const { return file_->voxels->use(fn); }
  /// Geometry, unit, source and warnings, without voxels.
  HLIP_LAZY Volume frame() const {
    const auto& h = header();
    Volume out;
    out.affine = h.geometry.affine;
    out.spacing = h.geometry.spacing;
    out.orientation_known = h.geometry.orientation_known;
    out.unit = Unit::stored;
    out.source = path_;
    out.warnings = h.warnings;
    return out;
  }

 private:
  std::shared_ptr<detail::OpenNifti> file_;
  std::string path_;
  const std::byte* bytes_ = nullptr;
};

/// Reads one volume with its geometry. Values are scl_slope * stored + scl_inter; NaN and
/// infinities are kept. The unit is `stored`: NIfTI does not say whether that is HU.
/// @param path .nii, .nii.gz, .hdr or .img; zipped contents are recognised by their first bytes
/// @return voxels (D, H, W) with W = NIfTI's x; of a 4-D file the volume `options.volume`
/// @throws hlip::error naming file, place and fault; nothing is allocated before the header and the
/// file length allow it
HLIP_LAZY Volume read_nifti(const std::string& path, const NiftiOptions& options = {}) {
  const StoredVolume stored(path, options);
  Volume out = stored.frame();
  out.voxels = Tensor<float, Cpu>::empty(stored.header().shape());
  stored.use([&] { stored.values(0, out.voxels.numel(), out.voxels.data()); });
  return out;
}

/// What a file holds, after all checks of `read_nifti`.
/// @param read_voxels also decodes the first volume: finds cut and damaged data and gives the range
/// of values
HLIP_LAZY NiftiInfo inspect_nifti(const std::string& path, bool read_voxels = true,
                                  const NiftiOptions& options = {}) {
  detail::OpenNifti file(path, options);
  NiftiInfo info;
  info.header = file.header;
  info.voxels_read = read_voxels;
  if (!read_voxels) return info;
  const std::byte* bytes = file.read(0).data();
  info.min = std::numeric_limits<double>::infinity();
  info.max = -info.min;
  std::array<float, 4096> values;
  const index_t total = file.header.shape().numel(), step = static_cast<index_t>(values.size());
  for (index_t at = 0; at < total; at += step) {
    const index_t n = std::min(step, total - at);
    file.voxels->use([&] {
      detail::scale_voxels(file.header, bytes + at * static_cast<index_t>(file.header.voxel_bytes),
                           n, values.data());
    });
    for (index_t i = 0; i < n; ++i) {
      const double v = values[static_cast<std::size_t>(i)];
      if (!std::isfinite(v)) {
        ++info.not_finite;
        continue;
      }
      info.min = std::min(info.min, v);
      info.max = std::max(info.max, v);
    }
  }
  return info;
}

HLIP_END
