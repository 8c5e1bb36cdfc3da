// One array of a .npz file, which is a zip archive of .npy files. Needs zlib and libdeflate.
#pragma once

#include <hlip/io/file.hpp>
#include <hlip/io/npy.hpp>
#include <hlip/io/zip.hpp>

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// A raw deflate stream, inflated in steps: no more is produced than the caller asks for.
class Inflater {
 public:
  /// @param packed must outlive this object; @param path, place named in errors
  Inflater(std::span<const std::byte> packed, std::string path, std::string place)
      : packed_(packed), path_(std::move(path)), place_(std::move(place)) {
    if (inflateInit2(&stream_, -15) != Z_OK) fail_file(path_, place_, "cannot start zlib");
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  /// Fills `out` as far as there are contents and returns the number of bytes; fewer than asked for
  /// means that the stream has ended.
  HLIP_LAZY std::size_t read(std::span<std::byte> out) {
    std::size_t made = 0;
    while (made < out.size() && !ended_) {
      constexpr std::size_t step = std::size_t{1} << 30;  // zlib counts in 32 bits
      const auto in = static_cast<uInt>(std::min(packed_.size() - used_, step)),
                 room = static_cast<uInt>(std::min(out.size() - made, step));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed_.data() + used_));
      stream_.avail_in = in;
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + made);
      stream_.avail_out = room;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      used_ += in - stream_.avail_in;
      made += room - stream_.avail_out;
      ended_ = status == Z_STREAM_END;
      if (status != Z_OK && !ended_)
        fail_file(path_, place_, "its packed data are {}",
                  status == Z_BUF_ERROR ? "cut" : "damaged");
    }
    return made;
  }
  /// Packed bytes read so far.
  std::size_t used() const { return used_; }

 private:
  std::span<const std::byte> packed_;
  std::string path_, place_;
  z_stream stream_{};
  std::size_t used_ = 0;
  bool ended_ = false;
};

/// Inflates an array of an archive. Its header comes first and decides how many bytes there must
/// be, so a size that the archive claims and the header does not need is refused before anything
/// more is inflated.
HLIP_LAZY std::vector<std::byte> inflate_npy(const ZipEntry& entry, const std::string& path,
                                             const std::string& place, const NpyLimits& limits) {
  // Deflate never does better than 1032 to 1, so a larger claim is refused before memory is asked
  // for.
  if (entry.size / 1032 > entry.bytes.size() + 1)
    fail_file(path, place, "{} bytes cannot be packed in {}", entry.size, entry.bytes.size());
  Inflater stream(entry.bytes, path, place);
  std::vector<std::byte> out;
  const auto read_to = [&](std::uint64_t bytes) {
    const std::size_t before = out.size();
    if (bytes <= before) return;
    out.resize(bytes);
    const std::size_t got = before + stream.read(std::span(out).subspan(before));
    if (got != bytes) fail_file(path, place, "holds {} bytes, {} are declared", got, entry.size);
  };
  read_to(std::min<std::uint64_t>(entry.size, 12));
  const std::size_t end = npy_header_end(out, entry.size, path, place, limits);
  read_to(end);
  parse_npy_header(std::span(out).first(end), entry.size, path, place, limits);
  out.reserve(entry.size);
  read_to(entry.size);
  std::byte extra{};
  if (stream.read({&extra, 1}) != 0)
    fail_file(path, place, "holds more than the {} bytes it declares", entry.size);
  if (stream.used() != entry.bytes.size())
    fail_file(path, place, "its packed data end after {} of {} bytes", stream.used(),
              entry.bytes.size());
  return out;
}

}  // namespace detail

/// Names of the arrays of a .npz file, sorted.
HLIP_LAZY std::vector<std::string> npz_arrays(const std::string& path) {
  const MappedFile file(path);
  std::vector<std::string> names;
  for (const auto& [name, entry] : read_zip_directory(file.bytes(), path))
    if (name.ends_with(".npy")) names.push_back(name.substr(0, name.size() - 4));
  return names;
}

/// The array `key` of a .npz file as float.
/// @throws hlip::error naming file, array and fault; sizes are compared with limits and with the
/// file before memory is asked for
HLIP_LAZY Tensor<float, Cpu> read_npz(const std::string& path, const std::string& key,
                                      const NpyLimits& limits = {}) {
  const LoadedFile file(path);
  const auto entries = read_zip_directory(file.bytes(), path);
  const auto found = entries.find(key + ".npy");
  if (found == entries.end()) {
    std::string list;
    for (const auto& [name, entry] : entries) list += (list.empty() ? "" : ", ") + name;
    fail_file(path, "", "holds no array {}; it holds {}", quote_text(key),
              entries.empty() ? "nothing" : quote_text(list, 200));
  }
  const ZipEntry& entry = found->second;
  const std::string place = "array " + quote_text(key);
  if (entry.size > limits.max_bytes + limits.max_header)
    fail_file(path, place, "has {} bytes, the limit is {}", entry.size, limits.max_bytes);
  if (entry.method != 0 && entry.method != 8)
    fail_file(path, place, "is packed by method {}, expected none or deflate", entry.method);
  std::vector<std::byte> inflated;
  if (entry.method == 8) inflated = detail::inflate_npy(entry, path, place, limits);
  const std::span<const std::byte> bytes = entry.method == 8 ? std::span<const std::byte>(inflated)
                                                             : entry.bytes;
  if (limits.check_crc) check_zip_crc(entry, bytes, path, place);
  return npy_tensor(parse_npy(bytes, path, place, limits));
}

HLIP_END
