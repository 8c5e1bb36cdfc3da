// One line that tells how a run goes: rewritten in place on a terminal, plain lines elsewhere.
#pragma once

#include <hlip/core/error.hpp>

#include <unistd.h>

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

/// Writes to stdout. Off a terminal only milestones are shown, as lines of their own.
class ProgressLine {
 public:
  ProgressLine() : terminal_(::isatty(STDOUT_FILENO) == 1) {}
  ~ProgressLine() { finish(); }
  bool terminal() const { return terminal_; }

  /// Shows `text` in place of what the line showed; off a terminal, prints it when `milestone`.
  void show(std::string_view line, bool milestone) {
    const std::string text = visible_text(line, true);  // names of studies may stand in it
    if (terminal_) {
      std::printf("\r\033[K%s", text.c_str());
      std::fflush(stdout);
      open_ = true;
    } else if (milestone) {
      std::printf("%s\n", text.c_str());
      std::fflush(stdout);
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
};

HLIP_END
