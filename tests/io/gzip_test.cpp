#include "../io/temp_folder.hpp"

#include <hlip/io/gzip.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace hlip;

namespace {

std::string zip(const std::string& text) {
  TempFolder folder;
  atomic_write(folder / "x.gz", [&](AtomicFile& file) {
    GzipWriter gz(file);
    gz.write(std::as_bytes(std::span(text.data(), text.size())));
    gz.finish();
  });
  return read_file(folder / "x.gz");
}
std::string unzip(const std::string& bytes, std::size_t limit) {
  const auto out = gunzip(std::as_bytes(std::span(bytes.data(), bytes.size())), limit, "x.gz");
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}
std::string some_text(std::size_t n) {
  std::string s(n, ' ');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>('a' + (i * i + i / 7) % 26);
  return s;
}

}  // namespace

TEST_CASE("gzip: what is written is read, also in several members and with zero padding") {
  const auto text = some_text(300'000), tail = some_text(5);
  CHECK(unzip(zip(text), text.size()) == text);
  CHECK(unzip(zip(text) + zip(tail), 1 << 20) == text + tail);
  CHECK(unzip(zip(text) + std::string(64, '\0'), 1 << 20) == text);
  CHECK(unzip(zip(""), 0).empty());
  CHECK(zip(text) == zip(text));
}

TEST_CASE("gzip: reading in small steps gives the same bytes") {
  const auto text = some_text(10'000);
  const auto bytes = zip(text);
  GzipReader reader(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.gz");
  std::string out;
  std::byte step[7];
  while (const auto n = reader.read(step)) out.append(reinterpret_cast<const char*>(step), n);
  CHECK(out == text);
}

TEST_CASE("gzip: cut, damaged and followed streams are refused") {
  const auto text = some_text(50'000);
  const auto good = zip(text);
  for (const std::size_t n :
       {std::size_t{2}, std::size_t{10}, good.size() / 2, good.size() - 8, good.size() - 1})
    CHECK_THROWS_WITH_AS(unzip(good.substr(0, n), 1 << 20), doctest::Contains("x.gz: byte"), error);
  auto crc = good;
  crc[crc.size() - 6] = static_cast<char>(crc[crc.size() - 6] ^ 1);
  CHECK_THROWS_WITH_AS(unzip(crc, 1 << 20), doctest::Contains("damaged"), error);
  CHECK_THROWS_WITH_AS(unzip(good + "junk", 1 << 20),
                       doctest::Contains("4 bytes that are not gzip"), error);
  CHECK_THROWS_WITH_AS(unzip("<html>", 1 << 20), doctest::Contains("is not a gzip stream"), error);
}

TEST_CASE("gzip: a bomb stops at the limit") {
  const auto bomb = zip(std::string(50'000'000, '\0'));
  CHECK(max_inflated_size(bomb.size()) >= 50'000'000);
  CHECK_THROWS_WITH_AS(unzip(bomb, 1000), doctest::Contains("more than the 1000 bytes allowed"),
                       error);
}
