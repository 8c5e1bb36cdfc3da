// Radiographs from PNG and JPEG: every kind that is read, and those that are refused.
#include "pictures.hpp"

#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/imaging/augment/byte_picture.hpp>
#include <hlip/imaging/read_radiograph.hpp>

#include <filesystem>

using namespace hlip;

namespace {

using Levels = std::vector<std::uint16_t>;

Radiograph radiograph_of(const std::string& file, const RadiographLimits& limits = {}) {
  const TempFolder folder;
  atomic_write(folder / "x.png", file);
  return read_radiograph(folder / "x.png", limits);
}
std::string radiograph_fault(const std::string& file, const RadiographLimits& limits = {}) {
  return test::error_of([&] { radiograph_of(file, limits); });
}
bool tells(const std::string& message, std::string_view part) {
  if (message.find("/x.png: ") != message.npos && message.find(part) != message.npos) return true;
  MESSAGE(message);
  return false;
}
std::vector<std::uint8_t> ramp(std::size_t n, unsigned step = 3) {
  std::vector<std::uint8_t> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(i * step);
  return out;
}
/// Each value `times` over, with something behind it.
std::vector<std::uint8_t> repeated(const std::vector<std::uint8_t>& x, int times, int behind = -1) {
  std::vector<std::uint8_t> out;
  for (const auto v : x) {
    out.insert(out.end(), static_cast<std::size_t>(times), v);
    if (behind >= 0) out.push_back(static_cast<std::uint8_t>(behind));
  }
  return out;
}

}  // namespace

TEST_CASE("radiograph: a PNG of 8 bits is read as it is, grey, with alpha, in equal colours") {
  const auto x = ramp(12 * 7);
  const Levels want(x.begin(), x.end());
  for (const bool interlaced : {false, true}) {
    const auto grey = radiograph_of(test::png_file(12, 7, 8, PNG_COLOR_TYPE_GRAY, x, interlaced));
    CHECK(grey.height == 7);
    CHECK(grey.width == 12);
    CHECK(grey.bits == 8);
    CHECK(grey.levels == want);
    CHECK(grey.window == std::array<double, 2>{0, 255});
    CHECK_FALSE(grey.spacing.has_value());
    CHECK(grey.source.ends_with("x.png"));
    for (const auto& file :
         {test::png_file(12, 7, 8, PNG_COLOR_TYPE_GRAY_ALPHA, repeated(x, 1, 90), interlaced),
          test::png_file(12, 7, 8, PNG_COLOR_TYPE_RGB, repeated(x, 3), interlaced),
          test::png_file(12, 7, 8, PNG_COLOR_TYPE_RGB_ALPHA, repeated(x, 3, 0), interlaced)})
      CHECK(radiograph_of(file).levels == want);
  }
}

TEST_CASE("radiograph: a PNG of fewer bits or with a palette becomes levels of 8 bits") {
  CHECK(radiograph_of(test::png_file(8, 1, 1, PNG_COLOR_TYPE_GRAY, {0b10110000})).levels ==
        Levels{255, 0, 255, 255, 0, 0, 0, 0});
  CHECK(radiograph_of(test::png_file(4, 1, 2, PNG_COLOR_TYPE_GRAY, {0b00011011})).levels ==
        Levels{0, 85, 170, 255});
  CHECK(radiograph_of(test::png_file(2, 1, 4, PNG_COLOR_TYPE_GRAY, {0x0F})).levels ==
        Levels{0, 255});
  CHECK(radiograph_of(test::png_file(3, 1, 8, PNG_COLOR_TYPE_PALETTE, {2, 0, 1}, false,
                                     {{9, 9, 9}, {70, 70, 70}, {200, 200, 200}}))
            .levels == Levels{200, 9, 70});
}

