#include "../support/gradients.hpp"

#include <hlip/nn/grid_positions.hpp>

#include <algorithm>

using namespace test;

namespace {

Array resized(const Array& table, index_t prefix, index_t h, index_t w,
              const GridPositionOptions& options = {}) {
  return resize_grid_positions(Variable(table), prefix, h, w, options).value();
}

/// A table whose one channel is fn(row, column) of a grid of side m.
template <class Fn> Array table_of(index_t m, Fn fn) {
  std::vector<double> values;
  for (index_t y = 0; y < m; ++y)
    for (index_t x = 0; x < m; ++x)
      values.push_back(fn(static_cast<double>(y), static_cast<double>(x)));
  return Array::from_values({1, m * m, 1}, std::span<const double>(values));
}

}  // namespace

TEST_CASE("grid positions: the table's own grid is the table itself, in every form") {
  const Variable table(numbers({1, 10, 3}, 1), true);
  for (const double offset : {0.0, 0.1})
    for (const bool antialias : {false, true}) {
      const Variable y = resize_grid_positions(table, 1, 3, 3, {offset, antialias});
      CHECK(y.value().data() == table.value().data());
    }
}

TEST_CASE("grid positions: those of prefix tokens stay, and a constant stays constant") {
  const Array table = Array::full({1, 2 + 16, 2}, 0.25);
  table.slice(1, 0, 2).assign(numbers({1, 2, 2}, 1));
  for (const double offset : {0.0, 0.1})
    for (const bool antialias : {false, true}) {
      const Array y = resized(table, 2, 7, 3, {offset, antialias});
      REQUIRE(y.shape() == Shape{1, 2 + 21, 2});
      CHECK(same_bits(y.slice(1, 0, 2).clone(), numbers({1, 2, 2}, 1)));
      CHECK(largest_difference(y.slice(1, 2, 23), Array::full({1, 21, 2}, 0.25)) < 1e-14);
    }
}

TEST_CASE("grid positions: a cubic kernel of a = -0.75 sampled every M/(n + offset) cells") {
  const index_t m = 5, h = 8, w = 4;
  const Array table = numbers({1, m * m, 1}, 1);
  const auto kernel = [](double x) {
    constexpr double a = -0.75;
    x = std::abs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0.0;
  };
  for (const double offset : {0.0, 0.1}) {
    const Array y = resized(table, 0, h, w, {offset, false});
    const auto source = [&](index_t i, index_t n) {
      return (static_cast<double>(i) + 0.5) * static_cast<double>(m) /
                 (static_cast<double>(n) + offset) -
             0.5;
    };
    double most = 0;
    for (index_t r = 0; r < h; ++r)
      for (index_t c = 0; c < w; ++c) {
        const double at_row = source(r, h), at_column = source(c, w);
        double want = 0;
        for (index_t i = -2; i < m + 2; ++i)
          for (index_t j = -2; j < m + 2; ++j)  // beyond the edge its last cell goes on
            want += kernel(at_row - static_cast<double>(i)) *
                    kernel(at_column - static_cast<double>(j)) *
                    table.at(
                        {0, std::clamp<index_t>(i, 0, m - 1) * m + std::clamp<index_t>(j, 0, m - 1),
                         0});
        most = std::max(most, std::abs(want - y.at({0, r * w + c, 0})));
      }
    CAPTURE(offset);
    CHECK(most < 1e-12);
  }
}

TEST_CASE(
    "grid positions: a kernel that widens makes a fast change disappear when the grid shrinks") {
  const Array stripes = table_of(
      16, [](double, double x) { return static_cast<index_t>(x) % 2 == 0 ? 1.0 : -1.0; });
  const auto size = [&](bool antialias) {
    double most = 0;
    for (const double v : resized(stripes, 0, 16, 5, {0.0, antialias}).to_vector())
      most = std::max(most, std::abs(v));
    return most;
  };
  CHECK(size(true) < 0.2);
  CHECK(size(false) > 0.5);
}

TEST_CASE("grid positions: gradient of the table, larger and smaller, with and without offset") {
  for (const double offset : {0.0, 0.1})
    for (const bool antialias : {false, true})
      for (const auto& [h, w] : {std::pair<index_t, index_t>{4, 2}, {2, 5}, {1, 1}})
        check_gradient(fmt::format("{} x {}, offset {}, antialias {}", h, w, offset, antialias),
                       [=, rows = h, columns = w](const std::vector<Variable>& v) {
                         return resize_grid_positions(v[0], 1, rows, columns, {offset, antialias});
                       },
                       {numbers({1, 10, 2}, 1)});
}

TEST_CASE("grid positions: tables and grids that make no sense are named") {
  CHECK(error_of([] {
          resized(numbers({1, 9, 2}, 1), 1, 2, 2);
        }) == "positions: 8 positions of patches do not form a square");
  CHECK(error_of([] {
          resized(numbers({1, 1, 2}, 1), 1, 2, 2);
        }) == "positions: 0 positions of patches do not form a square");
  CHECK(error_of([] {
          resized(numbers({2, 9, 2}, 1), 0, 2, 2);
        }) == "positions: pos_embed is (2, 9, 2), expected (1 = 1, tokens, C)");
  CHECK(error_of([] {
          resized(numbers({1, 9, 2}, 1), 0, 0, 2);
        }) == "positions: a grid of 0 x 2 patches");
}
