// Drawing phantoms below a progress line, so that a stop signal leaves what is there.
#pragma once

#include <hlip/tensor/shape.hpp>
#include <hlip/train/progress.hpp>
#include <hlip/train/stop_signal.hpp>

#include <omp.h>

#include <optional>

HLIP_BEGIN

/// Draws phantoms below a progress line.
/// @param threads to draw with, 0: one for each processor
/// @param write called as write(threads, progress), where progress(done, all) may throw
/// @return what write gives, or nothing when a stop signal came; the same command goes on
template <class Write> auto draw_phantoms(int threads, Write write) {
  ProgressLine drawing;
  const auto progress = [&](index_t done, index_t all) {
    drawing.show(fmt::format("drawing synthetic studies {}/{}", done, all),
                 done % 1000 == 0 || done == all);
    if (stop_requested()) fail("phantoms", "stopped");
  };
  std::optional<decltype(write(threads, progress))> written;
  const StopAwaited awaited;
  try {
    written = write(threads > 0 ? threads : omp_get_num_procs(), progress);
    drawing.finish();
  } catch (const error&) {
    if (!stop_requested()) throw;
    drawing.note("stopped while drawing studies; the same command goes on");
  }
  return written;
}

HLIP_END
