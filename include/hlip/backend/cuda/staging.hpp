// Pinned memory through which host values pass to a stream: the copy runs while the host goes on.
// Needs the CUDA toolkit (cuda_runtime_api.h); looked into by builds with nvcc alone.
#pragma once

#include <hlip/backend/cuda/config.hpp>

#if defined(HLIP_THRUST_CUDA)

#include <hlip/core/error.hpp>

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <mutex>

HLIP_BEGIN

namespace detail {

/// @throws hlip::error naming the operation and what CUDA says
inline void expect_cuda(cudaError_t status, std::string_view operation) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // otherwise the next call reports it once more
  fail(operation, "CUDA says {}: {}", cudaGetErrorName(status), cudaGetErrorString(status));
}

/// A ring of pinned slots. A step uploads some twenty small things, each behind everything that was
/// started before it; with as many slots as this none of them has to wait until an earlier one has
/// arrived, and a large copy still fills the bus.
class Staging {
 public:
  /// Puts a copy on its way, in the order of the stream; `from` may be changed as soon as this
  /// returns.
  void upload(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
    const std::lock_guard lock(mutex_);
    if (!memory_) prepare();
    for (std::size_t done = 0; done < bytes; next_ = (next_ + 1) % slots) {
      const std::size_t part = std::min(bytes - done, slot_bytes);
      std::byte* slot = memory_ + next_ * slot_bytes;
      expect_cuda(cudaEventSynchronize(free_[next_]), "copy_from_host");
      std::memcpy(slot, static_cast<const std::byte*>(from) + done, part);
      expect_cuda(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, slot, part,
                                  cudaMemcpyHostToDevice, stream),
                  "copy_from_host");
      expect_cuda(cudaEventRecord(free_[next_], stream), "copy_from_host");
      done += part;
    }
  }

 private:
  static constexpr std::size_t slots = 64, slot_bytes = std::size_t{256} << 10;

  void prepare() {
    for (cudaEvent_t& event : free_)
      if (!event)
        expect_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "copy_from_host");
    void* memory = nullptr;
    expect_cuda(cudaMallocHost(&memory, slots * slot_bytes), "copy_from_host");
    memory_ = static_cast<std::byte*>(memory);
  }

  std::mutex mutex_;
  std::byte* memory_ = nullptr;
  std::array<cudaEvent_t, slots> free_{};  // what was copied from the slot has arrived
  std::size_t next_ = 0;
};

}  // namespace detail

HLIP_END

#endif
