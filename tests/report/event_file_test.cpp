#include <hlip/io/event_file.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace hlip;

namespace {

std::uint32_t masked(std::string_view bytes) {
  const std::uint32_t c = crc32c(bytes);
  return ((c >> 15) | (c << 17)) + 0xA282EAD8u;
}
template <class T> T at(const std::string& bytes, std::size_t offset) {
  T v;
  std::memcpy(&v, bytes.data() + offset, sizeof(T));
  return v;
}
/// Payloads of all whole records; a cut one at the end is left out. Fails when a checksum is wrong.
std::vector<std::string> records(const std::string& bytes) {
  std::vector<std::string> out;
  for (std::size_t i = 0; bytes.size() - i >= 12;) {
    const auto length = at<std::uint64_t>(bytes, i);
    REQUIRE(at<std::uint32_t>(bytes, i + 8) == masked(std::string_view(bytes).substr(i, 8)));
    if (bytes.size() - i < 16 + length) break;
    out.push_back(bytes.substr(i + 12, length));
    REQUIRE(at<std::uint32_t>(bytes, i + 12 + length) == masked(out.back()));
    i += 16 + length;
  }
  return out;
}

}  // namespace

TEST_CASE("crc32c: the check value of the catalogue and the vectors of RFC 3720") {
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  CHECK(crc32c("") == 0u);
}

TEST_CASE(
    "event file: version record, then one whole record a scalar, at once; cut anywhere it reads to "
    "its last whole record") {
  const TempFolder folder;
  EventFile file(folder / "events");
  CHECK(records(read_file(file.path())).size() == 1);
  file.add_scalar("train/loss", 0.5, 300);
  file.add_scalar("train/lr", 1e-3, 300);
  const std::string bytes = read_file(file.path());  // while the file is still open
  const auto all = records(bytes);
  REQUIRE(all.size() == 3);
  CHECK(
      all[0].ends_with("\x1A\x0D"
                       "brain.Event:2"));
  // step 300 as varint; summary of 19 bytes holding one value of 17: tag, then the float
  CHECK(all[1].substr(9) ==
        std::string("\x10\xAC\x02\x2A\x13\x0A\x11\x0A\x0Atrain/loss\x15\x00\x00\x00\x3F", 24));
  std::size_t whole = 0;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto some = records(bytes.substr(0, size));
    CHECK(some.size() >= whole);
    whole = some.size();
  }
  CHECK(whole == 3);
}

TEST_CASE(
    "event file: a run that goes on makes a second file and voids what was logged from its first "
    "step on") {
  const TempFolder folder;
  { EventFile first(folder / "events"); }
  EventFile second(folder / "events", 7);
  const auto all = records(read_file(second.path()));
  REQUIRE(all.size() == 2);
  // step 7, session_log { status: START }
  CHECK(all[1].substr(9) == std::string("\x10\x07\x3A\x02\x08\x01", 6));
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "events"),
                      std::filesystem::directory_iterator()) == 2);
  CHECK_THROWS_AS(EventFile(folder / "no" + "/such/folder"), error);
}
