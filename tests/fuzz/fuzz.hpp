// What the fuzz targets share. Foreign bytes are answered with a result or with hlip::error; whatever else happens is a finding.
#pragma once

#include <hlip/core/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

namespace fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }
inline std::span<const std::byte> bytes(const std::uint8_t* data, std::size_t size) { return std::as_bytes(std::span(data, size)); }

/// Runs a reader; hlip::error is the answer expected of bad input.
template <class Fn>
int answer(Fn fn) {
  try {
    fn();
  } catch (const hlip::error&) {
  }
  return 0;
}

/// Ends the program, which the fuzzer records, when a promise about a result does not hold.
inline void promise(bool held) {
  if (!held) std::abort();
}

/// The input as a file in memory, for readers that want a path. It lives as long as the program.
inline const std::string& file(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/dev/shm/hlip_fuzz_" + std::to_string(::getpid());
  static const int fd = [] {
    const int opened = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    promise(opened >= 0);
    std::atexit([] { ::unlink(path.c_str()); });
    return opened;
  }();
  promise(::ftruncate(fd, 0) == 0 && ::pwrite(fd, data, size, 0) == static_cast<ssize_t>(size));
  return path;
}

}  // namespace fuzz