TEST_CASE("radiograph: a PNG of 16 bits keeps them, and its range is its window") {
  const std::vector<std::uint8_t> rows = {0x01, 0x00, 0x02, 0x80, 0x04, 0x00, 0x03, 0xFF};
  const auto x = radiograph_of(test::png_file(2, 2, 16, PNG_COLOR_TYPE_GRAY, rows));
  CHECK(x.bits == 16);
  CHECK(x.levels == Levels{256, 640, 1024, 1023});
  CHECK(x.window == std::array<double, 2>{256, 1024});
  CHECK(to_byte_picture(x).levels == std::vector<std::uint8_t>{0, 128, 255, 255});
  std::vector<std::uint8_t> colours;
  for (std::size_t i = 0; i < rows.size(); i += 2)
    for (int c = 0; c < 3; ++c) colours.insert(colours.end(), {rows[i], rows[i + 1]});
  CHECK(radiograph_of(test::png_file(2, 2, 16, PNG_COLOR_TYPE_RGB, colours)).levels == x.levels);
  colours.back() ^= 1;  // blue, by the smallest step
  CHECK(tells(radiograph_fault(test::png_file(2, 2, 16, PNG_COLOR_TYPE_RGB, colours)),
              "row 1: is a coloured picture, expected a grey one"));
}

TEST_CASE("radiograph: coloured pictures are refused") {
  auto colours = repeated(ramp(6 * 5), 3);
  colours[3 * 13 + 1] ^= 1;
  CHECK(tells(radiograph_fault(test::png_file(6, 5, 8, PNG_COLOR_TYPE_RGB, colours)),
              "row 2: is a coloured picture"));
  CHECK(tells(
      radiograph_fault(test::png_file(1, 1, 8, PNG_COLOR_TYPE_PALETTE, {0}, false, {{9, 8, 9}})),
      "is a coloured picture"));
  std::vector<std::uint8_t> red(16 * 16 * 3, 30);
  for (std::size_t i = 0; i < red.size(); i += 3) red[i] = 200;
  CHECK(tells(radiograph_fault(test::jpeg_file(16, 16, JCS_RGB, red)), "is a coloured picture"));
  CHECK(tells(radiograph_fault(test::jpeg_file(8, 8, JCS_CMYK, ramp(8 * 8 * 4))),
              "neither grey, YCbCr nor RGB"));
}

TEST_CASE("radiograph: a JPEG is read, grey or in colours without colour, progressive or not") {
  std::vector<std::uint8_t> smooth;
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 33; ++x) smooth.push_back(static_cast<std::uint8_t>(3 * x + 2 * y));
  for (const bool progressive : {false, true})
    for (const bool grey : {true, false}) {
      const auto x = radiograph_of(test::jpeg_file(
          33, 40, grey ? JCS_GRAYSCALE : JCS_RGB, repeated(smooth, grey ? 1 : 3), 95, progressive));
      CHECK(x.height == 40);
      CHECK(x.width == 33);
      CHECK(x.bits == 8);
      int worst = 0;
      for (std::size_t i = 0; i < smooth.size(); ++i)
        worst = std::max(worst, std::abs(x.levels[i] - smooth[i]));
      CHECK(worst <= 4);
    }
}

TEST_CASE("radiograph: what is too large is refused by its header") {
  const auto png = test::png_file(12, 7, 8, PNG_COLOR_TYPE_GRAY, ramp(12 * 7));
  const auto jpeg = test::jpeg_file(16, 8, JCS_GRAYSCALE, ramp(16 * 8));
  CHECK(tells(radiograph_fault(test::png_that_claims(png, 30000, 30000)),
              "IHDR: 30000 x 30000 pixels, expected 1 to 20000 a side"));
  CHECK(tells(radiograph_fault(test::png_that_claims(png, 1, 30000)), "30000 x 1 pixels"));
  CHECK(tells(radiograph_fault(test::png_that_claims(png, 10000, 10000)),
              "10000 x 10000 pixels, the limit is 67108864 in all"));
  CHECK(
      tells(radiograph_fault(test::png_that_claims(png, 8000, 8000)), "do not fit into a file of"));
  CHECK(tells(radiograph_fault(test::jpeg_that_claims(jpeg, 30000, 30000)),
              "frame header: 30000 x 30000 pixels, expected 1 to 20000 a side"));
  CHECK(tells(radiograph_fault(test::jpeg_that_claims(jpeg, 8000, 8000)),
              "do not fit into a file of"));
  CHECK(tells(radiograph_fault(png, {.max_pixels = 83}), "the limit is 83 in all"));
  CHECK(tells(radiograph_fault(png, {.max_file_bytes = 10}), "the limit is 10"));
  CHECK(radiograph_of(png, {.max_side = 12, .max_pixels = 84}).levels.size() == 84);
}

