// Patch embedding: a convolution whose stride is its kernel, computed as one matrix product of
// patch rows; of volumes and of pictures.
#pragma once

#include <hlip/autograd/functions/linear.hpp>
#include <hlip/autograd/functions/patches.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

#include <cmath>

HLIP_BEGIN

/// Convolution with kernel = stride = patch. Parameters are those of a Conv3d called `proj`.
template <class T = float, class B = Cpu> struct PatchEmbed3D {
  using value_type = T;
  using backend = B;
  struct Projection {
    using value_type = T;
    using backend = B;
    Var<T, B> weight;  ///< (C, in_chans, pd, ph, pw)
    Var<T, B> bias;    ///< (C)
    template <class V> void visit(V&& v) {
      v("weight", weight);
      v("bias", bias);
    }
  } proj;
  Shape patch_size;

  PatchEmbed3D() = default;
  PatchEmbed3D(index_t in_chans, index_t dim, const Shape& patch, Initializer& init)
      : patch_size(patch) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in_chans * patch.numel()));
    proj.weight = init.uniform<T, B>({dim, in_chans, patch[0], patch[1], patch[2]}, bound);
    proj.bias = init.uniform<T, B>({dim}, bound);
  }
  template <class V> void visit(V&& v) { v("proj", proj); }
  /// @param x (N, in_chans, D, H, W)  @return (N·d·h·w, C)
  Var<T, B> operator()(const Var<T, B>& x) const {
    ModuleScope at("patch_embed");
    expect_shape("patch_embed", "x", x.shape(),
                 {{"N"}, {"in_chans", proj.weight.dim(1)}, {"D"}, {"H"}, {"W"}});
    const index_t dim = proj.weight.dim(0);
    return linear(extract_patches(x, patch_size, ResultFor::products),
                  reshape(proj.weight, {dim, proj.weight.numel() / dim}), proj.bias);
  }
};

/// The same of pictures. Parameters are those of a Conv2d called `proj`.
template <class T = float, class B = Cpu> struct PatchEmbed2D {
  using value_type = T;
  using backend = B;
  typename PatchEmbed3D<T, B>::Projection proj;  ///< its weight is (C, in_chans, ph, pw)
  index_t patch_size = 0;                        ///< pixels, of a square patch

  PatchEmbed2D() = default;
  PatchEmbed2D(index_t in_chans, index_t dim, index_t patch, Initializer& init)
      : patch_size(patch) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(in_chans * patch * patch));
    proj.weight = init.uniform<T, B>({dim, in_chans, patch, patch}, bound);
    proj.bias = init.uniform<T, B>({dim}, bound);
  }
  template <class V> void visit(V&& v) { v("proj", proj); }
  /// @param x (N, in_chans, H, W)  @return (N·h·w, C)
  Var<T, B> operator()(const Var<T, B>& x) const {
    ModuleScope at("patch_embed");
    expect_shape("patch_embed", "x", x.shape(),
                 {{"N"}, {"in_chans", proj.weight.dim(1)}, {"H"}, {"W"}});
    const index_t dim = proj.weight.dim(0);
    const Var<T, B> flat = reshape(x, {x.dim(0), x.dim(1), 1, x.dim(2), x.dim(3)});
    return linear(extract_patches(flat, {1, patch_size, patch_size}, ResultFor::products),
                  reshape(proj.weight, {dim, proj.weight.numel() / dim}), proj.bias);
  }
};

HLIP_END
