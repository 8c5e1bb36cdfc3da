// Runs a function in a process of its own, so that a foreign decoder that a hostile file crashes or
// fills with memory takes nothing along (POSIX).
#pragma once

#include <hlip/core/error.hpp>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <string_view>

HLIP_BEGIN

/// What a process of its own may use.
struct IsolationLimits {
  /// beyond what the caller has mapped; not enforced under sanitizers
  std::uint64_t memory_bytes = std::uint64_t{1} << 32;
  unsigned seconds = 60;  ///< of processor time
};

namespace detail {

inline bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

inline void limit_this_process(const IsolationLimits& limits) {
  const rlimit cpu{limits.seconds, limits.seconds + 1}, core{0, 0};
  ::setrlimit(RLIMIT_CPU, &cpu);
  ::setrlimit(RLIMIT_CORE, &core);
  // The caller's handlers are not ours
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGINT})
    std::signal(signal, SIG_DFL);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  unsigned long pages = 0;
  if (std::FILE* statm = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(statm, "%lu", &pages) != 1) pages = 0;
    std::fclose(statm);
  }
  const rlim_t most = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + limits.memory_bytes;
  const rlimit memory{most, most};
  if (pages > 0) ::setrlimit(RLIMIT_AS, &memory);
#endif
}

}  // namespace detail

/// Calls `fn()`, which gives a std::string, in a copy of this process and returns what it gave.
/// What fn changes stays there. It must use no threads, and no lock that another thread of this
/// process may hold.
/// @param where begins the message when the copy crashes or exceeds a limit: usually the file being
/// read
/// @throws hlip::error with fn's message when it threw; saying what happened when it crashed or
/// exceeded a limit
template <class Fn>
std::string run_isolated(const std::string& where, const IsolationLimits& limits, Fn&& fn) {
  int ends[2];
  pid_t child = -1;
  {
    static std::mutex one_at_a_time;  // otherwise a copy made meanwhile would hold this pipe open
    std::lock_guard lock(one_at_a_time);
    if (::pipe(ends) != 0) fail_file(where, "", "cannot make a pipe: {}", std::strerror(errno));
    child = ::fork();
    if (child != 0) ::close(ends[1]);
  }
  if (child < 0) {
    ::close(ends[0]);
    fail_file(where, "", "cannot make a process: {}", std::strerror(errno));
  }
  if (child == 0) {
    ::close(ends[0]);
    detail::limit_this_process(limits);
    std::string said;
    try {
      said = "=" + fn();
    } catch (const std::bad_alloc&) {
      said = "!" + where + ": there is not enough memory to read it";
    } catch (const std::exception& e) {
      said = std::string("!") + e.what();
    }
    ::_exit(detail::write_all(ends[1], said) ? 0 : 1);
  }
  std::string said;
  for (char buffer[1 << 16];;) {
    const ssize_t n = ::read(ends[0], buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    said.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
    fail_file(where, "", "reading it took more than {} s of processor time, or was killed",
              limits.seconds);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || said.empty())
    fail_file(where, "", "the decoder crashed on it: the file is damaged or hostile");
  // A crashing decoder may have said anything
  if (said.front() == '!') throw error(visible_text(said.substr(1), true));
  return said.substr(1);
}

HLIP_END
