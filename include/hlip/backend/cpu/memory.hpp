// Cpu memory: 64-byte aligned; large pieces come from a pool.
#pragma once

#include <hlip/backend/cpu/pool.hpp>
#include <hlip/backend/out_of_memory.hpp>
#include <hlip/core/error.hpp>
#include <hlip/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

HLIP_BEGIN

/// The default backend: OpenMP threads, Eigen for SIMD and matrix products.
struct Cpu {
  static constexpr std::string_view name = "cpu";
  // What is computed again for a product stays in cache
  static constexpr std::int64_t rows_at_a_time = 1024;
};

namespace detail {
/// Aligned host memory, to be freed by deallocate(Cpu); nullptr when there is none.
inline void* allocate_host(std::size_t bytes) {
  if (bytes > MemoryPool::largest) return nullptr;
  return pool_memory && bytes >= MemoryPool::smallest
             ? memory_pool().take(bytes)
             : ::operator new (bytes + 1, std::align_val_t{64}, std::nothrow);
}
}  // namespace detail

inline bool has_device(Cpu) { return true; }
inline void* allocate(Cpu, std::size_t bytes) {
  void* p = detail::allocate_host(bytes);
  if (!p) detail::fail_out_of_memory<Cpu>(bytes);
  return p;
}
inline void deallocate(Cpu, void* p, std::size_t bytes) {
  if (detail::pool_memory && bytes >= detail::MemoryPool::smallest) detail::memory_pool().give(p);
  else ::operator delete (p, std::align_val_t{64});
}
/// Returns memory that freed tensors left behind to the system.
inline void empty_cache(Cpu) { detail::memory_pool().trim(); }
/// Bytes of address space kept for tensors to come; pages that were never touched, or trimmed, take
/// no memory.
inline std::size_t held_for_reuse(Cpu) { return detail::memory_pool().unused(); }
inline void copy_from_host(Cpu, void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}
template <class Fn> void upload_ahead(Cpu, Fn&& fn) { fn(); }
inline void copy_to_host(Cpu, void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

HLIP_END
