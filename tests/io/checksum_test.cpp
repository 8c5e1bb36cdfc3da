#include <hlip/io/checksum.hpp>

#include <doctest/doctest.h>
#include <omp.h>

#include <string>
#include <string_view>

using namespace hlip;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

TEST_CASE("checksum: the CRC-32 everybody computes, for any length and number of threads") {
  CHECK(crc32_of({}) == 0);
  CHECK(crc32_of(bytes_of("123456789")) == 0xCBF43926u);  // the check value of CRC-32/ISO-HDLC
  std::string text(std::size_t{9} << 20, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i >> 7);
  const int before = omp_get_max_threads();
  for (const std::size_t n : {std::size_t{1}, (std::size_t{1} << 22) - 1, std::size_t{1} << 22,
                              (std::size_t{1} << 22) + 1, text.size()}) {
    const auto want = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(n)));
    for (const int threads : {1, 3}) {
      omp_set_num_threads(threads);
      CHECK(crc32_of(bytes_of(text).first(n)) == want);
    }
  }
  omp_set_num_threads(before);
  CHECK(crc32_of(bytes_of(text).subspan(5000000), crc32_of(bytes_of(text).first(5000000))) ==
        crc32_of(bytes_of(text)));
}
