// What the fuzz targets share. Foreign bytes are answered with a result or with hlip::error, in
// memory and time that are in proportion to them; whatever else happens is a finding.
#pragma once

#include <hlip/core/error.hpp>

#include <fcntl.h>
#include <sanitizer/allocator_interface.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

namespace fuzz {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}
inline std::span<const std::byte> bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

/// Runs a reader; hlip::error is the answer expected of bad input.
template <class Fn> int answer(Fn fn) {
  try {
    fn();
  } catch (const hlip::error&) {}
  return 0;
}

/// What reading an input may cost: `base` bytes and `each` more for each byte of the input at a
/// time, four times as many in all allocations together (which is what copying the same thing over
/// and over shows in), and two seconds and 20 µs for each byte.
struct Budget {
  std::size_t base, each;
};

/// Everything malloc gives, counted: the sanitizer calls for each block.
struct Meter {
  std::size_t now = 0, before = 0, all = 0, most_now = std::size_t(-1), most_all = std::size_t(-1);
};
inline Meter meter;

[[noreturn]] inline void too_much(const char* what, std::size_t was, std::size_t limit) {
  meter = {};  // what follows may allocate
  std::fprintf(stderr, "fuzz: %s: %zu, the budget is %zu\n", what, was, limit);
  std::abort();
}
inline void count_block(const volatile void* block, std::size_t bytes) {
  if (!block) return;
  meter.now += bytes;
  meter.all += bytes;
  if (meter.most_now < meter.now - meter.before)
    too_much("bytes at a time", meter.now - meter.before, meter.most_now);
  if (meter.most_all < meter.all) too_much("bytes of all allocations", meter.all, meter.most_all);
}
inline void forget_block(const volatile void* block) {
  if (block) meter.now -= std::min(meter.now, __sanitizer_get_allocated_size(block));
}
inline std::size_t processor_milliseconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::size_t>(t.tv_sec) * 1000 +
         static_cast<std::size_t>(t.tv_nsec) / 1'000'000;
}

/// Runs a reader on an input of `size` bytes, within its budget.
template <class Fn> int within(Budget budget, std::size_t size, Fn fn) {
  static const int hooked = __sanitizer_install_malloc_and_free_hooks(count_block, forget_block);
  if (hooked == 0) std::abort();
  const std::size_t memory = budget.base + budget.each * size, began = processor_milliseconds();
  meter.before = meter.now;
  meter.all = 0;
  meter.most_now = memory;
  meter.most_all = 4 * memory;
  const int code = answer(fn);
  meter.most_now = meter.most_all = std::size_t(-1);
  const std::size_t took = processor_milliseconds() - began, limit = 2000 + size / 50;
  if (took > limit) too_much("milliseconds", took, limit);
  return code;
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
