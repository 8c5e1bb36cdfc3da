// The directory of a zip archive in memory: where each file's bytes lie, and what they must sum up
// to. Nothing is unpacked here. Needs libdeflate and zlib.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/io/checksum.hpp>
#include <hlip/io/convert.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// One file of an archive.
struct ZipEntry {
  int method = 0;                    ///< 0: stored, 8: deflated
  std::uint64_t size = 0;            ///< unpacked
  std::uint32_t crc = 0;             ///< CRC-32 of what is unpacked
  std::span<const std::byte> bytes;  ///< as they lie in the archive
};

namespace detail {

/// Reads a zip directory, zip64 included, trusting nothing in it.
HLIP_LAZY class ZipReader {
 public:
  ZipReader(std::span<const std::byte> bytes, std::string_view path) : bytes_(bytes), path_(path) {}

  std::map<std::string, ZipEntry> read() {
    find_directory();
    std::map<std::string, ZipEntry> entries;
    std::uint64_t at = begin_;
    for (std::uint64_t i = 0; i < count_; ++i) at = read_entry(at, entries);
    if (at != end_)
      bad(at, "the directory says {} files in {} bytes, they take {}", count_, end_ - begin_,
          at - begin_);
    std::sort(ranges_.begin(), ranges_.end());
    for (std::size_t i = 1; i < ranges_.size(); ++i)
      if (ranges_[i].first < ranges_[i - 1].second)
        bad(ranges_[i].first, "two files of the archive overlap");
    return entries;
  }

 private:
  template <class... Args>
  [[noreturn]] void bad(std::uint64_t at, std::type_identity_t<message_format<Args...>> message,
                        const Args&... args) const {
    fail_file(path_, fmt::format("byte {}", at), message, args...);
  }
  template <class T> T get(std::uint64_t at) const {
    if (at > bytes_.size() || bytes_.size() - at < sizeof(T))
      bad(at, "the archive ends here, in the middle of its directory");
    return load<T>(bytes_.data() + at);
  }
  std::uint16_t get16(std::uint64_t at) const { return get<std::uint16_t>(at); }
  std::uint32_t get32(std::uint64_t at) const { return get<std::uint32_t>(at); }
  std::string_view text(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size)
      bad(at, "a file name of {} bytes reaches beyond the archive", size);
    return {reinterpret_cast<const char*>(bytes_.data()) + at, size};
  }

  // The record that closes an archive; a comment of up to 65535 bytes may follow it.
  void find_directory() {
    constexpr std::uint64_t record = 22, comment = 0xFFFF;
    const std::uint64_t size = bytes_.size();
    std::uint64_t at = size;
    for (std::uint64_t back = record; back <= std::min(size, record + comment) && at == size;
         ++back)
      if (get32(size - back) == 0x06054B50 && get16(size - back + 20) == back - record)
        at = size - back;
    if (at == size)
      fail_file(
          path_, "",
          "has no end-of-directory record, with which every zip archive ends; is the file cut?");
    if (get16(at + 4) != get16(at + 6)) bad(at, "is one part of an archive of several");
    count_ = get16(at + 10);
    std::uint64_t length = get32(at + 12);
    begin_ = get32(at + 16);
    std::uint64_t limit = at;
    if (at >= 20 && get32(at - 20) == 0x07064B50 &&
        (count_ == 0xFFFF || length == 0xFFFFFFFF || begin_ == 0xFFFFFFFF)) {
      limit = get<std::uint64_t>(at - 12);
      if (limit > at - 20 || get32(limit) != 0x06064B50)
        bad(at - 12, "the zip64 record is not at byte {}", limit);
      count_ = get<std::uint64_t>(limit + 32);
      length = get<std::uint64_t>(limit + 40);
      begin_ = get<std::uint64_t>(limit + 48);
    }
    if (begin_ > limit || length > limit - begin_)
      bad(at, "the directory, {} bytes from byte {}, reaches beyond byte {}", length, begin_,
          limit);
    if (count_ > length / 46)
      bad(at, "{} files do not fit in a directory of {} bytes", count_, length);
    end_ = begin_ + length;
  }

