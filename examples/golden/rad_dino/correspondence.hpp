// Kind correspondence: points to patches, cosine similarity maps, best matches, heat maps, mutual
// nearest neighbours.
#pragma once

#include "../tolerances.hpp"

#include <hlip/eval/patch_correspondence.hpp>

namespace golden {

template <class B> void check_correspondence(Fixture& f) {
  const index_t patch = size_of(f.said_json("patch"), "patch"),
                grid = size_of(f.said_json("grid"), "grid"), width = axis_of(f, "input.a", 2, 1),
                queries = axis_of(f, "input.points_yx", 2, 0);
  for (const char* name : {"input.a", "input.b"}) f.require(name, {grid * grid, width});
  f.require("input.points_yx", {queries, 2});

  const auto points = f.reals("input.points_yx");
  std::vector<std::int64_t> query;
  for (std::size_t i = 0; i < points.size(); i += 2)
    query.push_back(patch_at(points[i], points[i + 1], patch, grid, grid));
  f.compare_exact("output.query", query, {queries});

  const auto a = f.tensor<B>("input.a"), b = f.tensor<B>("input.b");
  const auto maps = similarity_maps(
      a, b, Tensor<std::int64_t, B>::from_values({queries}, std::span<const std::int64_t>(query)),
      grid, grid);
  f.compare("output.maps", maps, of_an_operator);
  f.compare_exact("output.best", best_patches(maps), {queries});
  f.compare("output.heat",
            heat_maps(maps, axis_of(f, "output.heat", 3, 1), axis_of(f, "output.heat", 3, 2)),
            of_an_operator);
  const NearestPatches nearest = nearest_patches(cosine_similarity(a, b));
  f.compare_exact("output.nearest_ab", nearest.of_a, {grid * grid});
  f.compare_exact("output.mutual", {nearest.mutual.begin(), nearest.mutual.end()}, {grid * grid});
}

}  // namespace golden
