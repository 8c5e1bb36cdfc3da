// Which patch of one picture is which patch of another: cosine similarities of patch tokens, as
// maps, as best matches, and as pairs that choose each other.
// Source: Pérez-García et al. 2024 (RAD-DINO), patch correspondence.
#pragma once

#include <hlip/ops/elementwise.hpp>
#include <hlip/ops/index.hpp>
#include <hlip/ops/interpolate.hpp>
#include <hlip/ops/matmul.hpp>
#include <hlip/ops/reduce.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

/// Cosine of the angle between every row of one table and every row of another; a row of zeros is
/// at right angles to all.
/// @param a (N, C); @param b (M, C)  @return (N, M)
/// @throws hlip::error if a or b is not a table or they differ in width
template <class T, class B>
Tensor<T, B> cosine_similarity(const Tensor<T, B>& a, const Tensor<T, B>& b) {
  expect(a.rank() == 2 && b.rank() == 2 && a.dim(1) == b.dim(1), "cosine_similarity",
         "a is {}, b is {}, expected (rows, C) and (rows, C) of one width C", to_string(a.shape()),
         to_string(b.shape()));
  const auto of_length_one = [](const Tensor<T, B>& x) {
    const Tensor<T, B> squares = sum(x * x, {1}, true);
    return Tensor<T, B>(x / sqrt(maximum(squares, 1e-24)));
  };
  return matmul(of_length_one(a), of_length_one(b).transpose(0, 1));
}

/// The patch that holds a point of a picture, which is patch number row·columns + column.
/// @param y, x pixels from the upper left corner: patch 0 is 0 <= y < patch
/// @param patch side of a patch in pixels; @param rows, columns of the grid of patches
/// @throws hlip::error when the point is outside of the grid or not a number
inline index_t patch_at(double y, double x, index_t patch, index_t rows, index_t columns) {
  expect(patch > 0 && rows > 0 && columns > 0, "patch_at",
         "{} x {} patches of {} pixels, expected positive sizes", rows, columns, patch);
  const double row = std::floor(y / static_cast<double>(patch)),
               column = std::floor(x / static_cast<double>(patch));
  expect(row >= 0 && column >= 0 && row < static_cast<double>(rows) &&
             column < static_cast<double>(columns),
         "patch_at", "point ({:g}, {:g}) is outside of {} x {} patches of {} pixels", y, x, rows,
         columns, patch);
  return static_cast<index_t>(row) * columns + static_cast<index_t>(column);
}

/// How similar every patch of picture b is to chosen patches of picture a.
/// @param a (N, C) and @param b (rows·columns, C) patch tokens, row by row; @param queries (Q)
/// patches of a  @return (Q, rows, columns), -1 … 1
/// @throws hlip::error if the sizes do not fit or a query is no patch of a
template <class T, class B>
Tensor<T, B> similarity_maps(const Tensor<T, B>& a, const Tensor<T, B>& b,
                             const Tensor<std::int64_t, B>& queries, index_t rows,
                             index_t columns) {
  expect(b.rank() == 2 && rows > 0 && columns > 0 && b.dim(0) == rows * columns, "similarity_maps",
         "b is {}, expected a row for each of {} x {} patches", to_string(b.shape()), rows,
         columns);
  const Tensor<T, B> chosen = index_select(a, queries);
  return cosine_similarity(chosen, b).reshape({queries.numel(), rows, columns});
}

/// Maps over patches as maps over pixels, for drawing: bilinear between the centres of patches, as
/// PyTorch's interpolate with align_corners false.
/// @param maps (Q, rows, columns)  @return (Q, height, width)
template <class T, class B>
Tensor<T, B> heat_maps(const Tensor<T, B>& maps, index_t height, index_t width) {
  expect(maps.rank() == 3, "heat_maps", "maps are {}, expected (Q, rows, columns)",
         to_string(maps.shape()));
  return interpolate(maps, {height, width}, Interpolation::linear);
}

/// The patch that is most similar to each query; of equals the first.
/// @param maps (Q, rows, columns), as similarity_maps  @return (Q) patches row·columns + column
template <class T, class B> std::vector<std::int64_t> best_patches(const Tensor<T, B>& maps) {
  expect(maps.rank() == 3, "best_patches", "maps are {}, expected (Q, rows, columns)",
         to_string(maps.shape()));
  return argmax(maps.reshape({maps.dim(0), maps.dim(1) * maps.dim(2)}), 1).to_vector();
}

/// Each patch's nearest patch of the other picture.
struct NearestPatches {
  std::vector<std::int64_t> of_a;    ///< for each patch of a the nearest of b; of equals the first
  std::vector<std::int64_t> of_b;    ///< for each patch of b the nearest of a
  std::vector<std::uint8_t> mutual;  ///< for each patch of a: 1 where its nearest chooses it, too
};

/// @param similarity (N, M), as cosine_similarity gives it, neither empty
template <class T, class B> NearestPatches nearest_patches(const Tensor<T, B>& similarity) {
  expect(similarity.rank() == 2 && similarity.numel() > 0, "nearest_patches",
         "similarity is {}, expected (patches of a, patches of b)", to_string(similarity.shape()));
  NearestPatches n{argmax(similarity, 1).to_vector(), argmax(similarity, 0).to_vector(), {}};
  for (std::size_t i = 0; i < n.of_a.size(); ++i)
    n.mutual.push_back(n.of_b[static_cast<std::size_t>(n.of_a[i])] == static_cast<index_t>(i));
  return n;
}

HLIP_END