  // One record of the directory. @return where the next one begins
  std::uint64_t read_entry(std::uint64_t at, std::map<std::string, ZipEntry>& entries) {
    if (end_ - at < 46 || get32(at) != 0x02014B50) bad(at, "expected a directory record");
    const std::uint64_t name_size = get16(at + 28), extra_size = get16(at + 30),
                        next = at + 46 + name_size + extra_size + get16(at + 32);
    if (next > end_) bad(at, "a directory record reaches beyond the directory");
    if (name_size > 4096) bad(at, "a file name has {} bytes, expected 4096 at most", name_size);
    const std::string name(text(at + 46, name_size));
    std::uint64_t size = get32(at + 24), packed = get32(at + 20), local = get32(at + 42);
    for (std::uint64_t x = at + 46 + name_size, stop = x + extra_size; x + 4 <= stop;) {
      const std::uint64_t field_end = x + 4 + get16(x + 2);
      if (field_end > stop)
        bad(x, "an extra field of {} reaches beyond its record", quote_text(name));
      if (get16(x) == 1) {  // zip64: those of the three numbers that did not fit, in this order
        std::uint64_t value = x + 4;
        for (std::uint64_t* number : {&size, &packed, &local}) {
          if (*number != 0xFFFFFFFF) continue;
          if (value + 8 > field_end) bad(x, "the zip64 field of {} is too short", quote_text(name));
          *number = get<std::uint64_t>(value);
          value += 8;
        }
      }
      x = field_end;
    }
    if (get16(at + 8) & 1) bad(at, "{} is encrypted", quote_text(name));
    ZipEntry entry{get16(at + 10), size, get32(at + 16), {}};
    if (entry.method == 0 && size != packed)
      bad(at, "{} is stored, but takes {} bytes for {}", quote_text(name), packed, size);
    if (local > begin_ || begin_ - local < 30 || get32(local) != 0x04034B50)
      bad(at, "{} is said to begin at byte {}, where no file begins", quote_text(name), local);
    const std::uint64_t local_name = get16(local + 26),
                        data = local + 30 + local_name + get16(local + 28);
    if (data > begin_ || packed > begin_ - data)
      bad(local, "{}, {} bytes, reaches into the directory at byte {}", quote_text(name), packed,
          begin_);
    if (text(local + 30, local_name) != name)
      bad(local, "is called {} here and {} in the directory",
          quote_text(text(local + 30, local_name)), quote_text(name));
    entry.bytes = bytes_.subspan(data, packed);
    ranges_.emplace_back(local, data + packed);
    if (!entries.emplace(name, entry).second)
      bad(at, "{} is in the archive twice", quote_text(name));
    return next;
  }

  std::span<const std::byte> bytes_;
  std::string_view path_;
  std::uint64_t count_ = 0, begin_ = 0, end_ = 0;  // of the directory
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges_;
};

}  // namespace detail

/// Names and places of the files in a zip archive, every range checked to lie before the directory
/// and outside the others. Source: PKWARE's APPNOTE 6.3.
/// @param path named in messages  @throws hlip::error with path and byte
HLIP_LAZY std::map<std::string, ZipEntry> read_zip_directory(std::span<const std::byte> bytes,
                                                             std::string_view path) {
  return detail::ZipReader<>(bytes, path).read();
}

/// Compares a file of an archive with the checksum that was stored beside it.
/// @param unpacked its bytes  @param place its name, for the message  @throws hlip::error when they
/// are not those that were put in
inline void check_zip_crc(const ZipEntry& entry, std::span<const std::byte> unpacked,
                          std::string_view path, std::string_view place) {
  const std::uint32_t crc = crc32_of(unpacked);
  if (crc != entry.crc)
    fail_file(path, place,
              "is damaged: its {} bytes have the CRC-32 {:08x}, the archive says {:08x}",
              unpacked.size(), crc, entry.crc);
}

HLIP_END
