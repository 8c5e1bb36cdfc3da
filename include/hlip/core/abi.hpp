// The inline namespace tag. Anything that changes an inline body is part of the name, so that two
// translation units built differently fail to link instead of misbehaving.
#pragma once

#include <hlip/core/config.hpp>

#if defined(_OPENMP)
#define HLIP_ABI_LOOPS v0_omp
#else
#define HLIP_ABI_LOOPS v0_seq
#endif
#if defined(HLIP_WITH_CBLAS)
#define HLIP_ABI_PRODUCTS _cblas
#else
#define HLIP_ABI_PRODUCTS
#endif
// What the Cuda backend runs on (backend/cuda/config.hpp).
#if defined(HLIP_THRUST_CUDA)
#define HLIP_ABI_DEVICE _cuda
#elif defined(HLIP_THRUST_OMP)
#define HLIP_ABI_DEVICE _thrust_omp
#elif defined(HLIP_THRUST_CPP)
#define HLIP_ABI_DEVICE _thrust_cpp
#else
#define HLIP_ABI_DEVICE
#endif
#define HLIP_ABI_PASTE(a, b, c) a##b##c
#define HLIP_ABI_NAME(a, b, c) HLIP_ABI_PASTE(a, b, c)
#define HLIP_ABI HLIP_ABI_NAME(HLIP_ABI_LOOPS, HLIP_ABI_PRODUCTS, HLIP_ABI_DEVICE)

#define HLIP_BEGIN \
  namespace hlip { \
  inline namespace HLIP_ABI {
#define HLIP_END \
  }              \
  }
