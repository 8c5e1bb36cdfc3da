// What OpenMP threads do while they wait: spin, as libgomp lets them unless told otherwise, or
// sleep.
#pragma once

#include <hlip/core/abi.hpp>

#include <unistd.h>

#include <cstdlib>

HLIP_BEGIN

/// Makes waiting OpenMP threads sleep instead of spin, unless the environment says otherwise:
/// beside loader threads or other programs spinning starves the threads that work (measured on two
/// busy cores: 19 samples/s against 137). For the first line of main: libgomp reads its environment
/// before, so the program starts itself once more; the process stays the same. A library cannot do
/// this to the program that uses it; the programs of hlip do, and yours may (or set
/// OMP_WAIT_POLICY=passive outside).
/// @param argv of main
inline void let_waiting_threads_sleep(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  ::setenv("OMP_WAIT_POLICY", "passive", 1);
  ::execv("/proc/self/exe", argv);  // where this fails, the program goes on as it is
}

HLIP_END
