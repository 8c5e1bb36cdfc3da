// Moving pictures and masks alike.
#include "../support/errors.hpp"

#include <doctest/doctest.h>
#include <hlip/imaging/augment/colour.hpp>
#include <hlip/imaging/augment/warp.hpp>

using namespace hlip;

namespace {

constexpr index_t rows = 40, columns = 48;

/// A bright ellipse away from the middle.
BytePicture blob() {
  auto x = BytePicture::of_size(1, rows, columns);
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) {
      const double y = static_cast<double>(r - 17) / 7, z = static_cast<double>(c - 19) / 9;
      x.levels[static_cast<std::size_t>(r * columns + c)] = y * y + z * z < 1 ? 255 : 0;
    }
  return x;
}
WarpOptions still() { return {0, 0, 0, 0, 0, 4}; }

}  // namespace

TEST_CASE("warp: without any strength everything stays; a flip exchanges columns") {
  auto x = blob();
  CHECK(Warp(rows, columns, still(), {1}).picture(x).levels == x.levels);
  WarpOptions o = still();
  o.flip = 1;
  const auto flipped = Warp(rows, columns, o, {1}).picture(x);
  for (index_t c = 0; c < columns; ++c)
    CHECK(flipped.levels[static_cast<std::size_t>(17 * columns + c)] ==
          x.levels[static_cast<std::size_t>(17 * columns + columns - 1 - c)]);
}

TEST_CASE("warp: a picture and its mask move alike, by the key alone") {
  const auto x = blob();
  int moved = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const Warp warp(rows, columns, {}, {seed, 0, 7});
    const auto picture = warp.picture(x);
    auto mask = x.levels;
    warp.mask(mask);
    // the mask is where the picture is more than half bright
    for (std::size_t i = 0; i < mask.size(); ++i)
      if (picture.levels[i] != 127 && picture.levels[i] != 128)
        REQUIRE((mask[i] == 255) == (picture.levels[i] > 127));
    moved += mask != x.levels;
    CHECK(Warp(rows, columns, {}, {seed, 0, 7}).picture(x).levels == picture.levels);
  }
  CHECK(moved == 8);
  CHECK(Warp(rows, columns, {}, {1, 0, 8}).picture(x).levels !=
        Warp(rows, columns, {}, {1, 0, 7}).picture(x).levels);
}

TEST_CASE("warp: a quarter of a turn moves the corners, elastic bends no further than it may") {
  auto dot = BytePicture::of_size(1, 9, 9);
  dot.levels[2 * 9 + 4] = 255;  // above the middle
  WarpOptions o = still();
  o.rotation = 180;
  bool seen = false;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto turned = Warp(9, 9, o, {seed}).picture(dot);
    const auto at = std::max_element(turned.levels.begin(), turned.levels.end()) -
                    turned.levels.begin();
    CHECK(std::hypot(static_cast<double>(at / 9 - 4), static_cast<double>(at % 9 - 4)) ==
          doctest::Approx(2).epsilon(0.5));
    seen = seen || at / 9 > 4;
  }
  CHECK(seen);
  o = still(), o.elastic = 0.05;
  auto column = BytePicture::of_size(1, 40, 40);
  for (std::size_t r = 0; r < 40; ++r) column.levels[r * 40 + 20] = 255;
  const auto bent = Warp(40, 40, o, {5}).picture(column);
  CHECK(bent.levels != column.levels);
  for (std::size_t i = 0; i < bent.levels.size(); ++i)
    if (bent.levels[i] > 0) CHECK(std::abs(static_cast<int>(i % 40) - 20) <= 3);
}

TEST_CASE("warp: what cannot be carried out is refused; gamma keeps black and white") {
  const auto x = blob();
  WarpOptions o;
  o.scale = 1;
  CHECK(test::error_of([&] { Warp(rows, columns, o, {}); }).starts_with("warp: "));
  const Warp other(8, 8, {}, {});
  CHECK(test::error_of([&] { other.picture(x); }).find("expected 8 x 8") != std::string::npos);
  std::vector<std::uint8_t> mask(9);
  CHECK(test::error_of([&] { other.mask(mask); }).find("expected 64") != std::string::npos);
  auto grey = BytePicture::of_size(1, 1, 3);
  grey.levels = {0, 128, 255};
  adjust_gamma(grey, 2);
  CHECK(grey.levels == std::vector<std::uint8_t>{0, 64, 255});
  CHECK(test::error_of([&] { adjust_gamma(grey, 0); }).starts_with("adjust_gamma: "));
}
