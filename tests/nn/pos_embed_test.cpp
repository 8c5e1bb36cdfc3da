#include "../support/gradients.hpp"

#include <hlip/nn/pos_embed.hpp>

using namespace test;

namespace {
double entry(index_t p, index_t k, index_t dim) {  // E_D(p)[k]
  const index_t half = dim / 2;
  const double angle = static_cast<double>(p) * std::pow(10000.0, -static_cast<double>(k % half) /
                                                                      static_cast<double>(half));
  return k < half ? std::sin(angle) : std::cos(angle);
}
}  // namespace

TEST_CASE("position tables: all sines, then all cosines") {
  const Array table = sincos_1d<double, Cpu>(40, 12);
  for (index_t p = 0; p < 40; ++p)
    // angles up to 40 in single precision
    for (index_t k = 0; k < 12; ++k) CHECK(std::abs(table.at({p, k}) - entry(p, k, 12)) < 4e-6);
}

TEST_CASE("position tables: the spatial table is E(w), E(h), E(d) side by side") {
  const Array table = sincos_3d<double, Cpu>(2, 3, 4, 18);
  REQUIRE(table.shape() == Shape{1, 2, 3, 4, 18});
  for (index_t d = 0; d < 2; ++d)
    for (index_t h = 0; h < 3; ++h)
      for (index_t w = 0; w < 4; ++w)
        for (index_t k = 0; k < 18; ++k) {
          const index_t p = k < 6 ? w : k < 12 ? h : d;
          CHECK(std::abs(table.at({0, d, h, w, k}) - entry(p, k % 6, 6)) < 1e-6);
        }
}

TEST_CASE(
    "position tables: fitting to another grid interpolates with half-pixel centres, fitting to the "
    "same is free") {
  const Array ramp = Array::arange(4).reshape({1, 1, 1, 4, 1});
  CHECK(resize_spatial(ramp, 1, 1, 4).shares_storage(ramp));
  CHECK(largest_difference(resize_spatial(ramp, 1, 1, 2),
                           Array::from_values({1, 1, 1, 2, 1}, {0.5, 2.5})) < 1e-14);
  CHECK(largest_difference(resize_spatial(ramp, 2, 1, 8).select(1, 1).reshape({8}),
                           Array::from_values({8}, {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3})) <
        1e-14);
}

TEST_CASE("position tables: fewer scans take the first rows, more are interpolated") {
  const Array table = numbers({1, 4, 3}, 1);
  CHECK(same_bits(resize_sequential(table, 2), table.slice(1, 0, 2)));
  CHECK(same_bits(resize_sequential(table, 4), table));
  const Array twice = resize_sequential(table, 8);
  CHECK(twice.shape() == Shape{1, 8, 3});
  CHECK(largest_difference(twice.select(1, 0), table.select(1, 0)) < 1e-15);
  CHECK(largest_difference(twice.select(1, 1),
                           0.75 * table.select(1, 0) + 0.25 * table.select(1, 1)) < 1e-15);
}

TEST_CASE("position tables: widths that cannot be halved or cut in three are errors") {
  CHECK(error_of([] { sincos_1d<double, Cpu>(4, 5); }) ==
        "sincos: width 5, expected an even number");
  CHECK(error_of([] { sincos_3d<double, Cpu>(2, 2, 2, 16); }) ==
        "sincos: embed_dim 16, expected a multiple of 6 for a spatial table");
}
