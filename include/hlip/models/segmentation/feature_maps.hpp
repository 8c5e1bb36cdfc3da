// All that a decoder of masks sees of an encoder: a list of feature maps.
#pragma once

#include <hlip/autograd/functions/interpolate.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/tensor/check.hpp>

#include <array>
#include <vector>

HLIP_BEGIN

/// Feature maps (N, C, h, w) of the same pictures, from fine to coarse; those of one size (the
/// blocks of a vision transformer) from early to late.
template <class T, class B> using FeatureMaps = std::vector<Var<T, B>>;

/// x in another size, by bilinear interpolation with pixels as areas (align_corners = false).
/// @param x (N, C, H, W)  @return (N, C, rows, columns)
template <class T, class B>
Var<T, B> resize_map(const Var<T, B>& x, index_t rows, index_t columns) {
  expect(x.rank() == 4, "resize_map", "x is {}, expected (N, C, H, W)", to_string(x.shape()));
  if (x.dim(2) == rows && x.dim(3) == columns) return x;
  const std::array<index_t, 2> sizes{rows, columns};
  return interpolate(x, sizes, Interpolation::linear);
}

/// Maps in the size of the first, as channels of one.
/// @param maps (N, C_i, h_i, w_i)  @return (N, Σ C_i, h_0, w_0)
template <class T, class B> Var<T, B> concat_at_finest(FeatureMaps<T, B> maps) {
  for (auto& map : maps) map = resize_map(map, maps[0].dim(2), maps[0].dim(3));
  return concat(maps, 1);
}

/// The last of the maps, for a decoder that works on one alone.
/// @throws hlip::error naming the decoder where there is none or it has other channels
template <class T, class B>
const Var<T, B>& last_map(std::string_view decoder, const FeatureMaps<T, B>& maps,
                          index_t channels) {
  expect(!maps.empty(), decoder, "no feature maps, expected at least one");
  expect_shape(decoder, "the last map", maps.back().shape(),
               {{"N"}, {"C", channels}, {"h"}, {"w"}});
  return maps.back();
}

HLIP_END
