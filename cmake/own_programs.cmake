# What hlip's own programs (tests, examples, benchmarks) are compiled with. None of it reaches consumers.

if(NOT TARGET hlip::full)
  message(FATAL_ERROR "hlip's tests, examples and benchmarks need ${hlip_full_missing}: install them (scripts/setup.sh does), "
                      "or configure the library alone with -DHLIP_BUILD_TESTS=OFF -DHLIP_BUILD_EXAMPLES=OFF -DHLIP_BUILD_BENCHMARKS=OFF")
endif()

if(NOT TARGET hlip::dicom)
  message(STATUS "hlip: programs without DICOM, because ${hlip_dicom_missing} is not there")
endif()

add_library(hlip_own INTERFACE)
target_link_libraries(hlip_own INTERFACE hlip::full)
target_compile_options(hlip_own INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;$<$<BOOL:${HLIP_WERROR}>:-Werror>>")
target_compile_options(hlip_own INTERFACE "$<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${HLIP_WERROR}>>:-Werror=all-warnings>")
if(HLIP_DEVICE)
  target_link_libraries(hlip_own INTERFACE ${hlip_device_target})
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Its own AVX-512 intrinsics read uninitialised values on purpose and are reported in our name (GCC bug 105593).
  target_compile_options(hlip_own INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-uninitialized;-Wno-maybe-uninitialized>")
endif()

if(HLIP_NATIVE)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-march=native HLIP_HAS_MARCH_NATIVE)
  if(HLIP_HAS_MARCH_NATIVE)
    target_compile_options(hlip_own INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
    # Part of every command line: on a machine with another processor, objects made here are not used again,
    # neither from the build folder nor from a compiler cache.
    if(EXISTS /proc/cpuinfo)
      file(STRINGS /proc/cpuinfo cpu_flags REGEX "^(flags|Features)" LIMIT_COUNT 1)
      string(MD5 cpu_hash "${cpu_flags}")
      string(SUBSTRING "${cpu_hash}" 0 8 cpu_hash)
      target_compile_definitions(hlip_own INTERFACE HLIP_BUILT_FOR_CPU=0x${cpu_hash})
    endif()
  endif()
endif()

if(HLIP_BLAS)
  if(NOT TARGET hlip::blas)
    message(FATAL_ERROR "HLIP_BLAS is on, but neither OpenBLAS, BLIS nor MKL was found (Debian: libopenblas-openmp-dev or libblis-openmp-dev)")
  endif()
  target_link_libraries(hlip_own INTERFACE hlip::blas)
endif()

# What a user's compiler is called with, one option a line, for the tests and benchmarks that call it themselves.
# (-I, not -isystem: a folder the compiler searches anyway then keeps its place.)
set(include_dirs "$<TARGET_PROPERTY:hlip::full,INTERFACE_INCLUDE_DIRECTORIES>;$<TARGET_PROPERTY:Eigen3::Eigen,INTERFACE_INCLUDE_DIRECTORIES>")
if(TARGET hlip::dicom)
  list(APPEND include_dirs "$<TARGET_PROPERTY:hlip::dicom,INTERFACE_INCLUDE_DIRECTORIES>")
endif()
set(definitions "$<TARGET_PROPERTY:hlip::full,INTERFACE_COMPILE_DEFINITIONS>")
file(GENERATE OUTPUT "${PROJECT_BINARY_DIR}/compile_options.txt" CONTENT
"-std=c++20
${OpenMP_CXX_FLAGS}
-D$<JOIN:$<REMOVE_DUPLICATES:${definitions}>,
-D>
-I${PROJECT_SOURCE_DIR}/include
-I$<JOIN:$<REMOVE_DUPLICATES:${include_dirs}>,
-I>
")
