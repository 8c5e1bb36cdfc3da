// What the Cuda backend runs on in this build. The same code is compiled
//   by nvcc for a GPU                      HLIP_THRUST_CUDA, set by the CMake target hlip::cuda
//   by any C++ compiler for OpenMP threads HLIP_THRUST_OMP,  set by hlip::thrust_host
//   by any C++ compiler for one thread     HLIP_THRUST_CPP,  set by hlip::thrust_host with
//                                          HLIP_THRUST_SYSTEM=CPP
// The choice is part of the name of everything in hlip (core/abi.hpp): halves of a program built
// differently do not link.
#pragma once

#include <hlip/core/abi.hpp>

#include <cstdint>
#include <string_view>

// Thrust's own numbers for its systems, checked where Thrust is included (thrust.hpp).
#if defined(HLIP_THRUST_CUDA) + defined(HLIP_THRUST_OMP) + defined(HLIP_THRUST_CPP) != 1
#error "hlip's Cuda backend: link hlip::cuda or hlip::thrust_host, which say what it runs on"
#elif defined(HLIP_THRUST_CUDA)
#if !defined(__CUDACC__)
#error \
    "hlip's Cuda backend: nvcc has to compile this file (CMake: LANGUAGE CUDA), or link thrust_host"
#endif
#define HLIP_THRUST_DEVICE_SYSTEM 1
#elif defined(HLIP_THRUST_OMP)
#define HLIP_THRUST_DEVICE_SYSTEM 2
#else
#define HLIP_THRUST_DEVICE_SYSTEM 4
#endif
#if !defined(THRUST_DEVICE_SYSTEM)
#define THRUST_DEVICE_SYSTEM HLIP_THRUST_DEVICE_SYSTEM
#endif

HLIP_BEGIN

/// A GPU, through Thrust, cuBLASLt and block programs; or a host that runs the same code (see
/// config.hpp).
struct Cuda {
  static constexpr std::string_view name = "cuda";
  static constexpr bool stores_bfloat16 = true;
  // A product of fewer rows leaves parts of a large GPU idle
  static constexpr std::int64_t rows_at_a_time = 16384;
};

HLIP_END
