// What the Cuda backend computes on, by name, and the most memory it has taken there.
#pragma once

#include <hlip/backend/cuda/config.hpp>
#include <hlip/backend/cuda/runtime.hpp>
#include <hlip/core/error.hpp>

#include <cstdint>
#include <optional>
#include <string>

HLIP_BEGIN

/// Bytes of the memory pool: what tensors and kernels had in use at most, and what the pool had
/// taken from the GPU at most.
struct DevicePeak {
  std::uint64_t used = 0, reserved = 0;
};

#if defined(HLIP_THRUST_CUDA)

/// As the driver calls it: "NVIDIA H100 80GB HBM3".
inline std::string device_name(Cuda) {
  static_cast<void>(detail::CudaRuntime::get());
  int device = 0;
  cudaDeviceProp properties{};
  detail::expect_cuda(cudaGetDevice(&device), "device_name");
  detail::expect_cuda(cudaGetDeviceProperties(&properties, device), "device_name");
  return properties.name;
}
/// Since the process began; nothing where the memory is the host's.
inline std::optional<DevicePeak> device_peak(Cuda) {
  DevicePeak peak;
  const cudaMemPool_t pool = detail::CudaRuntime::get().pool;
  detail::expect_cuda(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &peak.used),
                      "device_peak");
  detail::expect_cuda(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &peak.reserved),
                      "device_peak");
  return peak;
}

#else

inline std::string device_name(Cuda) {
#if defined(HLIP_THRUST_OMP)
  return "host threads, no GPU";
#else
  return "one host thread, no GPU";
#endif
}
inline std::optional<DevicePeak> device_peak(Cuda) { return std::nullopt; }

#endif

HLIP_END
