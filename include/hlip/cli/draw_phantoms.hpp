// Drawing phantoms below a progress line, so that a stop signal leaves what is there.
#pragma once

#include <hlip/tensor/shape.hpp>
#include <hlip/train/progress.hpp>
#include <hlip/train/stop_signal.hpp>

HLIP_BEGIN

/// Draws phantoms below a progress line. @param write called as write(progress), where
/// progress(done, all) may throw
/// @return false when a stop signal came; the same command goes on
template <class Write> bool draw_phantoms(Write write) {
  ProgressLine drawing;
  const StopAwaited awaited;
  try {
    write([&](index_t done, index_t all) {
      drawing.show(fmt::format("drawing synthetic studies {}/{}", done, all),
                   done % 1000 == 0 || done == all);
      if (stop_requested()) fail("phantoms", "stopped");
    });
  } catch (const error&) {
    if (!stop_requested()) throw;
    drawing.note("stopped while drawing studies; the same command goes on");
    return false;
  }
  drawing.finish();
  return true;
}

HLIP_END
