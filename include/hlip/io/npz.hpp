// One array of a .npz file, which is a zip archive of .npy files. Needs zlib and libdeflate.
#pragma once

#include <hlip/io/file.hpp>
#include <hlip/io/npy.hpp>
#include <hlip/io/zip.hpp>

#include <zlib.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Inflates a raw deflate stream into exactly `size` bytes. @throws hlip::error when it holds more or fewer, or is damaged
HLIP_LAZY std::vector<std::byte> inflate_exactly(std::span<const std::byte> packed, std::uint64_t size, const std::string& path, const std::string& place) {
  // Deflate never does better than 1032 to 1, so a larger claim is refused before memory is asked for.
  if (size / 1032 > packed.size() + 1) fail_file(path, place, "{} bytes cannot be packed in {}", size, packed.size());
  std::vector<std::byte> out(size + 1);  // one more, to see whether the stream goes on
  z_stream z{};
  if (inflateInit2(&z, -15) != Z_OK) fail_file(path, place, "cannot start zlib");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> ended(&z, inflateEnd);
  std::size_t used = 0, made = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    constexpr std::size_t step = std::size_t{1} << 30;
    const auto in = static_cast<uInt>(std::min(packed.size() - used, step)), room = static_cast<uInt>(std::min(out.size() - made, step));
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + used));
    z.avail_in = in;
    z.next_out = reinterpret_cast<Bytef*>(out.data() + made);
    z.avail_out = room;
    status = inflate(&z, Z_NO_FLUSH);
    used += in - z.avail_in;
    made += room - z.avail_out;
    if (made > size) fail_file(path, place, "holds more than the {} bytes it declares", size);
    if (status != Z_OK && status != Z_STREAM_END) fail_file(path, place, "its packed data are {}", status == Z_BUF_ERROR ? "cut" : "damaged");
  }
  if (made != size || used != packed.size()) fail_file(path, place, "holds {} bytes, {} are declared", made, size);
  out.resize(size);
  return out;
}

}  // namespace detail

/// The array `key` of a .npz file as float.
/// @throws hlip::error naming file, array and fault; sizes are compared with limits and with the file before memory is asked for
HLIP_LAZY Tensor<float, Cpu> read_npz(const std::string& path, const std::string& key, const NpyLimits& limits = {}) {
  const MappedFile file(path);
  const auto entries = read_zip_directory(file.bytes(), path);
  const auto found = entries.find(key + ".npy");
  if (found == entries.end()) {
    std::string list;
    for (const auto& [name, entry] : entries) list += (list.empty() ? "" : ", ") + name;
    fail_file(path, "", "holds no array {}; it holds {}", quote_text(key), entries.empty() ? "nothing" : quote_text(list, 200));
  }
  const ZipEntry& entry = found->second;
  const std::string place = "array " + quote_text(key);
  if (entry.size > limits.max_bytes + limits.max_header) fail_file(path, place, "has {} bytes, the limit is {}", entry.size, limits.max_bytes);
  if (entry.method != 0 && entry.method != 8) fail_file(path, place, "is packed by method {}, expected none or deflate", entry.method);
  std::vector<std::byte> inflated;
  if (entry.method == 8) inflated = detail::inflate_exactly(entry.bytes, entry.size, path, place);
  const std::span<const std::byte> bytes = entry.method == 8 ? std::span<const std::byte>(inflated) : entry.bytes;
  if (limits.check_crc) check_zip_crc(entry, bytes, path, place);
  return npy_tensor(parse_npy(bytes, path, place, limits));
}

HLIP_END
