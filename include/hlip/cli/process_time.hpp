// How long this process has been running, and where the time went: what a user waits for, which no
// clock started in main can tell.
#pragma once

#include <hlip/core/error.hpp>

#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

HLIP_BEGIN

/// Seconds since this process began, also when it has started itself again since; to 1/100 s, as
/// the system keeps it. Where the system does not say: seconds since the first call.
inline double seconds_since_start() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const double t = static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  static const double begin = [&] {
    char text[1024] = {};
    std::FILE* file = std::fopen("/proc/self/stat", "r");
    if (!file) return t;
    const std::size_t n = std::fread(text, 1, sizeof(text) - 1, file);
    std::fclose(file);
    // The name before it may hold anything
    const char* at = n > 0 ? std::strrchr(text, ')') : nullptr;
    for (int field = 2; at && field < 22; ++field) at = std::strchr(at + 1, ' ');
    const double ticks = at ? std::strtod(at, nullptr) : 0;
    return ticks > 0 ? ticks / static_cast<double>(::sysconf(_SC_CLK_TCK)) : t;
  }();
  return t - begin;
}

/// Names the stretches of a run: each `lap` ends the one before it.
class StartUpTimes {
 public:
  /// @param forward the stretch is the model computing, not getting ready
  void lap(const char* what, bool forward = false) {
    const double now = seconds_since_start();
    text_ += fmt::format("{}{} {:.3f} s", text_.empty() ? "" : ", ", what, now - last_);
    if (!forward) waiting_ += now - last_;
    last_ = now;
  }
  /// Everything without the forward passes.
  double without_forward() const { return waiting_; }
  std::string to_text() const {
    return fmt::format("{}; in all {:.3f} s, without the forward passes {:.3f} s", text_, last_,
                       waiting_);
  }

 private:
  std::string text_;
  double last_ = 0, waiting_ = 0;
};

HLIP_END
