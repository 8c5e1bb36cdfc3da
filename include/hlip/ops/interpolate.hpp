// Resizing tensors along their last axes with the half-pixel conventions of
// torch.nn.functional.interpolate (align_corners=false), one axis after the other.
// Source: PyTorch, aten/src/ATen/native/UpSample.h (conventions); Keys, "Cubic convolution
// interpolation", 1981.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

HLIP_BEGIN

/// nearest, nearest_exact: one voxel (corner and centre rule). linear, cubic (a = -0.75, edges
/// replicated): no low-pass when shrinking. The antialias forms widen the kernel by in/out when
/// shrinking, normalise it, and use a = -0.5.
enum class Interpolation {
  nearest,
  nearest_exact,
  linear,
  cubic,
  linear_antialias,
  cubic_antialias
};

/// Output o is Σ_t weight[o·taps + t] · input[index[o·taps + t]].
template <class T> struct ResampleTable {
  int taps = 0;
  std::vector<index_t> index;
  std::vector<T> weight;
};

namespace detail {

/// Keys' cubic kernel at distance x.
template <class C> C cubic_kernel(C x, C a) {
  x = std::abs(x);
  if (x < C(1)) return ((a + C(2)) * x - (a + C(3))) * x * x + C(1);
  if (x < C(2)) return ((x - C(5)) * x + C(8)) * x * a - C(4) * a;
  return C(0);
}

/// Fills a table with coordinates in type C; `step` is input voxels per output voxel.
template <class C, class T>
ResampleTable<T> make_resample_table(index_t n_in, index_t n_out, Interpolation mode, C step) {
  using enum Interpolation;
  ResampleTable<T> table;
  const bool antialias = mode == linear_antialias || mode == cubic_antialias;
  // half width of the kernel before widening
  const C reach = mode == cubic_antialias ? C(2) : C(1);
  const C support = antialias ? reach * std::max(step, C(1)) : C(0),
          shrink = C(1) / std::max(step, C(1));
  if (antialias)
    table.taps = static_cast<int>(
        std::min<index_t>(n_in, static_cast<index_t>(std::ceil(support)) * 2 + 1));
  else table.taps = mode == cubic ? 4 : mode == linear ? 2 : 1;
  table.index.reserve(static_cast<std::size_t>(n_out * table.taps));
  table.weight.reserve(static_cast<std::size_t>(n_out * table.taps));
  const auto add = [&](index_t i, C weight) {
    table.index.push_back(std::clamp<index_t>(i, 0, n_in - 1));
    table.weight.push_back(static_cast<T>(weight));
  };
  for (index_t o = 0; o < n_out; ++o) {
    const C half = C(0.5), centre = step * (static_cast<C>(o) + half);
    if (mode == nearest) {
      add(static_cast<index_t>(std::floor(static_cast<C>(o) * step)), C(1));
    } else if (mode == nearest_exact) {
      add(static_cast<index_t>(std::floor(centre)), C(1));
    } else if (mode == linear) {
      const C at = std::max(C(0), centre - half);
      const auto i = std::min(static_cast<index_t>(at), n_in - 1);
      const C right = std::clamp(at - static_cast<C>(i), C(0), C(1));
      add(i, C(1) - right);
      add(i + 1, right);
    } else if (mode == cubic) {
      const C at = centre - half, i = std::floor(at), t = at - i, a = C(-0.75);
      for (int k = -1; k <= 2; ++k)
        add(static_cast<index_t>(i) + k, cubic_kernel(t - static_cast<C>(k), a));
    } else {
      const auto first = std::max<index_t>(static_cast<index_t>(centre - support + half), 0);
      const auto last = std::min<index_t>(static_cast<index_t>(centre + support + half), n_in);
      std::vector<C> w;
      C total = 0;
      for (index_t i = first; i < last && static_cast<int>(w.size()) < table.taps; ++i) {
        const C x = (static_cast<C>(i) - centre + half) * shrink;
        w.push_back(mode == cubic_antialias ? cubic_kernel(x, C(-0.5))
                                            : std::max(C(0), C(1) - std::abs(x)));
        total += w.back();
      }
      for (int t = 0; t < table.taps; ++t) {
        const bool inside = t < static_cast<int>(w.size());
        add(inside ? first + t : last - 1,
            inside ? w[static_cast<std::size_t>(t)] / (total != C(0) ? total : C(1)) : C(0));
      }
    }
  }
  return table;
}

}  // namespace detail

