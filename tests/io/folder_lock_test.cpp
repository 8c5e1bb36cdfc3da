#include <hlip/io/folder_lock.hpp>

#include "temp_folder.hpp"

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <csignal>
#include <optional>

using namespace hlip;

TEST_CASE(
    "folder lock: the second one is refused and told program, process and host of the first") {
  const TempFolder folder;
  std::optional<FolderLock> first(folder.string());
  CHECK(first->held());
  char host[256] = "";
  REQUIRE(::gethostname(host, sizeof(host) - 1) == 0);
  const std::string owner = fmt::format("{}: is in use by {}, process {} on {}", folder.string(),
                                        ::program_invocation_short_name, ::getpid(), host);
  for (int i = 0; i < 3; ++i)
    CHECK_THROWS_WITH_AS(FolderLock(folder.string()), doctest::Contains(owner.c_str()), error);
  first.reset();
  CHECK(folder.entries() == 0);
  const FolderLock next(folder.string());
}

TEST_CASE(
    "folder lock: it goes with its process, however that ends, and what the process left behind "
    "locks nothing") {
  const TempFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.string());
    [[maybe_unused]] const auto said = ::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const std::string process = fmt::format("process {} on ", child);
  CHECK_THROWS_WITH_AS(FolderLock(folder.string()), doctest::Contains(process.c_str()), error);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(is_file(folder / ".lock"));
  const FolderLock mine(folder.string());
  for (const int end : ready) ::close(end);
}

TEST_CASE("folder lock: a folder that is not there is named") {
  CHECK_THROWS_WITH_AS(FolderLock("no/such/folder"),
                       doctest::Contains("no/such/folder/.lock: cannot lock the folder"), error);
}
