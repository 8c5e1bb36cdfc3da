// stdin, stdout and stderr as a program finds them: some may be closed, and their readers may go
// away (glibc).
#pragma once

#include <hlip/core/abi.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <initializer_list>

HLIP_BEGIN

/// Opens /dev/null where one of the three is closed: otherwise the next file that is opened gets
/// its number, and messages go there.
inline void open_standard_files() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // is fd
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) [[maybe_unused]]
      const int lowest = ::open("/dev/null", O_RDWR);
}

namespace detail {
/// A stream over a descriptor on which writing never fails: what cannot be written is lost.
inline std::FILE* carefree_stream(int fd, int buffering) {
  cookie_io_functions_t functions{};
  functions.write = [](void* cookie, const char* text, std::size_t size) {
    const auto to = static_cast<int>(reinterpret_cast<std::intptr_t>(cookie));
    for (std::size_t at = 0; at < size;) {
      const ssize_t n = ::write(to, text + at, size - at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    return static_cast<ssize_t>(size);
  };
  std::FILE* stream = ::fopencookie(reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)), "w",
                                    functions);
  if (stream) std::setvbuf(stream, nullptr, buffering, 0);
  return stream;
}
}  // namespace detail

/// From here on a reader of stdout or stderr that goes away (`| head`), or a full disk under them,
/// ends nothing: what is printed after it is lost.
inline void outlive_readers() {
  std::signal(SIGPIPE, SIG_IGN);
  std::fflush(stdout);
  // a variable in glibc, as its manual says
  if (std::FILE* out = detail::carefree_stream(STDOUT_FILENO, _IOLBF)) stdout = out;
  if (std::FILE* err = detail::carefree_stream(STDERR_FILENO, _IONBF)) stderr = err;
}

HLIP_END
