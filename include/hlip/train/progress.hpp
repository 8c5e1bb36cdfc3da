// One line that tells how a run goes: rewritten in place on a terminal, plain lines elsewhere.
#pragma once

#include <hlip/core/error.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

HLIP_BEGIN

/// "1:23:45", "4:05" or "12 s".
HLIP_LAZY std::string format_duration(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  if (s >= 60) return fmt::format("{}:{:02} min", s / 60, s % 60);
  return fmt::format("{} s", s);
}

/// Writes to stdout. Off a terminal lines of their own are shown: milestones, and whatever comes
/// when the last line is a while ago - ten seconds at first, a minute later. So a run whose steps
/// take minutes tells of each, and one of a thousand steps a second fills no log.
class ProgressLine {
 public:
  /// @param pause the first; each is twice as long as the one before, up to a minute
  explicit ProgressLine(std::chrono::seconds pause = std::chrono::seconds(10))
      : terminal_(::isatty(STDOUT_FILENO) == 1), pause_(pause) {}
  ~ProgressLine() { finish(); }
  bool terminal() const { return terminal_; }

  /// Whether show() would print: what costs something to say need not be said otherwise.
  bool wants(bool milestone) const {
    return terminal_ || milestone || std::chrono::steady_clock::now() - shown_ >= pause_;
  }
  /// Shows `text` in place of what the line showed; off a terminal, prints it when `milestone` or
  /// after a pause.
  void show(std::string_view line, bool milestone) {
    const std::string text = visible_text(line, true);  // names of studies may stand in it
    if (terminal_) {
      std::printf("\r\033[K%s", text.c_str());
      std::fflush(stdout);
      open_ = true;
    } else if (wants(milestone)) {
      std::printf("%s\n", text.c_str());
      std::fflush(stdout);
      shown_ = std::chrono::steady_clock::now();
      pause_ = std::min(2 * pause_, std::chrono::seconds(60));
    }
  }
  /// Prints a line of its own, above the progress line.
  void note(std::string_view line) {
    finish();
    const std::string text = visible_text(line, true);
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
  /// Leaves the last line standing.
  void finish() {
    if (open_) std::printf("\n");
    open_ = false;
  }

 private:
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
  std::chrono::seconds pause_;
};

HLIP_END
