// Thrust: the algorithms the backend is written with, and where they run. The only header that
// includes Thrust; its types, which carry the GPU architecture in their names, appear in no
// signature. Needs Thrust (Debian: libthrust-dev) or CCCL (CUDA toolkit).
#pragma once

#include <hlip/backend/cuda/config.hpp>
#include <hlip/backend/cuda/memory.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/tensor/shape.hpp>

#include <thrust/execution_policy.h>
#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/version.h>

#include <cstddef>
#include <cstdint>

#if THRUST_DEVICE_SYSTEM != HLIP_THRUST_DEVICE_SYSTEM
#error "hlip's Cuda backend: THRUST_DEVICE_SYSTEM is not what the CMake target says"
#endif

#if defined(HLIP_THRUST_CUDA)
#if THRUST_VERSION < 300000
#error "hlip's Cuda backend: an older Thrust than the CUDA toolkit's (CCCL 3) comes before it"
#endif
#include <thrust/system/cuda/execution_policy.h>
#endif

HLIP_BEGIN

namespace detail {

/// Where algorithms run: in order on the backend's stream without waiting for it, or on the host.
inline auto thrust_policy() {
#if defined(HLIP_THRUST_CUDA)
  return thrust::cuda::par_nosync.on(CudaRuntime::get().stream);
#else
  return thrust::device;
#endif
}

#if defined(HLIP_THRUST_CUDA)
/// Gives algorithms that need memory that of the stream's pool.
struct ThrustMemory {
  using value_type = char;
  char* allocate(std::ptrdiff_t bytes) {
    return static_cast<char*>(hlip::allocate(Cuda{}, static_cast<std::size_t>(bytes)));
  }
  void deallocate(char* p, std::size_t bytes) { hlip::deallocate(Cuda{}, p, bytes); }
};
#endif

/// Sorts n keys; place[i] becomes the number that key i had before. Equal keys keep their order.
inline void sort_rows(std::int64_t* key, std::int64_t* place, index_t n) {
  thrust::sequence(thrust_policy(), place, place + n);
#if defined(HLIP_THRUST_CUDA)
  ThrustMemory memory;
  thrust::stable_sort_by_key(thrust::cuda::par_nosync(memory).on(CudaRuntime::get().stream), key,
                             key + n, place);
#else
  thrust::stable_sort_by_key(thrust_policy(), key, key + n, place);
#endif
}

}  // namespace detail

HLIP_END
