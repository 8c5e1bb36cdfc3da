// Other programs, started and waited for: words as they are and no shell, output into a file
// (Linux).
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/io/file.hpp>
#include <hlip/train/stop_signal.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// How a program ended.
struct ChildEnd {
  int code = 0;    ///< its exit code
  int signal = 0;  ///< or the signal that ended it
  bool good() const { return code == 0 && signal == 0; }
};

/// "exit code 1", "ended by signal 9 (Killed)"
HLIP_LAZY std::string to_string(const ChildEnd& end) {
  return end.signal == 0
             ? fmt::format("exit code {}", end.code)
             : fmt::format("ended by signal {} ({})", end.signal, ::strsignal(end.signal));
}

namespace detail {
inline sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM), ::sigaddset(&set, SIGINT);
  return set;
}

/// While it lives stop signals wait: one that comes meanwhile is delivered afterwards.
class StopSignalsHeld {
 public:
  StopSignalsHeld() {
    const sigset_t set = stop_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~StopSignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  StopSignalsHeld(const StopSignalsHeld&) = delete;
  StopSignalsHeld& operator=(const StopSignalsHeld&) = delete;

 private:
  sigset_t before_;
};

/// In the new process, where stop signals are still held; what is called here may be called between
/// fork and exec.
[[noreturn]] inline void become(char* const* words, int log, pid_t parent) {
  for (const int signal : {SIGTERM, SIGINT, SIGPIPE}) std::signal(signal, SIG_DFL);
  // one that has come since the fork ends this process now, and not a handler that is the parent's
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  // who starts a program that trains for hours and is killed shall leave no such program behind
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (::dup2(nothing, STDIN_FILENO) >= 0 && ::dup2(log, STDOUT_FILENO) >= 0 &&
      ::dup2(log, STDERR_FILENO) >= 0)
    ::execv(words[0], words);
  constexpr std::string_view text = "the program cannot be started\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(127);
}

/// Waits, and asks the program to end when a stop signal comes.
inline ChildEnd wait_for_child(pid_t child) {
  bool told = false;
  for (int status = 0;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child)
      return WIFSIGNALED(status) ? ChildEnd{0, WTERMSIG(status)} : ChildEnd{WEXITSTATUS(status), 0};
    if (ended < 0 && errno != EINTR) return {127, 0};
    if (hlip::stop_requested() && !told) told = ::kill(child, SIGTERM) == 0;
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
}
}  // namespace detail

/// Runs a program to its end. After a stop signal (install_stop_signals) it is sent SIGTERM and
/// waited for: what it makes of that is its business, and stop_requested() says that it happened.
/// Where one has come already no program is started, which then counts as ended by SIGTERM.
/// When this process is killed it is sent SIGTERM too.
/// @param words the path of the program, and what it is given
/// @param log where its output goes, behind what is there
/// @throws hlip::error when the log cannot be written or no process made
HLIP_LAZY ChildEnd run_child(const std::vector<std::string>& words, const std::string& log) {
  expect(!words.empty(), "run_child", "no program is named");
  const detail::Descriptor file(
      ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (file.get() < 0) fail_file(log, "", "cannot be written: {}", std::strerror(errno));
  std::vector<char*> pointers;
  for (const auto& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  pid_t child = -1;
  {
    const detail::StopSignalsHeld held;
    if (hlip::stop_requested()) return {0, SIGTERM};
    const pid_t self = ::getpid();
    child = ::fork();
    if (child == 0) detail::become(pointers.data(), file.get(), self);
    if (child < 0) fail("run_child", "cannot make a process: {}", std::strerror(errno));
  }
  return detail::wait_for_child(child);
}

/// The folder of the running program, where its siblings are.
HLIP_LAZY std::string own_folder() {
  std::string path(4096, '\0');
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  path.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto slash = path.rfind('/');
  if (slash == path.npos) fail_file("/proc/self/exe", "", "does not say where this program is");
  return path.substr(0, slash);
}

/// Words as a shell would read them.
HLIP_LAZY std::string shell_command(const std::vector<std::string>& words) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
  std::string line;
  for (const auto& word : words) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_not_of(plain) == word.npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? "'\\''" : std::string(1, c);
    line += '\'';
  }
  return line;
}

/// The end of a text: so many lines of it at most, and no more than 4000 bytes.
HLIP_LAZY std::string last_lines(std::string_view text, std::size_t lines) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > 4000) text.remove_prefix(text.size() - 4000);
  std::size_t begin = text.size(), found = 0;
  while (begin > 0 && (text[begin - 1] != '\n' || ++found < lines)) --begin;
  return std::string(text.substr(begin));
}

HLIP_END
