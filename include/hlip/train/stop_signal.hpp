// SIGTERM and SIGINT ask a run to stop: it gives up the step it is at, writes a checkpoint and
// exits with 0.
#pragma once

#include <hlip/core/abi.hpp>

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <initializer_list>

HLIP_BEGIN

namespace detail {
inline volatile std::sig_atomic_t stop_requested = 0;
inline std::atomic<int> stops_awaited{0};  // lock-free: a handler reads it
inline const char* how_to_go_on = "";
}  // namespace detail

/// Lives where stop_requested() is asked every few seconds, so that a stop signal may wait for
/// that.
class StopAwaited {
 public:
  StopAwaited() { ++detail::stops_awaited; }
  ~StopAwaited() { --detail::stops_awaited; }
  StopAwaited(const StopAwaited&) = delete;
  StopAwaited& operator=(const StopAwaited&) = delete;
};

/// Installs the handlers. Where no StopAwaited lives - while data are looked through, in the last
/// evaluation - there is nothing to save, and the program ends at once, with 0. A second signal of
/// the same kind ends it at once everywhere.
/// @param how_to_go_on what is printed then, text that stays
inline void install_stop_signals(const char* how_to_go_on) {
  detail::how_to_go_on = how_to_go_on;
  const auto handler = [](int signal) {
    if (detail::stops_awaited == 0) {
      for (const char* text : {"\nstopped; ", detail::how_to_go_on, "\n"})
        [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text, std::strlen(text));
      ::_exit(0);
    }
    detail::stop_requested = 1;
    std::signal(signal, SIG_DFL);
  };
  std::signal(SIGTERM, handler);
  std::signal(SIGINT, handler);
}
inline bool stop_requested() { return detail::stop_requested != 0; }

HLIP_END
