#include <hlip/io/png.hpp>
#include <hlip/report/montage.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("png: libpng reads back what was written, and wrong sizes are refused") {
  Picture p(7, 5, {1, 2, 3});
  p.set(6, 4, {255, 128, 0});
  const std::string bytes = encode_png(p.pixels(), 7, 5);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  CHECK(image.width == 7);
  CHECK(image.height == 5);
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> back(3 * 7 * 5);
  REQUIRE(png_image_finish_read(&image, nullptr, back.data(), 0, nullptr) != 0);
  CHECK(back == p.pixels());
  CHECK_THROWS_AS(encode_png(p.pixels(), 7, 6), error);
  CHECK_THROWS_AS(encode_png({}, 0, 0), error);
}

TEST_CASE("picture: drawing outside does nothing, text has the dots of its letters") {
  Picture p(20, 10, {0, 0, 0});
  p.fill(-5, -5, 100, 7, {9, 9, 9});
  CHECK(p.at(0, 1) == Colour{9, 9, 9});
  CHECK(p.at(0, 2) == Colour{0, 0, 0});
  // An L and, for a byte that is no letter, a question mark
  p.text(0, 2, "L\xC3", {255, 255, 255}, 1);
  for (int y = 2; y < 9; ++y) CHECK(p.at(0, y) == Colour{255, 255, 255});
  for (int x = 0; x < 5; ++x) CHECK(p.at(x, 8) == Colour{255, 255, 255});
  CHECK(p.at(1, 2) == Colour{0, 0, 0});
  CHECK(p.at(8, 8) == Colour{255, 255, 255});  // the question mark's dot
  CHECK_THROWS_AS(Picture(0, 5, {}), error);
}

TEST_CASE("jet: blue, green, red") {
  CHECK(jet_colour(0.125) == Colour{0, 0, 255});
  CHECK(jet_colour(0.5) == Colour{128, 255, 128});
  CHECK(jet_colour(0.875) == Colour{255, 0, 0});
}

TEST_CASE(
    "montage view: the patient's right is on the left, the front above and the head first, "
    "whatever the file's order") {
  const auto view = [](const std::array<double, 3>& signs) {
    return montage_view(
        {{{signs[0], 0, 0, 0}, {0, signs[1], 0, 0}, {0, 0, signs[2], 0}, {0, 0, 0, 1}}}, true);
  };
  const auto lps = view({-1, -1, 3}), ras = view({1, 1, 3}), lpi = view({-1, -1, -3});
  CHECK(lps.flip == std::array<bool, 3>{true, false, false});
  CHECK(ras.flip == std::array<bool, 3>{true, true, true});
  CHECK(lpi.flip == std::array<bool, 3>{false, false, false});
  for (const auto& v : {lps, ras, lpi})
    CHECK(std::string{v.left, v.right, v.top, v.bottom} == "RLAP");
  // A sagittal series: W leads to the front, H to the feet
  const auto sagittal = montage_view({{{0, 0, 3, 0}, {1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 0, 1}}},
                                     true);
  CHECK(std::string{sagittal.left, sagittal.right, sagittal.top, sagittal.bottom} == "APSI");
  CHECK(montage_view(identity_affine, false).left == 0);
}

TEST_CASE("montage: heat lies over the patch that is relevant, turned as the slices are") {
  Montage m;
  m.title = "test";
  m.grey = Tensor<float, Cpu>::full({1, 4, 32, 32}, 0.5f);
  auto relevance = Tensor<float, Cpu>::zeros({1, 2, 4, 4});
  relevance.data()[16 + 1] = 1;  // layer 1, row 0, column 1
  m.maps = {{"study", relevance}};
  m.panel = 128;
  // centre of the coloured pixels of a panel, without its text
  const auto heated = [&](const Picture& p, index_t x0, index_t y0) {
    index_t n = 0, sx = 0, sy = 0;
    for (index_t y = 0; y < 128; ++y)
      for (index_t x = 0; x < 128; ++x) {
        const Colour c = p.at(x0 + x, y0 + y);
        if (c.r != c.b && c != Colour{150, 158, 168} && c != Colour{255, 176, 59})
          ++n, sx += x, sy += y;
      }
    return n == 0 ? std::pair<index_t, index_t>{-1, -1}
                  : std::pair<index_t, index_t>{sx / n, sy / n};
  };
  const index_t x0 = 96 + 132, y0 = 76;  // the second column
  Picture p = draw_montage(m);
  auto at = heated(p, x0, y0 + 132);
  CHECK(at.first >= 40);
  CHECK(at.first < 60);
  CHECK(at.second < 32);
  m.view.flip = {true, true, true};
  p = draw_montage(m);
  at = heated(p, x0, y0);
  CHECK(at.first >= 68);
  CHECK(at.first < 88);
  CHECK(at.second >= 96);
  m.slice_numbers = {7, 8, 9};  // of four slices
  CHECK_THROWS_AS(draw_montage(m), error);
  m.slice_numbers.clear();
  m.maps[0].relevance = Tensor<float, Cpu>::zeros({1, 3, 4, 4});
  m.maps.push_back({"scan", relevance});
  CHECK_THROWS_AS(draw_montage(m), error);
}

TEST_CASE(
    "montage: slices have the numbers they have in the scan, and none where the scan was padded") {
  Montage m;
  m.grey = Tensor<float, Cpu>::full({1, 4, 32, 32}, 0.5f);
  m.maps = {{"study", Tensor<float, Cpu>::zeros({1, 2, 4, 4})}};
  m.panel = 32;
  const Picture plain = draw_montage(m);
  m.slice_numbers = {0, 1, 2, 3};
  CHECK(draw_montage(m).pixels() == plain.pixels());
  m.slice_numbers = {0, 1, 2, 123};  // shown are the middle slices of both layers, 1 and 3
  const Picture numbered = draw_montage(m);
  CHECK(numbered.pixels() != plain.pixels());
  Picture by_hand = plain;
  by_hand.fill(12, 76 + 36 + 9, 72, 16, by_hand.at(0, 0));
  by_hand.text(12, 76 + 36 + 9, "z 123", {150, 158, 168});
  CHECK(numbered.pixels() == by_hand.pixels());
}

TEST_CASE("montage: values stand right of the longest name, inside the picture") {
  Montage m;
  m.grey = Tensor<float, Cpu>::full({1, 2, 16, 16}, 0.5f);
  m.maps = {{"study", Tensor<float, Cpu>::zeros({1, 1, 2, 2})}};
  m.panel = 16;
  const Picture without = draw_montage(m);
  m.scores = {{"wwwwwwwwwwwwwwwwwwww", 0.5}, {"w", 0.25}};
  const Picture p = draw_montage(m);
  CHECK(p.width() >= without.width() + Picture::text_width(m.scores[0].name, 2) +
                         Picture::text_width("0.500", 2));
  const index_t left = p.width() - 12 - Picture::text_width("0.500", 2), top = 76;
  for (index_t y = top; y < top + 16; ++y)  // beside the name, above the value: nothing
    for (index_t x = left; x < p.width(); ++x) REQUIRE(p.at(x, y) == p.at(0, 0));
  index_t ink = 0;
  for (index_t y = top + 18; y < top + 34; ++y)
    for (index_t x = left; x < p.width(); ++x) ink += p.at(x, y) == Colour{150, 158, 168};
  CHECK(ink > 100);
}
