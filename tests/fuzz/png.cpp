// Pictures as PNG. The checksum of every chunk is mended first: no mutation would get past it.
#include "fuzz.hpp"

#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/imaging/radiograph_png.hpp>

#include <zlib.h>

using namespace hlip;

namespace {

void mend_checksums(std::string& png) {
  const auto number = [&](std::size_t at) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(png[at + i]);
    return n;
  };
  for (std::size_t at = 8; at + 12 <= png.size();) {
    const std::size_t length = number(at);
    if (length > png.size() - at - 12) return;
    const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(png.data() + at + 4),
                             static_cast<uInt>(length + 4));
    for (std::size_t i = 0; i < 4; ++i)
      png[at + 8 + length + i] = static_cast<char>(crc >> (24 - 8 * i) & 255);
    at += 12 + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string png(fuzz::text(data, size));
  mend_checksums(png);
  const RadiographLimits limits{.max_pixels = 1 << 20};
  // levels, and before them all rows of an interlaced picture
  return fuzz::within({1 << 24, 100}, size, [&] {
    const auto x = decode_png_radiograph(std::as_bytes(std::span(png)), "fuzz.png", limits);
    fuzz::promise(x.levels.size() == static_cast<std::size_t>(x.height * x.width) &&
                  x.height * x.width <= limits.max_pixels);
    fuzz::promise(to_byte_picture(x).levels.size() == x.levels.size());
  });
}
