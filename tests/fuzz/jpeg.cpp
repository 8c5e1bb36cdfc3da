// Pictures as JPEG.
#include "fuzz.hpp"

#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/imaging/radiograph_jpeg.hpp>

using namespace hlip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const RadiographLimits limits{.max_pixels = 1 << 18};
  // levels, and before them the coefficients of a progressive picture
  return fuzz::within({1 << 24, 100}, size, [&] {
    const auto x = decode_jpeg_radiograph(fuzz::bytes(data, size), "fuzz.jpg", limits);
    fuzz::promise(x.levels.size() == static_cast<std::size_t>(x.height * x.width) &&
                  x.height * x.width <= limits.max_pixels);
    fuzz::promise(to_byte_picture(x).levels ==
                  std::vector<std::uint8_t>(x.levels.begin(), x.levels.end()));
  });
}
