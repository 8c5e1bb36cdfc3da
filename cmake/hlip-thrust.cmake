# The Cuda backend (<hlip/backend/cuda.hpp>). Used by the source tree and by hlip-config.cmake alike, and only when asked for.
#
#   hlip::thrust_host  hlip::hlip and Thrust, on host threads (HLIP_THRUST_SYSTEM=OMP, the default) or on one (CPP): any C++ compiler,
#                      Thrust from HLIP_THRUST_INCLUDE_DIR: a distribution's package or the CUDA toolkit's CCCL
#   hlip::cuda         hlip::hlip for a GPU; the project has enabled the language CUDA, and files that include the backend are CUDA files.
#                      Thrust is the toolkit's own
#
# What is missing is listed in hlip_thrust_host_missing and hlip_cuda_missing.

set(hlip_thrust_host_missing)
if(NOT TARGET hlip::thrust_host)
  set(HLIP_THRUST_SYSTEM OMP CACHE STRING "What Thrust runs on in hlip::thrust_host: OMP or CPP")
  find_path(HLIP_THRUST_INCLUDE_DIR thrust/version.h PATHS "$ENV{CUDA_HOME}" /usr/local/cuda PATH_SUFFIXES include/cccl include DOC "Folder of the folder thrust, for hlip::thrust_host")
  mark_as_advanced(HLIP_THRUST_INCLUDE_DIR)
  if(NOT HLIP_THRUST_SYSTEM MATCHES "^(OMP|CPP)$")
    list(APPEND hlip_thrust_host_missing "HLIP_THRUST_SYSTEM to be OMP or CPP, not ${HLIP_THRUST_SYSTEM}")
  endif()
  if(NOT HLIP_THRUST_INCLUDE_DIR)
    list(APPEND hlip_thrust_host_missing "Thrust (libthrust-dev)")
  endif()
  if(NOT hlip_thrust_host_missing)
    add_library(hlip::thrust_host INTERFACE IMPORTED GLOBAL)
    target_link_libraries(hlip::thrust_host INTERFACE hlip::hlip)
    target_include_directories(hlip::thrust_host INTERFACE "${HLIP_THRUST_INCLUDE_DIR}")
    target_compile_definitions(hlip::thrust_host INTERFACE HLIP_WITH_DEVICE HLIP_THRUST_${HLIP_THRUST_SYSTEM})
  endif()
endif()
list(JOIN hlip_thrust_host_missing ", " hlip_thrust_host_missing)

set(hlip_cuda_missing)
if(NOT TARGET hlip::cuda)
  if(NOT CMAKE_CUDA_COMPILER)
    list(APPEND hlip_cuda_missing "the language CUDA, which the project has to enable")
  elseif(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
    list(APPEND hlip_cuda_missing "nvcc 13 or newer, not ${CMAKE_CUDA_COMPILER_VERSION}")
  else()
    find_package(CUDAToolkit QUIET)
    foreach(library cudart cublasLt)
      if(NOT TARGET CUDA::${library})
        list(APPEND hlip_cuda_missing "${library} (CUDA toolkit)")
      endif()
    endforeach()
  endif()
  if(NOT hlip_cuda_missing)
    add_library(hlip::cuda INTERFACE IMPORTED GLOBAL)
    target_link_libraries(hlip::cuda INTERFACE hlip::hlip CUDA::cudart CUDA::cublasLt)
    # FMT_USE_CONSTEXPR: fmt 9 otherwise does not compile under nvcc. EIGEN_NO_CUDA: Eigen stays on the host, and nvcc does not warn.
    target_compile_definitions(hlip::cuda INTERFACE HLIP_WITH_DEVICE HLIP_THRUST_CUDA FMT_USE_CONSTEXPR=1 EIGEN_NO_CUDA)
    # The option for C++20 is spelt out: CMake 3.25 does not know that nvcc has it. 20011, 20014: nvcc warns that bodies for host and
    # device (HLIP_FN) call host functions when the host uses them with SIMD packs; where a device would, it stops with an error. Suppressed for
    # users' code too: a functor of theirs is used with packs like any other, and nvcc 13 gives such a warning where a template is used.
    target_compile_options(hlip::cuda INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--extended-lambda;--expt-relaxed-constexpr;-diag-suppress=20011,20014;-Xcompiler=${OpenMP_CXX_FLAGS}>")
  endif()
endif()
list(JOIN hlip_cuda_missing ", " hlip_cuda_missing)
