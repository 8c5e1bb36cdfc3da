// Volumes as rows of patches: what a convolution whose stride is its kernel multiplies.
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/kept.hpp>

HLIP_BEGIN

namespace detail {

/// extract_patches of constant volumes, the rows in memory as S: they are not kept for the way back
/// but cut again.
template <class S, class T, class B>
Var<T, B> extract_patches_as(const Var<T, B>& x, const Shape& patch, index_t patches) {
  const Tensor<T, B> volumes = x.value().contiguous();
  const auto cut = [=](index_t first, index_t last) {
    const auto rows = Tensor<S, B>::empty({last - first, volumes.dim(1) * patch.numel()});
    cut_patches(B{}, PatchArgs<T, S>{volumes.data(), volumes.dim(1), volumes.dim(2), volumes.dim(3),
                                     volumes.dim(4), patch[0], patch[1], patch[2], first, last,
                                     rows.data()});
    return rows;
  };
  return remade_constant<T>("extract_patches", cut(0, patches), cut);
}

}  // namespace detail

/// Cuts volumes into patches, dropping the remainder at the end of an axis.
/// @param x (N, C, D, H, W)  @return (N·d·h·w, C·pd·ph·pw), rows in the order n, d, h, w
template <class T, class B>
Var<T, B> extract_patches(const Var<T, B>& x, const Shape& patch,
                          ResultFor result = ResultFor::anything) {
  expect_shape("patch_embed", "x", x.shape(), {{"N"}, {"C"}, {"D"}, {"H"}, {"W"}});
  const index_t n = x.dim(0), c = x.dim(1), d = x.dim(2) / patch[0], h = x.dim(3) / patch[1],
                w = x.dim(4) / patch[2];
  expect(d > 0 && h > 0 && w > 0, "patch_embed", "x is {}, smaller than one patch {}",
         to_string(x.shape()), to_string(patch));
  if (!x.requires_grad()) {
    if constexpr (may_store_bfloat16<T, B>)
      if (result == ResultFor::products && stores_operands<T, B>())
        return detail::extract_patches_as<bfloat16>(x, patch, n * d * h * w);
    return detail::extract_patches_as<T>(x, patch, n * d * h * w);
  }
  Var<T, B> v = x;
  const index_t keep[] = {d * patch[0], h * patch[1], w * patch[2]};
  for (int a = 0; a < 3; ++a)
    if (keep[a] != v.dim(2 + a)) v = slice(v, 2 + a, 0, keep[a]);
  v = reshape(v, {n, c, d, patch[0], h, patch[1], w, patch[2]});
  v = permute(v, {0, 2, 4, 6, 1, 3, 5, 7});
  return reshape(v, {n * d * h * w, c * patch.numel()});
}

HLIP_END
