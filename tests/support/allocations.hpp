// How much memory something asks for: counts what operator new gives. For one source file of a
// program, whose operator new it replaces.
#pragma once

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace test {

struct Allocations {
  std::size_t peak = 0;  ///< most bytes at a time, beyond those there before
  /// bytes of all allocations, also those given back: what copying costs, as a number that is the
  /// same everywhere
  std::size_t total = 0;
};

namespace detail {
inline std::atomic<std::size_t> now{0}, most{0}, all{0};
inline void* allocated(void* p) {
  if (!p) throw std::bad_alloc();
  const std::size_t bytes = malloc_usable_size(p), held = now += bytes;
  all += bytes;
  for (std::size_t old = most; old < held && !most.compare_exchange_weak(old, held);) {}
  return p;
}
inline void released(void* p) {
  if (p) now -= malloc_usable_size(p);
  std::free(p);
}
}  // namespace detail

/// What fn() asks for while it runs.
template <class Fn> Allocations allocations_of(Fn fn) {
  const std::size_t before = detail::now, all = detail::all;
  detail::most = before;
  fn();
  return {detail::most - before, detail::all - all};
}

}  // namespace test

void* operator new(std::size_t bytes) {
  return test::detail::allocated(std::malloc(bytes > 0 ? bytes : 1));
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return operator new(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t bytes, const std::nothrow_t& quiet) noexcept {
  return operator new(bytes, quiet);
}
void operator delete(void* p) noexcept { test::detail::released(p); }
void operator delete[](void* p) noexcept { test::detail::released(p); }
void operator delete(void* p, std::size_t) noexcept { test::detail::released(p); }
void operator delete[](void* p, std::size_t) noexcept { test::detail::released(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { test::detail::released(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { test::detail::released(p); }
