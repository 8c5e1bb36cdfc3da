// TensorBoard event files, written without TensorBoard: scalars against steps.
// Source: tensorflow/docs python_io.md (records), event.proto and summary.proto (payload); CRC-32C
// as in RFC 3720.
#pragma once

#include <hlip/io/file.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

HLIP_BEGIN

namespace detail {
inline constexpr std::array<std::uint32_t, 256> crc32c_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ (c & 1 ? 0x82F63B78u : 0u);
    table[i] = c;
  }
  return table;
}();
}  // namespace detail

/// CRC-32C (Castagnoli).
inline std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t c = 0xFFFFFFFFu;
  for (const char b : bytes)
    c = detail::crc32c_table[(c ^ static_cast<unsigned char>(b)) & 0xFF] ^ (c >> 8);
  return ~c;
}

namespace detail {

// The few parts of protocol buffers that an event needs.
inline void put_varint(std::string& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}
template <class T> void put_fixed(std::string& out, T v) {
  static_assert(std::endian::native == std::endian::little);
  const auto bytes = std::bit_cast<std::array<char, sizeof(T)>>(v);
  out.append(bytes.data(), bytes.size());
}
inline void put_field(std::string& out, int number, int wire_type) {
  put_varint(out, static_cast<std::uint64_t>(number << 3 | wire_type));
}
inline void put_bytes(std::string& out, int number, std::string_view bytes) {
  put_field(out, number, 2);
  put_varint(out, bytes.size());
  out += bytes;
}
inline void put_whole(std::string& out, int number, std::int64_t v) {
  put_field(out, number, 0);
  put_varint(out, static_cast<std::uint64_t>(v));
}
inline std::uint32_t masked_crc(std::string_view bytes) {
  const std::uint32_t c = crc32c(bytes);
  return (c >> 15 | c << 17) + 0xA282EAD8u;
}
/// One record of an event file: length, its checksum, payload, its checksum.
inline std::string event_record(std::string_view payload) {
  std::string out;
  put_fixed(out, std::uint64_t{payload.size()});
  put_fixed(out, masked_crc(out));
  out += payload;
  put_fixed(out, masked_crc(payload));
  return out;
}

}  // namespace detail

/// Appends events to a file of its own in a folder; every event is handed to the system whole and
/// at once, so a run killed at any moment leaves a file that reads to its last whole record.
class EventFile {
 public:
  /// @param folder made if it is not there; TensorBoard is pointed at it or at one above
  /// @param first_step of this run: what earlier files of the folder say about this step and later
  /// ones is void
  /// @throws hlip::error when the file cannot be made
  explicit EventFile(const std::string& folder, std::int64_t first_step = 0) {
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST)
      fail_file(folder, "", "cannot make the folder: {}", std::strerror(errno));
    char host[256] = "localhost";
    if (::gethostname(host, sizeof(host) - 1) != 0) std::strcpy(host, "localhost");
    for (char& c : host)
      if (c == '/') c = '_';
    static std::atomic<unsigned> counter{0};
    path_ = fmt::format("{}/events.out.tfevents.{:010}.{}.{}.{}", folder,
                        static_cast<std::int64_t>(now()), host, ::getpid(), counter++);
    file_ = std::fopen(path_.c_str(), "abx");
    if (!file_) fail_file(path_, "", "cannot create: {}", std::strerror(errno));
    std::string version = head(0);
    detail::put_bytes(version, 3, "brain.Event:2");
    write(version);
    if (first_step > 0) {  // a session that starts here
      std::string session, event = head(first_step);
      detail::put_whole(session, 1, 1);
      detail::put_bytes(event, 7, session);
      write(event);
    }
  }
  ~EventFile() {
    if (file_) std::fclose(file_);
  }
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  const std::string& path() const { return path_; }

  /// @param tag "train/loss"; names with a common part before the slash are shown together
  HLIP_LAZY void add_scalar(std::string_view tag, double value, std::int64_t step) {
    std::string entry, summary, event = head(step);
    detail::put_bytes(entry, 1, tag);
    detail::put_field(entry, 2, 5);
    detail::put_fixed(entry, static_cast<float>(value));
    detail::put_bytes(summary, 1, entry);
    detail::put_bytes(event, 5, summary);
    write(event);
  }

  /// Brings to disk what was added so far. @throws hlip::error when that fails
  HLIP_LAZY void sync() {
    if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0)
      fail_file(path_, "", "cannot flush to disk: {}", std::strerror(errno));
  }

 private:
  static double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  static std::string head(std::int64_t step) {
    std::string event;
    detail::put_field(event, 1, 1);
    detail::put_fixed(event, now());
    detail::put_whole(event, 2, step);
    return event;
  }
  void write(std::string_view payload) {
    const std::string record = detail::event_record(payload);
    if (std::fwrite(record.data(), 1, record.size(), file_) != record.size() ||
        std::fflush(file_) != 0)
      fail_file(path_, "", "cannot write");
  }

  std::string path_;
  std::FILE* file_ = nullptr;
};

HLIP_END
