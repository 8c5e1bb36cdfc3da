// SIGTERM and SIGINT ask a run to stop at the next step border, where it writes a checkpoint and exits with 0.
#pragma once

#include <hlip/core/abi.hpp>

#include <csignal>

HLIP_BEGIN

namespace detail {
inline volatile std::sig_atomic_t stop_requested = 0;
}

/// Installs the handlers. A second signal of the same kind ends the program at once.
inline void install_stop_signals() {
  const auto handler = [](int signal) {
    detail::stop_requested = 1;
    std::signal(signal, SIG_DFL);
  };
  std::signal(SIGTERM, handler);
  std::signal(SIGINT, handler);
}
inline bool stop_requested() { return detail::stop_requested != 0; }

HLIP_END