/// The weights that resize an axis from n_in to n_out.
///
/// @param fp32_coordinates compute source coordinates and weights in float, as PyTorch does for
/// float tensors;
///                         ignored for T = double, which always uses double
/// @param step             input voxels per output voxel when it is not n_in / n_out (an explicit
///                         scale factor)
/// @throws hlip::error unless both sizes are positive
template <class T>
ResampleTable<T> resample_weights(index_t n_in, index_t n_out, Interpolation mode,
                                  bool fp32_coordinates = true, double step = 0) {
  expect(n_in > 0 && n_out > 0, "interpolate", "cannot resize an axis from {} to {}", n_in, n_out);
  if (fp32_coordinates && std::is_same_v<T, float>)
    return detail::make_resample_table<float, T>(
        n_in, n_out, mode,
        step > 0 ? static_cast<float>(step) : static_cast<float>(n_in) / static_cast<float>(n_out));
  return detail::make_resample_table<double, T>(
      n_in, n_out, mode, step > 0 ? step : static_cast<double>(n_in) / static_cast<double>(n_out));
}

/// Resizes one axis with a given table, or (transposed) pulls a gradient back through it: n_out
/// values become n_in.
/// @param x contiguous or not; its size on `axis` is the table's input size (transposed: its output
/// size)
/// @param n the size of the result on `axis`
template <class T, class B>
Tensor<T, B> resample(const Tensor<T, B>& x, int axis, const ResampleTable<T>& table, index_t n,
                      bool transposed = false) {
  const int d = normalize_axis("interpolate", axis, x.rank());
  const Tensor<T, B> from = x.contiguous();
  Shape shape = x.shape();
  shape[d] = n;
  auto to = Tensor<T, B>::empty(shape);
  ResampleArgs<T> args;
  args.outer = Shape(shape.begin(), shape.begin() + d).numel();
  args.inner = Shape(shape.begin() + d + 1, shape.end()).numel();
  args.n_in = transposed ? n : x.shape()[d];
  args.n_out = transposed ? x.shape()[d] : n;
  expect(static_cast<index_t>(table.weight.size()) == args.n_out * table.taps, "interpolate",
         "the table makes {} values, expected {}",
         table.taps ? static_cast<index_t>(table.weight.size()) / table.taps : 0, args.n_out);
  args.taps = table.taps;
  args.index = table.index.data();
  args.weight = table.weight.data();
  args.x = (transposed ? to : from).data();
  args.y = (transposed ? from : to).data();
  args.transposed = transposed;
  resample_axis(B{}, args);
  return to;
}

/// Resizes the last sizes.size() axes of x to `sizes`; 1-D, 2-D and 3-D images alike. Axes that
/// keep their size are untouched.
///
/// @param x     (…, n_1 … n_k)
/// @param sizes new sizes of the last k axes
/// @param fp32_coordinates see resample_weights
/// @return      (…, sizes)
/// @throws hlip::error for more sizes than axes or a size that is not positive
template <class T, class B>
Tensor<T, B> interpolate(const Tensor<T, B>& x, std::span<const index_t> sizes, Interpolation mode,
                         bool fp32_coordinates = true) {
  const int count = static_cast<int>(sizes.size());
  expect(count <= x.rank(), "interpolate", "{} sizes for a tensor of shape {}", count,
         to_string(x.shape()));
  Tensor<T, B> y = x;
  // Last axis first; any order gives the same up to rounding.
  for (int k = count - 1; k >= 0; --k) {
    const int axis = x.rank() - count + k;
    const index_t n = sizes[static_cast<std::size_t>(k)];
    if (n == x.shape()[axis]) continue;
    y = resample(y, axis, resample_weights<T>(x.shape()[axis], n, mode, fp32_coordinates), n);
  }
  return y.shares_storage(x) ? x.clone() : y;
}
template <class T, class B>
Tensor<T, B> interpolate(const Tensor<T, B>& x, std::initializer_list<index_t> sizes,
                         Interpolation mode, bool fp32_coordinates = true) {
  return interpolate(x, std::span<const index_t>(sizes.begin(), sizes.size()), mode,
                     fp32_coordinates);
}

/// The gradient of interpolate: dy (…, resized sizes) -> dx (…, original sizes).
template <class T, class B>
Tensor<T, B> interpolate_pull(const Tensor<T, B>& dy, std::span<const index_t> original_sizes,
                              Interpolation mode, bool fp32_coordinates = true) {
  const int count = static_cast<int>(original_sizes.size());
  expect(count <= dy.rank(), "interpolate_pull", "{} sizes for a tensor of shape {}", count,
         to_string(dy.shape()));
  Tensor<T, B> dx = dy;
  for (int k = 0; k < count; ++k) {
    const int axis = dy.rank() - count + k;
    const index_t n = original_sizes[static_cast<std::size_t>(k)];
    if (n == dy.shape()[axis]) continue;
    dx = resample(dx, axis, resample_weights<T>(n, dy.shape()[axis], mode, fp32_coordinates), n,
                  true);
  }
  return dx.shares_storage(dy) ? dy.clone() : dx;
}
template <class T, class B>
Tensor<T, B> interpolate_pull(const Tensor<T, B>& dy, std::initializer_list<index_t> original_sizes,
                              Interpolation mode, bool fp32_coordinates = true) {
  return interpolate_pull(dy,
                          std::span<const index_t>(original_sizes.begin(), original_sizes.size()),
                          mode, fp32_coordinates);
}

HLIP_END
