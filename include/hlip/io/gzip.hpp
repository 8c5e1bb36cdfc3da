// gzip streams, inflated in bounded steps: no more is produced than the caller asks for. Needs
// zlib.
#pragma once

#include <hlip/io/file.hpp>

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

HLIP_BEGIN

/// True when the bytes begin like a gzip file.
inline bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B};
}

/// Most bytes that `compressed` bytes of deflate data can expand to (1032 to 1, plus one block);
/// for checks before allocating.
constexpr std::size_t max_inflated_size(std::size_t compressed) {
  return compressed > std::size_t{1} << 50 ? std::size_t(-1) : compressed * 1032 + 1032;
}

/// Reads the contents of a gzip file from front to back. Several members are joined, each CRC and
/// length is checked, zero padding after the last member is ignored.
class GzipReader {
 public:
  /// @param compressed must outlive the reader; @param path named in errors
  GzipReader(std::span<const std::byte> compressed, std::string path)
      : input_(compressed), path_(std::move(path)) {
    if (!is_gzip(compressed)) fail_file(path_, "byte 0", "is not a gzip stream");
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) fail_file(path_, "", "cannot start zlib");
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader() { inflateEnd(&stream_); }

  /// Fills `out` as far as there are contents and returns the number of bytes; fewer than asked for
  /// means that the contents ended and every check passed.
  /// @throws hlip::error for a stream that is cut, damaged or followed by something else
  HLIP_LAZY std::size_t read(std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      const auto step_in = static_cast<uInt>(std::min(input_.size() - used_, largest_step)),
                 step_out = static_cast<uInt>(std::min(out.size() - done, largest_step));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input_.data() + used_));
      stream_.avail_in = step_in;
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + done);
      stream_.avail_out = step_out;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      used_ += step_in - stream_.avail_in;
      done += step_out - stream_.avail_out;
      if (status == Z_STREAM_END) next_member();
      else if (status == Z_BUF_ERROR || (status == Z_OK && used_ == input_.size() &&
                                         done < out.size() && stream_.avail_out == step_out))
        fail_file(path_, fmt::format("byte {}", used_), "the gzip stream is cut");
      else if (status != Z_OK)
        fail_file(path_, fmt::format("byte {}", used_), "the gzip stream is damaged: {}",
                  stream_.msg ? stream_.msg : "zlib error");
    }
    return done;
  }

 private:
  static constexpr std::size_t largest_step = std::size_t{1} << 30;  // zlib counts in 32 bits

  HLIP_LAZY void next_member() {
    const auto rest = input_.subspan(used_);
    if (std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; }))
      ended_ = true;
    else if (is_gzip(rest)) inflateReset(&stream_);
    else
      fail_file(path_, fmt::format("byte {}", used_),
                "{} bytes that are not gzip follow the gzip stream", rest.size());
  }

  std::span<const std::byte> input_;
  std::string path_;
  z_stream stream_{};
  std::size_t used_ = 0;
  bool ended_ = false;
};

namespace detail {
/// Unzips contents of exactly known length at once, or returns false. Set by io/gzip_libdeflate.hpp
/// wherever a program includes it.
inline bool (*fast_gunzip)(std::span<const std::byte> compressed,
                           std::span<std::byte> out) = nullptr;
}  // namespace detail

/// All contents of a gzip stream.
/// @throws hlip::error as GzipReader does, and when there are more than `max_bytes` (found without
/// producing them)
HLIP_LAZY std::vector<std::byte> gunzip(std::span<const std::byte> compressed,
                                        std::size_t max_bytes, const std::string& path) {
  GzipReader reader(compressed, path);
  std::vector<std::byte> out;
  for (std::size_t step = std::min<std::size_t>(max_bytes, 1 << 16);;) {
    const std::size_t begin = out.size();
    out.resize(begin + step);
    const std::size_t n = reader.read(std::span(out).subspan(begin));
    out.resize(begin + n);
    if (n < step) return out;
    step = std::min(out.size(), max_bytes - out.size());
    if (step > 0) continue;
    std::byte extra{};
    if (reader.read({&extra, 1}) != 0)
      fail_file(path, "", "the gzip stream holds more than the {} bytes allowed", max_bytes);
    return out;
  }
}

/// Compresses into a file that is being written. The output depends on the bytes and the level only
/// (no time stamp).
class GzipWriter {
 public:
  explicit GzipWriter(AtomicFile& file, int level = 1) : file_(file), buffer_(1 << 16) {
    if (deflateInit2(&stream_, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      fail("gzip", "cannot start zlib");
  }
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  ~GzipWriter() { deflateEnd(&stream_); }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t step = std::min(bytes.size(), std::size_t{1} << 30);
      run(bytes.first(step), Z_NO_FLUSH);
      bytes = bytes.subspan(step);
    }
  }
  /// Ends the stream; must be called once, before the file is committed.
  void finish() { run({}, Z_FINISH); }

 private:
  void run(std::span<const std::byte> bytes, int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      deflate(&stream_, flush);
      file_.write(std::span<const std::byte>(buffer_).first(buffer_.size() - stream_.avail_out));
    } while (stream_.avail_out == 0);
  }

  AtomicFile& file_;
  z_stream stream_{};
  std::vector<std::byte> buffer_;
};

HLIP_END
