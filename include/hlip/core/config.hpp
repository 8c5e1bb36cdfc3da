// The one place that looks at the compiler: marks and build-dependent names.
#pragma once

#if __cplusplus < 202002L
#error "hlip needs C++20: add -std=c++20 (with nvcc, CMake 3.25 has to be given the option itself)"
#endif

// Functions that also run inside device kernels, and the mark of lambdas that do: [=]
// HLIP_LAMBDA(index_t i) { … }.
#if defined(__CUDACC__)
#define HLIP_FN __host__ __device__ inline
#define HLIP_LAMBDA __host__ __device__
#else
#define HLIP_FN inline
#define HLIP_LAMBDA
#endif

// Before a loop over values that a device should keep in registers. (Host compilers decide by
// themselves.)
#if defined(__CUDA_ARCH__)
#define HLIP_UNROLL _Pragma("unroll")
#else
#define HLIP_UNROLL
#endif

// In place of `inline` before a function with a long body: a template nobody names as one. The body
// is compiled where the function is called, not in every file that includes the header; in the
// widest umbrella headers that was a third of the time.
#define HLIP_LAZY template <class = void>
