#include "../support/errors.hpp"

#include <hlip/core/random.hpp>
#include <hlip/eval/surface_distance.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace hlip;
using test::error_of;
using Mask = std::vector<std::uint8_t>;
using Size = std::array<std::int64_t, 3>;

namespace {

std::size_t at(const Size& size, std::int64_t z, std::int64_t y, std::int64_t x) {
  return static_cast<std::size_t>((z * size[1] + y) * size[2] + x);
}

/// Blobs: voxels of a coarse grid, so that masks have an inside.
Mask random_mask(const Size& size, std::uint64_t seed, double share) {
  RandomStream random({seed, 1, 0});
  std::vector<std::uint8_t> coarse(1000);
  for (auto& c : coarse) c = random.chance(share);
  Mask mask;
  for (std::int64_t z = 0; z < size[0]; ++z)
    for (std::int64_t y = 0; y < size[1]; ++y)
      for (std::int64_t x = 0; x < size[2]; ++x)
        mask.push_back(coarse[static_cast<std::size_t>((z / 3 * 10 + y / 3) * 10 + x / 3)]);
  return mask;
}

/// Border voxels in the unit of the spacing.
std::vector<std::array<double, 3>> border_of(const Mask& mask, const Size& size,
                                             const std::array<double, 3>& spacing) {
  std::vector<std::array<double, 3>> out;
  const auto inside = [&](std::int64_t z, std::int64_t y, std::int64_t x) {
    return z >= 0 && y >= 0 && x >= 0 && z < size[0] && y < size[1] && x < size[2] &&
           mask[at(size, z, y, x)] != 0;
  };
  for (std::int64_t z = 0; z < size[0]; ++z)
    for (std::int64_t y = 0; y < size[1]; ++y)
      for (std::int64_t x = 0; x < size[2]; ++x)
        if (inside(z, y, x) &&
            !(inside(z - 1, y, x) && inside(z + 1, y, x) && inside(z, y - 1, x) &&
              inside(z, y + 1, x) && inside(z, y, x - 1) && inside(z, y, x + 1)))
          out.push_back({spacing[0] * static_cast<double>(z), spacing[1] * static_cast<double>(y),
                         spacing[2] * static_cast<double>(x)});
  return out;
}

/// Every border voxel against every other.
SurfaceDistance plainly(const Mask& a, const Mask& b, const Size& size,
                        const std::array<double, 3>& spacing) {
  const auto p = border_of(a, size, spacing), q = border_of(b, size, spacing);
  std::vector<double> all;
  const auto add = [&](const auto& from, const auto& to) {
    for (const auto& u : from) {
      double least = 1e300;
      for (const auto& v : to)
        least = std::min(least, std::hypot(u[0] - v[0], u[1] - v[1], u[2] - v[2]));
      all.push_back(least);
    }
  };
  add(p, q), add(q, p);
  std::sort(all.begin(), all.end());
  double sum = 0;
  for (const double d : all) sum += d;
  return {sum / static_cast<double>(all.size()), all.back(), quantile_of_sorted(all, 0.95)};
}

}  // namespace

TEST_CASE("surface_distance: equals the distances of all border voxels, whatever the spacing") {
  const Size size = {12, 16, 21};
  for (std::uint64_t seed = 0; seed < 8; ++seed)
    for (const auto& spacing : {std::array<double, 3>{1, 1, 1}, {2.5, 0.7, 1.1}, {0.1, 9, 3}}) {
      const Mask a = random_mask(size, seed, 0.2), b = random_mask(size, seed + 100, 0.1);
      const SurfaceDistance got = surface_distance(a, b, size, spacing),
                            want = plainly(a, b, size, spacing);
      REQUIRE(got.mean == doctest::Approx(want.mean).epsilon(1e-12));
      REQUIRE(got.hausdorff == doctest::Approx(want.hausdorff).epsilon(1e-12));
      REQUIRE(got.hausdorff95 == doctest::Approx(want.hausdorff95).epsilon(1e-12));
      const SurfaceDistance back = surface_distance(b, a, size, spacing);
      REQUIRE(back.mean == doctest::Approx(got.mean).epsilon(1e-12));
      REQUIRE(back.hausdorff == got.hausdorff);
    }
}

TEST_CASE("surface_distance: two voxels, a mask and itself, a filled volume") {
  const Size size = {4, 5, 6};
  Mask a(120), b(120);
  a[at(size, 0, 0, 0)] = 1, b[at(size, 3, 4, 0)] = 255;
  const SurfaceDistance apart = surface_distance(a, b, size, {2, 1.5, 1});
  CHECK(apart.mean == doctest::Approx(std::hypot(6, 6)));
  CHECK(apart.hausdorff95 == doctest::Approx(apart.hausdorff));
  CHECK(surface_distance(b, b, size).hausdorff == 0);
  // the outside is not of the mask: the border of a full volume is its outermost layer
  const Mask full(120, 1);
  Mask middle(120);
  middle[at(size, 2, 2, 3)] = 1;
  CHECK(surface_distance(full, middle, size).hausdorff == doctest::Approx(std::sqrt(4 + 4 + 9)));
}

TEST_CASE("surface_distance: two empty masks agree, one that is empty is infinitely far") {
  const Size size = {2, 2, 2};
  const Mask empty(8), one{0, 0, 0, 1, 0, 0, 0, 0};
  CHECK(surface_distance(empty, empty, size).mean == 0);
  CHECK(surface_distance(empty, empty, size).hausdorff95 == 0);
  for (const auto& d : {surface_distance(one, empty, size), surface_distance(empty, one, size)}) {
    CHECK(std::isinf(d.mean));
    CHECK(std::isinf(d.hausdorff));
    CHECK(std::isinf(d.hausdorff95));
  }
  CHECK(surface_distance({}, {}, {0, 3, 3}).hausdorff == 0);
}

TEST_CASE("surface_distance: a volume of 100 voxels a side takes no square of its border") {
  const Size size = {100, 100, 100};
  Mask a(1000000), b(1000000);
  for (std::int64_t z = 0; z < 100; ++z)
    for (std::int64_t y = 0; y < 100; ++y)
      for (std::int64_t x = 0; x < 100; ++x) {
        const auto away = (z - 50) * (z - 50) + (y - 50) * (y - 50) + (x - 50) * (x - 50);
        a[at(size, z, y, x)] = away < 48 * 48;
        b[at(size, z, y, x)] = away < 40 * 40 && (z + y + x) % 2 == 0;  // all of it border
      }
  const auto before = std::chrono::steady_clock::now();
  const SurfaceDistance d = surface_distance(a, b, size);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
  CHECK(d.hausdorff > 40);
  CHECK(took.count() < 20);  // an hour, were it one by one
}

TEST_CASE("surface_distance: what does not fit is refused") {
  const Mask eight(8);
  CHECK(error_of([&] {
          surface_distance(eight, Mask(7), {2, 2, 2});
        }) == "surface_distance: predicted has 8 voxels, target 7, expected 8 for 2 x 2 x 2");
  CHECK(error_of([&] {
          surface_distance(eight, eight, {2, 2, 3});
        }).find("expected 12") != std::string::npos);
  CHECK(error_of([&] {
          surface_distance(eight, eight, {-2, -2, 2});
        }).find("size is -2 x -2") != std::string::npos);
  CHECK(error_of([&] {
          surface_distance(eight, eight, {2, 2, 2}, {1, 0, 1});
        }) == "surface_distance: spacing is 1 x 0 x 1, expected positive numbers");
}
