// What tells whether a file is still the one something was made of: its size and when it was
// changed.
#pragma once

#include <hlip/core/error.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <string>

HLIP_BEGIN

/// Size and last change of one file, or of several together. A file that is not there adds nothing.
struct SourceStamp {
  std::uint64_t bytes = 0;
  std::int64_t changed = 0;  ///< nanoseconds since 1970, of the file that was changed last

  SourceStamp() = default;
  explicit SourceStamp(const std::string& path) { add(path); }
  void add(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return;
    bytes += static_cast<std::uint64_t>(info.st_size);
    changed = std::max(changed, static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 +
                                    info.st_mtim.tv_nsec);
  }
};

/// "bytes=1234 changed=1764000000123456789"
inline std::string to_string(const SourceStamp& s) {
  return fmt::format("bytes={} changed={}", s.bytes, s.changed);
}

HLIP_END
