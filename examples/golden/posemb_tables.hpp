// Kind posemb_tables: position tables from scratch and from 2-D weights, resized, and whole
// conversions of 2-D checkpoints.
#pragma once

#include "fixture.hpp"

#include <hlip/models/convert_2d.hpp>

namespace golden {

namespace detail {
/// Angles are fp32 numbers up to `positions`: beyond 16 their own last place is what limits a sine.
inline Limit table_limit(index_t positions) {
  return {Limit::Scale::absolute,
          std::max(position_table.tolerance, 1.2e-7 * static_cast<double>(positions))};
}
inline index_t longest(const Shape& grid) { return std::max({grid[0], grid[1], grid[2]}); }
}  // namespace detail

template <class B> void check_posemb_tables(Fixture& f) {
  // One function: one paragraph for each kind of table that a fixture may hold.
  const Json& j = f.config();
  const auto each = [&](const char* key, auto fn) {
    if (!j.contains(key)) return;
    std::size_t i = 0;
    for (const auto& item : list_of(j[key], key)) fn(item, i++);
  };
  const auto with_grid = [](const Shape& grid, index_t dim) {
    return Shape{1, grid[0], grid[1], grid[2], dim};
  };

  each("spatial", [&](const Json& item, std::size_t i) {
    list_of(item, "spatial", 2);
    const index_t dim = size_of(item[0], "width");
    const Shape grid = shape_of(item[1], "grid", 3);
    const std::string name = fmt::format("output.spatial{}", i);
    f.require(name, with_grid(grid, dim));
    const auto table = sincos_3d<float, B>(grid[0], grid[1], grid[2], dim);
    f.compare(name, table, detail::table_limit(detail::longest(grid)));
    each("spatial_resize", [&](const Json& to, std::size_t k) {
      const Shape target = shape_of(to, "grid", 3);
      const std::string resized = fmt::format("{}_to{}", name, k);
      f.require(resized, with_grid(target, dim));
      f.compare(resized, resize_spatial(table, target[0], target[1], target[2]), interpolated);
    });
  });
  each("sequential", [&](const Json& item, std::size_t i) {
    list_of(item, "sequential", 2);
    const index_t dim = size_of(item[0], "width"), rows = size_of(item[1], "rows");
    const std::string name = fmt::format("output.sequential{}", i);
    f.require(name, {1, rows, dim});
    const auto table = sincos_1d<float, B>(rows, dim).reshape({1, rows, dim});
    f.compare(name, table, detail::table_limit(rows));
    each("sequential_resize", [&](const Json& to, std::size_t k) {
      const index_t n = size_of(to, "rows");
      const std::string resized = fmt::format("{}_to{}", name, k);
      f.require(resized, {1, n, dim});
      f.compare(resized, resize_sequential(table, n),
                n <= rows ? detail::table_limit(rows) : interpolated);
    });
  });
  each("pretrained2d", [&](const Json& item, std::size_t i) {
    list_of(item, "pretrained2d", 3);
    const index_t dim = size_of(item[0], "width"), side = size_of(item[2], "side");
    const Shape grid = shape_of(item[1], "grid", 3);
    const std::string name = fmt::format("pretrained2d_{}", i);
    f.require("input." + name, {1, side * side, dim});
    f.require("output." + name, with_grid(grid, dim));
    f.compare("output." + name, spatial_table_from_2d(f.tensor<B>("input." + name), grid),
              interpolated);
  });
  each("convert", [&](const Json& item, std::size_t i) {
    const Shape grid = shape_of(entry(item, "grid"), "grid", 3),
                patch = shape_of(entry(item, "patch"), "patch", 3);
    const index_t dim = size_at(item, "dim");
    const Group source(f, fmt::format("input.convert{}.", i)),
        wanted(f, fmt::format("output.convert{}.", i));
    f.require(fmt::format("output.convert{}.spatial_posemb", i), with_grid(grid, dim));
    f.require(fmt::format("output.convert{}.patch_embed.proj.weight", i),
              {dim, 1, patch[0], patch[1], patch[2]});
    const auto converted = convert_2d_checkpoint<float, B>(source, grid, patch);
    for (const auto& name : converted.names())
      f.compare(fmt::format("output.convert{}.{}", i, name),
                converted.template tensor<float, B>(name), interpolated);
  });
}

}  // namespace golden
