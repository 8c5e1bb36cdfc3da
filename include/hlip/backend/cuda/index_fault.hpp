// An index or label outside its table, as the Cuda backend reports it: a kernel that finds one
// notes it and goes on without it, and the host throws when it reads a value the next time. Looking
// at once would mean waiting for the device.
#pragma once

#include <hlip/backend/cuda/config.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/backend/index_check.hpp>

#include <cstdint>
#include <new>
#include <utility>

HLIP_BEGIN

namespace detail {

/// What a kernel has found.
struct IndexFault {
  /// operation with module path, in host memory: kernels only pass it on. None: nothing was found
  const char* where;
  bool label;
  index_t at, bound;
  std::int64_t value;
};

/// Where it is noted. Pinned memory, which kernels may write and the host may read once it has
/// waited for them; on host systems one for every thread that starts kernels.
inline IndexFault& index_fault() {
#if defined(HLIP_THRUST_CUDA)
  static IndexFault& fault = []() -> IndexFault& {
    static_cast<void>(CudaRuntime::get());
    void* memory = nullptr;
    expect_cuda(cudaMallocHost(&memory, sizeof(IndexFault)), "cuda");
    return *new (memory) IndexFault{};
  }();
#else
  static thread_local IndexFault fault{};
#endif
  return fault;
}

/// Throws what was noted, once. The kernels have been waited for.
inline void throw_index_fault() {
  IndexFault& noted = index_fault();
  if (!noted.where) return;
  const IndexFault fault = std::exchange(noted, IndexFault{});
  if (fault.label) fail_label(fault.where, fault.at, fault.value, fault.bound);
  fail_row_index(fault.where, fault.at, fault.value, fault.bound);
}

}  // namespace detail

HLIP_END
