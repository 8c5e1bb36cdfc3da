// The CUDA runtime as the backend uses it: one device, a stream on which everything is computed in
// order, a second one for batches that are brought up meanwhile, memory from the device's pool, and
// pinned memory through which host values pass. Only builds by nvcc look inside; a host system has
// none of it.
// Needs the CUDA toolkit (cuda_runtime_api.h).
#pragma once

#include <hlip/backend/cuda/config.hpp>

#if defined(HLIP_THRUST_CUDA)

#include <hlip/backend/cuda/staging.hpp>
#include <hlip/core/error.hpp>

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <utility>

HLIP_BEGIN

namespace detail {

/// The first device that CUDA_VISIBLE_DEVICES shows, its streams and its memory pool.
class CudaRuntime {
 public:
  cudaStream_t stream = nullptr, upload_stream = nullptr;
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

  /// The stream of this thread: that of computing, or, within upload_ahead, the other one.
  cudaStream_t stream_here() const { return uploading_ ? upload_stream : stream; }
  /// Puts a copy of host values on its way; `from` may be changed as soon as this returns.
  void upload(void* to, const void* from, std::size_t bytes) {
    (uploading_ ? upload_staging_ : staging_).upload(to, from, bytes, stream_here());
  }
  /// fn() with the stream of uploads as this thread's; returns when what was started there is done.
  template <class Fn> void upload_ahead(Fn&& fn) {
    // Waits for an upload that ended in an exception, too: nobody else knows of the copies
    struct Uploading {
      cudaStream_t stream;
      cudaError_t& status;
      bool before = std::exchange(uploading_, true);
      ~Uploading() {
        uploading_ = before;
        status = cudaStreamSynchronize(stream);
      }
    };
    cudaError_t status = cudaSuccess;
    {
      const Uploading uploading{upload_stream, status};
      fn();
    }
    expect_cuda(status, "upload_ahead");
  }
  /// Waits for everything that writes `from`, and for the copy.
  void download(void* to, const void* from, std::size_t bytes) {
    expect_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "copy_to_host");
    expect_cuda(cudaStreamSynchronize(stream), "copy_to_host");
  }

 private:
  CudaRuntime() {
    constexpr int device = 0;
    int count = 0, pools = 0, major = 0, minor = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
      static_cast<void>(cudaGetLastError());
      fail("cuda", "this machine has no GPU that CUDA can use ({}) (hint: --device cpu)",
           status == cudaSuccess ? "no device" : cudaGetErrorString(status));
    }
    expect_cuda(cudaSetDevice(device), "cuda");
    expect_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cuda");
    expect_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cuda");
    capability = 10 * major + minor;
    expect_cuda(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, device), "cuda");
    if (!pools) fail("cuda", "the GPU has no memory pools (cudaMallocAsync)");
    for (cudaStream_t* made : {&stream, &upload_stream})
      expect_cuda(cudaStreamCreateWithFlags(made, cudaStreamNonBlocking), "cuda");
    expect_cuda(cudaDeviceGetDefaultMemPool(&pool, device), "cuda");
    std::uint64_t keep = UINT64_MAX;  // freed memory waits for the next tensor, see empty_cache
    expect_cuda(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cuda");
  }

  static inline thread_local bool uploading_ = false;
  Staging staging_, upload_staging_;
};

}  // namespace detail

HLIP_END

#endif
