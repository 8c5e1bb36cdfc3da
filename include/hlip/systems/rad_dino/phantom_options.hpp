// --phantom of programs that can draw the radiographs they learn from. Needs CLI11 and libpng.
#pragma once

#include <hlip/cli/draw_phantoms.hpp>
#include <hlip/phantoms/radiograph_writer.hpp>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>

HLIP_BEGIN

/// Which synthetic radiographs; none unless `phantom` is above 0.
struct DrawnRadiographs {
  std::int64_t phantom = 0, phantom_size = 96;
  std::uint64_t phantom_seed = 2611;
  std::string phantom_root;
};

/// --phantom and its relatives.
inline void add_phantom_options(CLI::App& app, DrawnRadiographs& o, const char* group) {
  app.add_option("--phantom", o.phantom,
                 "draw this many synthetic radiographs instead, and use the phantom recipe where "
                 "options are not given")
      ->check(CLI::Range(16, 1000000))
      ->group(group);
  app.add_option("--phantom-size", o.phantom_size, "rows and columns of a synthetic radiograph")
      ->check(CLI::Range(32, 2048))
      ->capture_default_str()
      ->group(group);
  app.add_option("--phantom-root", o.phantom_root,
                 "where the synthetic radiographs are kept (default: OUT/phantom)")
      ->group(group);
  app.add_option("--phantom-seed", o.phantom_seed, "which synthetic radiographs")
      ->capture_default_str()
      ->group(group);
}

/// Draws them below a progress line, or finds them drawn.
/// @param threads to draw with, 0: one for each processor  @param masks whether structures are
/// written too
/// @return the table that names them, or "" when a stop signal came; the same command goes on
/// @throws hlip::error for a folder of other pictures, or one that cannot be written
inline std::string draw_radiographs(const DrawnRadiographs& o, int threads, bool masks) {
  RadiographPhantomSet set;
  set.data_seed = o.phantom_seed, set.pictures = o.phantom, set.size = o.phantom_size;
  set.masks = masks;
  const auto drawn = draw_phantoms(threads, [&](int n_threads, auto progress) {
    return write_radiograph_dataset(o.phantom_root, set, n_threads, progress);
  });
  return drawn ? drawn->table : "";
}

HLIP_END
