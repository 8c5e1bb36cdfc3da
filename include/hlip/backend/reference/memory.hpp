// The Reference backend: plain, single-threaded, double accumulation, no Eigen. It is slow on
// purpose; what it computes is what the other backends are held against.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

HLIP_BEGIN

struct Reference {
  static constexpr std::string_view name = "reference";
  static constexpr std::int64_t rows_at_a_time = 1024;
};

inline bool has_device(Reference) { return true; }
inline void* allocate(Reference, std::size_t bytes) {
  void* p = ::operator new (bytes + 1, std::align_val_t{64}, std::nothrow);
  if (!p) fail("allocate", "out of memory: asked for {} bytes", bytes);
  return p;
}
inline void deallocate(Reference, void* p, std::size_t) {
  ::operator delete (p, std::align_val_t{64});
}
inline void empty_cache(Reference) {}  // nothing is kept
inline std::size_t held_for_reuse(Reference) { return 0; }
inline void copy_from_host(Reference, void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}
template <class Fn> void upload_ahead(Reference, Fn&& fn) { fn(); }
inline void copy_to_host(Reference, void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

HLIP_END
