// --threads of programs that compute. Needs CLI11.
#pragma once

#include <hlip/core/abi.hpp>

#include <CLI/CLI.hpp>
#include <omp.h>

HLIP_BEGIN

/// How many threads compute. @param threads 0: one for each processor
inline CLI::Option* add_threads_option(CLI::App& app, int& threads) {
  return app.add_option("--threads", threads, "compute threads (default: all cores)")
      ->check(CLI::Range(0, 4096));
}

/// Computes with so many threads from here on. @param threads 0: as many as before
inline void use_compute_threads(int threads) {
  if (threads > 0) omp_set_num_threads(threads);
}

HLIP_END
