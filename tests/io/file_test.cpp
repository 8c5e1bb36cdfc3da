#include "temp_folder.hpp"

#include <hlip/io/file.hpp>

#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

using namespace hlip;
using test::error_of;

TEST_CASE("file: what is written atomically is read back, by map and by copy") {
  TempFolder folder;
  const auto path = folder / "a.txt";
  atomic_write(path, "first");
  atomic_write(path, [](AtomicFile& f) {
    f.write("second ");
    f.write("part");
  });
  CHECK(read_file(path) == "second part");
  const MappedFile map(path);
  CHECK(map.text() == "second part");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: the windows of a file are its bytes in order") {
  TempFolder folder;
  std::string text(600'000, 'x');
  for (std::size_t i = 0; i < text.size(); i += 4096) text[i] = static_cast<char>(i >> 12);
  atomic_write(folder / "long", text);
  std::size_t seen = 0, windows = 0;
  each_window_of_file(folder / "long", [&](std::span<const std::byte> bytes) {
    CHECK(std::memcmp(bytes.data(), text.data() + seen, bytes.size()) == 0);
    seen += bytes.size();
    ++windows;
  });
  CHECK(seen == text.size());
  CHECK(windows == 3);
  atomic_write(folder / "empty", "");
  each_window_of_file(folder / "empty",
                      [](std::span<const std::byte>) { FAIL("an empty file has no window"); });
}

TEST_CASE("file: a map that copies on writing leaves the file as it is") {
  TempFolder folder;
  atomic_write(folder / "a", "weights");
  const MappedFile file(folder / "a", MapAccess::copy_on_write);
  const_cast<std::byte*>(file.bytes().data())[0] = std::byte{'W'};
  CHECK(file.text() == "Weights");
  CHECK(read_file(folder / "a") == "weights");
}

TEST_CASE("file: a writer that throws leaves the old file and nothing else") {
  TempFolder folder;
  const auto path = folder / "a.txt";
  atomic_write(path, "old");
  CHECK_THROWS_AS(atomic_write(path,
                               [](AtomicFile& f) {
                                 f.write("half");
                                 fail("test", "stop");
                               }),
                  error);
  CHECK(read_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: running out of space leaves the old file and nothing else") {
  TempFolder folder;
  const auto path = folder / "a.txt";
  atomic_write(path, "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;  // writes beyond this fail as they do on a full disk
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    atomic_write(path, std::string(1 << 20, 'x'));
  } catch (const error& e) {
    message = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK(message.find("a.txt: byte 4096: cannot write") != std::string::npos);
  CHECK(read_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: missing files, folders and long files are refused by name") {
  TempFolder folder;
  atomic_write(folder / "ten", "0123456789");
  CHECK_THROWS_WITH_AS(read_file(folder / "none"), doctest::Contains("none: cannot open"), error);
  CHECK_THROWS_WITH_AS(MappedFile{folder.string()}, doctest::Contains("is a folder"), error);
  CHECK_THROWS_WITH_AS(read_file(folder / "ten", 9),
                       doctest::Contains("is 10 bytes long, the limit is 9"), error);
  CHECK_THROWS_WITH_AS(atomic_write(folder / "no/such/place", "x"),
                       doctest::Contains("cannot create"), error);
  CHECK(read_file(folder / "ten", 10) == "0123456789");
  CHECK(is_file(folder / "ten"));
  CHECK_FALSE(is_file(folder.string()));
}

TEST_CASE("file: an empty file is an empty map") {
  TempFolder folder;
  atomic_write(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").bytes().empty());
}

TEST_CASE(
    "file: a mapped file that is cut while it is read gives a message, on whatever thread it is "
    "read") {
  TempFolder folder;
  const std::string path = folder / "a";
  // before a page, within one, and within the last one, where no signal comes
  for (const long left : {0L, 100L, 5000L, 299'990L}) {
    CAPTURE(left);
    atomic_write(path, std::string(300'000, 'x'));
    atomic_write(folder / "other", std::string(100'000, 'y'));
    const MappedFile file(path), other(folder / "other");
    const auto sum = [](const MappedFile& f) {
      std::uint64_t all = 0;
      for (const char c : f.text()) all += static_cast<std::uint64_t>(c);
      return all;
    };
    CHECK(file.use([&] { return sum(file); }) == 300'000u * 'x');
    REQUIRE(::truncate(path.c_str(), left) == 0);
    const std::string wanted = fmt::format(
        "a: byte {}: the file, of 300000 bytes when it was opened, was cut here while it was read",
        left);
    CHECK_THROWS_WITH_AS(file.use([&] { return sum(file); }), doctest::Contains(wanted.c_str()),
                         error);
    std::string said;
    std::thread([&] {
      said = error_of([&] { file.use([&] { fail("reader", "is no JSON"); }); });
    }).join();
    CHECK(said.find(wanted) != std::string::npos);  // what a reader makes of zeros is not the fault
    CHECK(other.use([&] { return sum(other); }) == 100'000u * 'y');
  }
  // is another file: the map still has its bytes
  atomic_write(path, "a shorter one under the same name");
  const MappedFile file(path);
  atomic_write(path, "");
  CHECK(file.use([&] { return file.text().size(); }) == 33);
}

TEST_CASE(
    "file: outside of MappedFile::use a page that cannot be read ends the program with a message, "
    "and no signal") {
  TempFolder folder;
  const std::string path = folder / "weights";
  atomic_write(path, std::string(100'000, 'x'));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    const MappedFile file(path, MapAccess::copy_on_write);
    if (::truncate(path.c_str(), 10) != 0) ::_exit(2);
    ::_exit(file.text()[90'000] == 'x' ? 3 : 4);
  }
  ::close(ends[1]);
  char said[512] = "";
  CHECK(::read(ends[0], said, sizeof(said) - 1) > 0);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK(std::string(said).find("weights") != std::string::npos);
}

TEST_CASE("file: a disk that fails while a file is read gives a message") {
  // Where no memory of this process lies, its memory reads as a bad sector does.
  CHECK_THROWS_WITH_AS(
      each_window_of_file("/proc/self/mem", [](std::span<const std::byte>) {}),
      doctest::Contains("/proc/self/mem: byte 0: cannot be read: Input/output error"), error);
}
