// The CUDA runtime as the backend uses it: one device, one stream on which everything happens in order, memory from the stream's
// pool, and pinned buffers through which host values pass. Only builds by nvcc look inside; a host system has none of it.
// Needs the CUDA toolkit (cuda_runtime_api.h).
#pragma once

#include <hlip/backend/cuda/config.hpp>

#if defined(HLIP_THRUST_CUDA)

#include <hlip/core/error.hpp>

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
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

/// The first device that CUDA_VISIBLE_DEVICES shows, its stream and its memory pool.
class CudaRuntime {
 public:
  cudaStream_t stream = nullptr;
  cudaMemPool_t pool = nullptr;
  int capability = 0;  ///< 90 for sm_90

  CudaRuntime(const CudaRuntime&) = delete;
  CudaRuntime& operator=(const CudaRuntime&) = delete;

  /// Never destroyed: tensors with static lifetime are freed after any static object.
  /// @throws hlip::error in a program that finds no GPU
  static CudaRuntime& get() {
    static CudaRuntime& runtime = *new CudaRuntime;
    return runtime;
  }

  /// Puts a copy of host values on its way; `from` may be changed as soon as this returns.
  void upload(void* to, const void* from, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    for (std::size_t done = 0; done < bytes;) {
      Staging& staging = staging_[next_];
      next_ = (next_ + 1) % staging_.size();
      if (!staging.memory) {
        expect_cuda(cudaMallocHost(&staging.memory, staging_bytes), "copy_from_host");
        expect_cuda(cudaEventCreateWithFlags(&staging.used, cudaEventDisableTiming), "copy_from_host");
      } else {
        expect_cuda(cudaEventSynchronize(staging.used), "copy_from_host");
      }
      const std::size_t part = std::min(bytes - done, staging_bytes);
      std::memcpy(staging.memory, static_cast<const std::byte*>(from) + done, part);
      expect_cuda(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, staging.memory, part, cudaMemcpyHostToDevice, stream), "copy_from_host");
      expect_cuda(cudaEventRecord(staging.used, stream), "copy_from_host");
      done += part;
    }
  }
  /// Waits for everything that writes `from`, and for the copy.
  void download(void* to, const void* from, std::size_t bytes) {
    expect_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "copy_to_host");
    expect_cuda(cudaStreamSynchronize(stream), "copy_to_host");
  }

 private:
  struct Staging {
    void* memory = nullptr;
    cudaEvent_t used = nullptr;
  };
  static constexpr std::size_t staging_bytes = std::size_t{8} << 20;

  CudaRuntime() {
    constexpr int device = 0;
    int count = 0, pools = 0, major = 0, minor = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
      static_cast<void>(cudaGetLastError());
      fail("cuda", "this machine has no GPU that CUDA can use ({}) (hint: --device cpu)", status == cudaSuccess ? "no device" : cudaGetErrorString(status));
    }
    expect_cuda(cudaSetDevice(device), "cuda");
    expect_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cuda");
    expect_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cuda");
    capability = 10 * major + minor;
    expect_cuda(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, device), "cuda");
    if (!pools) fail("cuda", "the GPU has no memory pools (cudaMallocAsync)");
    expect_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cuda");
    expect_cuda(cudaDeviceGetDefaultMemPool(&pool, device), "cuda");
    std::uint64_t keep = UINT64_MAX;  // freed memory waits for the next tensor, see empty_cache
    expect_cuda(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cuda");
  }

  std::mutex mutex_;
  std::array<Staging, 2> staging_;
  std::size_t next_ = 0;
};

}  // namespace detail

HLIP_END

#endif
