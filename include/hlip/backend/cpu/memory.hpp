// Cpu memory: 64-byte aligned, plain.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/fwd.hpp>

#include <cstddef>
#include <cstring>
#include <new>

HLIP_BEGIN

/// The default backend: OpenMP threads, Eigen for SIMD and matrix products.
struct Cpu {
  static constexpr std::string_view name = "cpu";
};

inline void* allocate(Cpu, std::size_t bytes) {
  void* p = ::operator new(bytes + 1, std::align_val_t{64}, std::nothrow);
  if (!p) fail("allocate", "out of memory: asked for {} bytes", bytes);
  return p;
}
inline void deallocate(Cpu, void* p, std::size_t) { ::operator delete(p, std::align_val_t{64}); }
inline void copy_from_host(Cpu, void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}
inline void copy_to_host(Cpu, void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

HLIP_END
