// The one place that includes Eigen: a SIMD engine behind plain pointers. Eigen types never leave a
// function body. Eigen's own threading would change bits with the thread count, so it stays off.
#pragma once

#if !defined(EIGEN_DONT_PARALLELIZE)
#define EIGEN_DONT_PARALLELIZE
#endif

// g++ 12's AVX-512 intrinsics start from deliberately undefined registers and warn about it
// wherever they are inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// Debian keeps Eigen one folder down; finding it there lets a bare `-I include` work.
#if __has_include(<Eigen/Core>)
#include <Eigen/Core>
#include <unsupported/Eigen/SpecialFunctions>
#else
#include <eigen3/Eigen/Core>
#include <eigen3/unsupported/Eigen/SpecialFunctions>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
