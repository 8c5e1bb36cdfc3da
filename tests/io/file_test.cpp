#include "temp_folder.hpp"

#include <hlip/io/file.hpp>

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

using namespace hlip;

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
  std::string text(std::size_t{150} << 20, 'x');
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
  each_window_of_file(folder / "empty", [](std::span<const std::byte>) { FAIL("an empty file has no window"); });
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
  CHECK_THROWS_WITH_AS(read_file(folder / "ten", 9), doctest::Contains("is 10 bytes long, the limit is 9"), error);
  CHECK_THROWS_WITH_AS(atomic_write(folder / "no/such/place", "x"), doctest::Contains("cannot create"), error);
  CHECK(read_file(folder / "ten", 10) == "0123456789");
  CHECK(is_file(folder / "ten"));
  CHECK_FALSE(is_file(folder.string()));
}

TEST_CASE("file: an empty file is an empty map") {
  TempFolder folder;
  atomic_write(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").bytes().empty());
}
