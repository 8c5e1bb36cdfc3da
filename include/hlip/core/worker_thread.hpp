// Threads that load data must not start an OpenMP team each.
#pragma once

#include <hlip/core/abi.hpp>

#if defined(_OPENMP)
#include <omp.h>
#endif

HLIP_BEGIN

/// Makes OpenMP loops started by the calling thread run in this thread alone; other threads keep
/// their setting.
inline void use_one_openmp_thread() {
#if defined(_OPENMP)
  omp_set_num_threads(1);
#endif
}

HLIP_END
