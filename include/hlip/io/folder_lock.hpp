// One process at a time in a folder (Linux).
#pragma once

#include <hlip/io/file.hpp>

#include <sys/file.h>

#include <cstdio>
#include <string>

HLIP_BEGIN

/// Keeps every other FolderLock out of a folder until it goes, or its process does, however that
/// ends: the system holds the lock, on FOLDER/.lock, and gives it up. What is written in that file
/// - host, process and program - only serves the message of those who are refused; a file that a
/// killed process left behind locks nothing.
class FolderLock {
 public:
  /// @param folder an existing one
  /// @throws hlip::error naming host and process when another one is at work there, or when the
  /// file cannot be made
  HLIP_LAZY explicit FolderLock(const std::string& folder)
      : path_(folder + "/.lock"), file_(open_locked(folder, path_, held_)) {
    char host[256] = "";
    if (::gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
      std::snprintf(host, sizeof(host), "unknown-host");
    const std::string owner = fmt::format("{} {} {}\n", host, ::getpid(),
                                          ::program_invocation_short_name);
    if (::ftruncate(file_.get(), 0) != 0 ||
        ::pwrite(file_.get(), owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size()))
      fail_file(path_, "", "cannot write: {}", std::strerror(errno));
  }
  /// Unlocked only when the file is gone: whoever opened it meanwhile looks again.
  ~FolderLock() { ::unlink(path_.c_str()); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// False on a file system without locks, where nobody can be kept out.
  bool held() const { return held_; }

 private:
  HLIP_LAZY static int open_locked(const std::string& folder, const std::string& path, bool& held) {
    for (;;) {
      detail::Descriptor file(
          ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
      if (file.get() < 0) fail_file(path, "", "cannot lock the folder: {}", std::strerror(errno));
      held = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
      if (!held && errno == EINTR) continue;
      if (!held && errno == EWOULDBLOCK)
        fail_file(folder, "", "{} (hint: take another folder, or wait until it has ended)",
                  in_use(file.get()));
      if (!held && errno != ENOSYS && errno != EOPNOTSUPP && errno != ENOLCK)
        fail_file(path, "", "cannot lock the folder: {}", std::strerror(errno));
      struct stat locked {
      }, named{};
      const bool same = ::fstat(file.get(), &locked) == 0 && ::stat(path.c_str(), &named) == 0 &&
                        locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
      if (same || !held) return file.release();
    }  // the owner before us removed the file that was locked here: there may be a new one by now
  }
  HLIP_LAZY static std::string in_use(int file) {
    char text[512] = "";
    const ssize_t size = ::pread(file, text, sizeof(text) - 1, 0);
    const std::string owner(text, size > 0 ? static_cast<std::size_t>(size) : 0);
    const auto first = owner.find(' '), second = owner.find(' ', first + 1), end = owner.find('\n');
    if (first == owner.npos || second == owner.npos || end == owner.npos)
      return "another process is at work here";
    return fmt::format("is in use by {}, process {} on {}",
                       owner.substr(second + 1, end - second - 1),
                       owner.substr(first + 1, second - first - 1), owner.substr(0, first));
  }

  std::string path_;
  bool held_ = false;
  detail::Descriptor file_;
};

HLIP_END
