// Copies from global to shared memory that pass by the registers and go on while the thread
// computes (cp.async). A thread starts some, commits them as a group, and later waits until but a
// few of its latest groups are done; a barrier then shows them to the block. On a host, and on GPUs
// before compute capability 8.0, a copy is done when it has started. Source: PTX ISA, "Data
// Movement and Conversion Instructions: cp.async".
#pragma once

#include <hlip/core/abi.hpp>

#include <cstdint>
#include <cstring>

HLIP_BEGIN

namespace detail {

#if defined(__CUDA_ARCH__)
/// Where in shared memory a pointer to it points.
__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
#endif

/// Starts copying Bytes (4, 8 or 16, both sides aligned to them) to shared memory; zeros, and
/// nothing is read, unless `there`.
template <int Bytes> HLIP_FN void copy_async(void* to, const void* from, bool there) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const int bytes = there ? Bytes : 0;  // the rest of Bytes becomes zeros
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes), "n"(Bytes)
                 : "memory");
#elif defined(__CUDA_ARCH__)
  for (int i = 0; i < Bytes / 4; ++i)
    static_cast<std::uint32_t*>(to)[i] = there ? static_cast<const std::uint32_t*>(from)[i] : 0;
#else
  if (there) std::memcpy(to, from, Bytes);
  else std::memset(to, 0, Bytes);
#endif
}

/// Makes a group of the copies that this thread has started since the last.
HLIP_FN void commit_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until all groups of this thread but the latest `Pending` are done.
template <int Pending> HLIP_FN void wait_for_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

}  // namespace detail

HLIP_END
