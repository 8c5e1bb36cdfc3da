// PatchEmbed3D: a convolution whose stride is its kernel, computed as one matrix product of patch rows.
#pragma once

#include <hlip/autograd/functions/linear.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

#include <cmath>

HLIP_BEGIN

namespace detail {

/// Patch rows [first, last) of x (N, C, D, H, W), (rows, C·pd·ph·pw); d, h, w patches along each axis.
template <class T, class B>
Tensor<T, B> patch_rows(const Tensor<T, B>& x, const Shape& patch, index_t d, index_t h, index_t w, index_t first, index_t last) {
  const index_t c = x.dim(1), pd = patch[0], ph = patch[1], pw = patch[2], lines = c * pd * ph;
  const auto rows = Tensor<T, B>::empty({last - first, lines * pw});
  const T* from = x.data();
  T* to = rows.data();
  const index_t depth = x.dim(2), height = x.dim(3), width = x.dim(4);
  for_each_index(B{}, (last - first) * lines, [=] HLIP_LAMBDA(index_t i) {
    const index_t row = first + i / lines, line = i % lines;
    const index_t n = row / (d * h * w), z = row / (h * w) % d * pd + line / ph % pd, y = row / w % h * ph + line % ph, channel = line / (ph * pd);
    const T* source = from + (((n * c + channel) * depth + z) * height + y) * width + row % w * pw;
    for (index_t k = 0; k < pw; ++k) to[i * pw + k] = source[k];
  });
  return rows;
}

}  // namespace detail

/// Cuts volumes into patches, dropping the remainder at the end of an axis. The patches of constant volumes are not kept
/// for the way back but cut again.
/// @param x (N, C, D, H, W)  @return (N·d·h·w, C·pd·ph·pw), rows in the order n, d, h, w
template <class T, class B>
Var<T, B> extract_patches(const Var<T, B>& x, const Shape& patch) {
  expect_shape("patch_embed", "x", x.shape(), {{"N"}, {"C"}, {"D"}, {"H"}, {"W"}});
  const index_t n = x.dim(0), c = x.dim(1), d = x.dim(2) / patch[0], h = x.dim(3) / patch[1], w = x.dim(4) / patch[2];
  expect(d > 0 && h > 0 && w > 0, "patch_embed", "x is {}, smaller than one patch {}", to_string(x.shape()), to_string(patch));
  if (!x.requires_grad()) {
    const auto cut = [=, input = x.value().contiguous()](index_t first, index_t last) { return detail::patch_rows(input, patch, d, h, w, first, last); };
    return remade_constant("extract_patches", cut(0, n * d * h * w), cut);
  }
  Var<T, B> v = x;
  const index_t keep[] = {d * patch[0], h * patch[1], w * patch[2]};
  for (int a = 0; a < 3; ++a)
    if (keep[a] != v.dim(2 + a)) v = slice(v, 2 + a, 0, keep[a]);
  v = reshape(v, {n, c, d, patch[0], h, patch[1], w, patch[2]});
  v = permute(v, {0, 2, 4, 6, 1, 3, 5, 7});
  return reshape(v, {n * d * h * w, c * patch.numel()});
}

/// Convolution with kernel = stride = patch. Parameters are those of a Conv3d called `proj`.
template <class T = float, class B = Cpu>
struct PatchEmbed3D {
  using value_type = T;
  using backend = B;
  struct Projection {
    using value_type = T;
    using backend = B;
    Var<T, B> weight;  ///< (C, in_chans, pd, ph, pw)
    Var<T, B> bias;    ///< (C)
    template <class V>
    void visit(V&& v) {
      v("weight", weight);
      v("bias", bias);
    }
  } proj;
  Shape patch_size;

  PatchEmbed3D() = default;
  PatchEmbed3D(index_t in_chans, index_t dim, const Shape& patch, Initializer& init) : patch_size(patch) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in_chans * patch.numel()));
    proj.weight = init.uniform<T, B>({dim, in_chans, patch[0], patch[1], patch[2]}, bound);
    proj.bias = init.uniform<T, B>({dim}, bound);
  }
  template <class V>
  void visit(V&& v) {
    v("proj", proj);
  }
  /// @param x (N, in_chans, D, H, W)  @return (N·d·h·w, C)
  Var<T, B> operator()(const Var<T, B>& x) const {
    ModuleScope at("patch_embed");
    expect_shape("patch_embed", "x", x.shape(), {{"N"}, {"in_chans", proj.weight.dim(1)}, {"D"}, {"H"}, {"W"}});
    const index_t dim = proj.weight.dim(0);
    return linear(extract_patches(x, patch_size), reshape(proj.weight, {dim, proj.weight.numel() / dim}), proj.bias);
  }
};

HLIP_END
