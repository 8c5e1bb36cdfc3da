// The inline namespace tag. Anything that changes an inline body is part of the name, so that two
// translation units built differently fail to link instead of misbehaving.
#pragma once

#include <hlip/core/config.hpp>

#if defined(_OPENMP) && defined(HLIP_WITH_CBLAS)
#define HLIP_ABI v0_omp_cblas
#elif defined(_OPENMP)
#define HLIP_ABI v0_omp
#elif defined(HLIP_WITH_CBLAS)
#define HLIP_ABI v0_seq_cblas
#else
#define HLIP_ABI v0_seq
#endif

#define HLIP_BEGIN     \
  namespace hlip {     \
  inline namespace HLIP_ABI {
#define HLIP_END \
  }              \
  }