TEST_CASE("radiograph: a cut file is refused at every length, a changed one gives an answer") {
  const auto grey = ramp(40 * 30, 7);
  for (const auto& file : {test::png_file(40, 30, 8, PNG_COLOR_TYPE_GRAY, grey),
                           test::png_file(40, 30, 8, PNG_COLOR_TYPE_RGB, repeated(grey, 3), true),
                           test::jpeg_file(40, 30, JCS_GRAYSCALE, grey, 80),
                           test::jpeg_file(40, 30, JCS_RGB, repeated(grey, 3), 80, true)}) {
    const bool png = file[0] == '\x89';
    const auto decode = [&](const std::string& text) {
      const auto bytes = std::as_bytes(std::span(text));
      return png ? decode_png_radiograph(bytes, "cut") : decode_jpeg_radiograph(bytes, "cut");
    };
    std::size_t read = 0, answered = 0;
    for (std::size_t n = 0; n + 2 < file.size(); n += n < 200 ? 1 : 7)
      read += test::error_of([&] { decode(file.substr(0, n)); }) == "no error";
    CHECK(read == 0);
    for (std::size_t i = 0; i < file.size(); i += 3)
      for (const char flip : {'\x01', '\x80', '\xFF'}) {
        std::string changed = file;
        changed[i] = static_cast<char>(changed[i] ^ flip);
        const std::string message = test::error_of([&] { decode(changed); });
        answered += message == "no error" || message.starts_with("cut: ");
      }
    CHECK(answered == (file.size() + 2) / 3 * 3);
  }
}

TEST_CASE("radiograph: what is no picture is named") {
  CHECK(tells(radiograph_fault(""), "is empty, expected a picture"));
  CHECK(tells(radiograph_fault("<!doctype html><html>"), "is a web page"));
  CHECK(tells(radiograph_fault("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"));
  CHECK(tells(radiograph_fault("GIF89a and more"), "neither PNG nor JPEG nor DICOM"));
  CHECK(tells(radiograph_fault("\x89PNG\r\n\x1A\n"), "is not a sound PNG: "));
  CHECK(tells(radiograph_fault("\xFF\xD8\xFF\xE0"), "is not a sound JPEG: "));
  const TempFolder folder;
  CHECK(test::error_of([&] {
          read_radiograph(folder / "none.png");
        }).find("none.png: cannot open") != std::string::npos);
  CHECK(test::error_of([&] { read_radiograph(folder.string()); }).find("is a folder") !=
        std::string::npos);
#if !defined(HLIP_WITH_DICOM)
  CHECK(tells(radiograph_fault(std::string(128, '\0') + "DICM"), "without DICOM support"));
#endif
}

TEST_CASE("radiograph: a window maps to 8 bits, whatever its width") {
  Radiograph x{1, 5, 12, {0, 100, 150, 200, 4095}, {100, 200}};
  CHECK(to_byte_picture(x).levels == std::vector<std::uint8_t>{0, 0, 128, 255, 255});
  x.window = {150, 150};
  CHECK(to_byte_picture(x).levels == std::vector<std::uint8_t>{0, 0, 0, 255, 255});
  x.window = {-100, 5000};
  CHECK(to_byte_picture(x).levels == std::vector<std::uint8_t>{5, 10, 13, 15, 210});
  x.window = {200, 100};
  CHECK(test::error_of([&] { to_byte_picture(x); }).find("a window from 200 to 100") !=
        std::string::npos);
  x.levels.pop_back();
  CHECK(test::error_of([&] { to_byte_picture(x); }).find("4 levels of 12 bits") !=
        std::string::npos);
}

TEST_CASE("radiograph: the shared collection is read") {
  const char* shared = std::getenv("HLIP_SHARED");
  const auto folder = (shared ? std::string(shared) : std::string(HLIP_SOURCE_DIR) + "/../shared") +
                      "/data/cxr/images";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: the shared data are absent (set HLIP_SHARED)");
    return;
  }
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto x = read_radiograph(entry.path().string());
    CAPTURE(x.source);
    CHECK(x.bits == 8);
    CHECK(std::max(x.height, x.width) <= 512);
    CHECK(whole_range(x.levels)[1] > 150);
    ++read;
  }
  CHECK(read == 47);
}
