// The names of files that are brought to disk, in their order.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace test {

inline std::vector<std::string>* synced_files = nullptr;  ///< collects them where it is set

}  // namespace test

// In place of the system's; weak, because several files of a program may have it.
extern "C" __attribute__((weak)) int fsync(int fd) {
  if (test::synced_files)
    test::synced_files->push_back(
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)).filename().string());
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
