// Cuda memory: the stream-ordered pool of the GPU, or, where Thrust runs on the host, the memory of
// Cpu.
#pragma once

#include <hlip/backend/cuda/config.hpp>
#include <hlip/backend/cuda/index_fault.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/backend/out_of_memory.hpp>
#include <hlip/core/error.hpp>
#include <hlip/tensor/shape.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

#if !defined(HLIP_THRUST_CUDA)
#include <hlip/backend/cpu/memory.hpp>
#endif

HLIP_BEGIN

#if defined(HLIP_THRUST_CUDA)

/// Whether this machine has what the backend computes on.
inline bool has_device(Cuda) {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count > 0;
  static_cast<void>(cudaGetLastError());
  return false;
}

/// @throws hlip::error when the GPU has no more, or there is no GPU
inline void* allocate(Cuda, std::size_t bytes) {
  auto& runtime = detail::CudaRuntime::get();
  const std::size_t size = bytes > 0 ? bytes : 1;
  void* p = nullptr;
  cudaError_t status = cudaMallocAsync(&p, size, runtime.stream_here());
  if (status == cudaErrorMemoryAllocation) {  // what is kept for reuse may lie in the wrong pieces
    static_cast<void>(cudaGetLastError());
    detail::expect_cuda(cudaStreamSynchronize(runtime.stream), "allocate");
    detail::expect_cuda(cudaMemPoolTrimTo(runtime.pool, 0), "allocate");
    status = cudaMallocAsync(&p, size, runtime.stream_here());
  }
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    std::size_t free = 0, total = 0;
    detail::expect_cuda(cudaMemGetInfo(&free, &total), "allocate");
    detail::fail_out_of_memory<Cuda>(
        bytes, fmt::format("{} of {} MiB of the GPU are free", free >> 20, total >> 20));
  }
  detail::expect_cuda(status, "allocate");
  return p;
}
inline void deallocate(Cuda, void* p, std::size_t) {
  // Fails only when the program is ending, and the driver before it
  if (p) static_cast<void>(cudaFreeAsync(p, detail::CudaRuntime::get().stream_here()));
}
/// Returns memory that freed tensors left behind to the driver.
inline void empty_cache(Cuda) {
  auto& runtime = detail::CudaRuntime::get();
  detail::expect_cuda(cudaStreamSynchronize(runtime.stream), "empty_cache");
  detail::expect_cuda(cudaMemPoolTrimTo(runtime.pool, 0), "empty_cache");
}
/// Bytes kept for tensors to come.
inline std::size_t held_for_reuse(Cuda) {
  std::uint64_t reserved = 0, used = 0;
  const cudaMemPool_t pool = detail::CudaRuntime::get().pool;
  detail::expect_cuda(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved),
                      "held_for_reuse");
  detail::expect_cuda(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used),
                      "held_for_reuse");
  return static_cast<std::size_t>(reserved - used);
}
/// Returns before the copy is done, but not before `from` has been read.
inline void copy_from_host(Cuda, void* to, const void* from, std::size_t bytes) {
  if (bytes) detail::CudaRuntime::get().upload(to, from, bytes);
}
/// fn(), in which this thread may allocate, and copy from the host to what it has allocated: on a
/// stream of its own, beside what is being computed. The copies have arrived when it returns.
///
/// Memory of the pool passes from one stream to the other: an allocation here only gets what the
/// computing stream has given back and is done with, or has the stream of uploads wait for it (CUDA
/// programming guide, "Stream-Ordered Memory Allocator"); and since it has been waited for, it may
/// be used and freed on the computing stream.
template <class Fn> void upload_ahead(Cuda, Fn&& fn) {
  detail::CudaRuntime::get().upload_ahead(fn);
}

#else

inline bool has_device(Cuda) { return true; }
inline void* allocate(Cuda, std::size_t bytes) {
  void* p = detail::allocate_host(bytes);
  if (!p) detail::fail_out_of_memory<Cuda>(bytes);
  return p;
}
inline void deallocate(Cuda, void* p, std::size_t bytes) { deallocate(Cpu{}, p, bytes); }
inline void empty_cache(Cuda) { empty_cache(Cpu{}); }
inline std::size_t held_for_reuse(Cuda) { return held_for_reuse(Cpu{}); }
inline void copy_from_host(Cuda, void* to, const void* from, std::size_t bytes) {
  copy_from_host(Cpu{}, to, from, bytes);
}
template <class Fn> void upload_ahead(Cuda, Fn&& fn) { fn(); }

#endif

namespace detail {
/// How often the host has waited for what the device computes: once for each copy to the host, and
/// nowhere else.
inline std::atomic<std::uint64_t> cuda_waits{0};
}  // namespace detail

/// Waits for the copy, and so for everything before it.
/// @throws hlip::error if a kernel has met an index or label outside its table since the last copy
inline void copy_to_host(Cuda, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  ++detail::cuda_waits;
#if defined(HLIP_THRUST_CUDA)
  detail::CudaRuntime::get().download(to, from, bytes);
#else
  copy_to_host(Cpu{}, to, from, bytes);
#endif
  detail::throw_index_fault();
}

namespace detail {

/// n uninitialised elements of Cuda memory for the time of one kernel call. Freed in the order of
/// the stream, so a kernel that was only started may still use it.
template <class T> class CudaScratch {
 public:
  explicit CudaScratch(index_t n)
      : bytes_(static_cast<std::size_t>(n) * sizeof(T)),
        data_(static_cast<T*>(allocate(Cuda{}, bytes_))) {}
  /// Host values, uploaded.
  CudaScratch(const T* host, index_t n) : CudaScratch(n) {
    copy_from_host(Cuda{}, data_, host, bytes_);
  }
  ~CudaScratch() { deallocate(Cuda{}, data_, bytes_); }
  CudaScratch(const CudaScratch&) = delete;
  CudaScratch& operator=(const CudaScratch&) = delete;

  T* data() const { return data_; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace detail

HLIP_END
