// Pooling over windows of pictures and volumes, and what undoes it: max_pool, avg_pool,
// adaptive_avg_pool, pixel_shuffle. (Growing by interpolation is in interpolate.hpp.)
#pragma once

#include <hlip/autograd/functions/shape.hpp>
#include <hlip/autograd/var.hpp>
#include <hlip/ops/interpolate.hpp>
#include <hlip/tensor/check.hpp>

#include <array>
#include <cstdint>
#include <vector>

HLIP_BEGIN

/// As in torch.nn.functional: one number goes for all axes; no stride means that of the kernel.
struct PoolOptions {
  Shape stride{0}, padding{0};
};

namespace detail {

/// Windows over the last axes of x, of which there are at most three.
struct PoolWindows {
  using Axes = std::array<index_t, 3>;
  Axes in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, padding{};

  /// x's shape with the sizes of the result.
  Shape result(Shape x) const {
    for (int a = 2; a < x.rank(); ++a) x[a] = out[static_cast<std::size_t>(a + 3 - x.rank())];
    return x;
  }
};

/// @throws hlip::error for options that do not fit, and where nothing would be left
HLIP_LAZY PoolWindows pool_windows(std::string_view op, const Shape& x, const Shape& kernels,
                                   const PoolOptions& o, int axes) {
  PoolWindows w;
  expect(x.rank() == axes + 2, located(op), "x is {}, expected {} axes", to_string(x), axes + 2);
  for (const Shape* s : {&kernels, &o.stride, &o.padding})
    expect(s->rank() == 1 || s->rank() == axes, located(op),
           "kernel is {}, stride {}, padding {}: expected one number each, or {}",
           to_string(kernels), to_string(o.stride), to_string(o.padding), axes);
  const auto of = [](const Shape& s, int a) { return s[s.rank() == 1 ? 0 : a]; };
  for (int a = 0; a < axes; ++a) {
    const auto at = static_cast<std::size_t>(a + 3 - axes);
    w.in[at] = x[a + 2], w.kernel[at] = of(kernels, a), w.padding[at] = of(o.padding, a);
    w.stride[at] = of(o.stride, a) == 0 ? w.kernel[at] : of(o.stride, a);
    expect(w.kernel[at] > 0 && w.stride[at] > 0 && w.padding[at] >= 0 &&
               2 * w.padding[at] <= w.kernel[at],
           located(op),
           "kernel {}, stride {}, padding {}: expected a padding of at most half a kernel",
           w.kernel[at], w.stride[at], w.padding[at]);
    w.out[at] = w.in[at] + 2 * w.padding[at] < w.kernel[at]
                    ? 0
                    : (w.in[at] + 2 * w.padding[at] - w.kernel[at]) / w.stride[at] + 1;
    expect(w.out[at] > 0, located(op), "x is {}: axis {} is smaller than the window of {}",
           to_string(x), a + 2, w.kernel[at]);
  }
  return w;
}

/// Element i of the result, and where in its plane of x it comes from: the first of the largest.
template <class T> struct MaxPoolForward {
  PoolWindows w;
  const T* x;
  T* y;
  std::int64_t* from;
  HLIP_FN void operator()(index_t i) const {
    index_t rest = i, first[3], last[3];
    for (std::size_t a = 3; a-- > 0;) {
      const index_t above = quotient(rest, w.out[a]);
      const index_t begin = (rest - above * w.out[a]) * w.stride[a] - w.padding[a],
                    end = begin + w.kernel[a];
      first[a] = begin < 0 ? 0 : begin;
      last[a] = end < w.in[a] ? end : w.in[a];
      rest = above;
    }
    const T* plane = x + rest * w.in[0] * w.in[1] * w.in[2];
    index_t best = (first[0] * w.in[1] + first[1]) * w.in[2] + first[2];
    for (index_t d = first[0]; d < last[0]; ++d)
      for (index_t h = first[1]; h < last[1]; ++h)
        for (index_t v = first[2]; v < last[2]; ++v) {
          const index_t at = (d * w.in[1] + h) * w.in[2] + v;
          if (plane[at] > plane[best] || plane[at] != plane[at]) best = at;  // a NaN stays
        }
    y[i] = plane[best];
    from[i] = best;
  }
};

/// Adds up what the windows around element i of x send back to it.
template <class T> struct MaxPoolPull {
  PoolWindows w;
  const T* dy;
  const std::int64_t* from;
  T* dx;
  HLIP_FN void operator()(index_t i) const {
    const index_t plane = quotient(i, w.in[0] * w.in[1] * w.in[2]),
                  within = i - plane * w.in[0] * w.in[1] * w.in[2];
    index_t rest = within, first[3], last[3];
    for (std::size_t a = 3; a-- > 0;) {
      const index_t above = quotient(rest, w.in[a]), at = rest - above * w.in[a] + w.padding[a];
      const index_t begin = at < w.kernel[a] ? 0 : quotient(at - w.kernel[a], w.stride[a]) + 1,
                    end = quotient(at, w.stride[a]) + 1;
      first[a] = begin;
      last[a] = end < w.out[a] ? end : w.out[a];
      rest = above;
    }
    T sum = 0;
    for (index_t d = first[0]; d < last[0]; ++d)
      for (index_t h = first[1]; h < last[1]; ++h)
        for (index_t v = first[2]; v < last[2]; ++v) {
          const index_t at = ((plane * w.out[0] + d) * w.out[1] + h) * w.out[2] + v;
          if (from[at] == within) sum += dy[at];
        }
    dx[i] = sum;
  }
};

template <class T, class B>
Var<T, B> max_pool(std::string_view op, const Var<T, B>& x, const Shape& kernel,
                   const PoolOptions& o, int axes) {
  const PoolWindows w = pool_windows(op, x.shape(), kernel, o, axes);
  const Tensor<T, B> in = x.value().contiguous();
  const auto y = Tensor<T, B>::empty(w.result(x.shape()));
  const auto from = Tensor<std::int64_t, B>::empty(y.shape());
  for_each_index(B{}, y.numel(), MaxPoolForward<T>{w, in.data(), y.data(), from.data()});
  return record(
      op, y, {x}, [w, from, shape = x.shape()](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
        const auto dx = Tensor<T, B>::empty(shape);
        for_each_index(B{}, dx.numel(), MaxPoolPull<T>{w, dy.data(), from.data(), dx.data()});
        grads.add(0, dx);
      });
}

/// One axis after the other, each with the table that makes it: weighted sums of neighbours.
template <class T, class B>
Var<T, B> resample_axes(std::string_view op, const Var<T, B>& x, const Shape& result,
                        const std::vector<ResampleTable<T>>& tables) {
  const int before = x.rank() - static_cast<int>(tables.size());
  Tensor<T, B> y = x.value();
  for (int a = x.rank() - 1; a >= before; --a)
    y = resample(y, a, tables[static_cast<std::size_t>(a - before)], result[a]);
  return record(
      op, y, {x}, [=, shape = x.shape()](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
        Tensor<T, B> dx = dy;
        for (int a = before; a < shape.rank(); ++a)
          dx = resample(dx, a, tables[static_cast<std::size_t>(a - before)], shape[a], true);
        grads.add(0, dx);
      });
}

/// Means of windows; zeros around x count as elements.
template <class T, class B>
Var<T, B> avg_pool(std::string_view op, const Var<T, B>& x, const Shape& kernel,
                   const PoolOptions& o, int axes) {
  const PoolWindows w = pool_windows(op, x.shape(), kernel, o, axes);
  std::vector<ResampleTable<T>> tables;
  for (std::size_t a = static_cast<std::size_t>(3 - axes); a < 3; ++a) {
    ResampleTable<T>& table = tables.emplace_back();
    table.taps = static_cast<int>(w.kernel[a]);
    for (index_t q = 0; q < w.out[a]; ++q)
      for (index_t t = 0; t < w.kernel[a]; ++t) {
        const index_t from = q * w.stride[a] - w.padding[a] + t;
        const bool inside = from >= 0 && from < w.in[a];
        table.index.push_back(inside ? from : 0);
        table.weight.push_back(inside ? T(1) / static_cast<T>(w.kernel[a]) : T(0));
      }
  }
  return resample_axes(op, x, w.result(x.shape()), tables);
}

}  // namespace detail

/// The largest element of every window, as torch.nn.functional.max_pool2d; its gradient goes to the
/// first of equal ones.
/// @param x (N, C, H, W)  @param kernel one number, or one for each axis
/// @return (N, C, h, w) with h = (H + 2·padding − kernel) / stride + 1
/// @throws hlip::error for options that do not fit, and where nothing would be left
template <class T, class B>
Var<T, B> max_pool2d(const Var<T, B>& x, const Shape& kernel, const PoolOptions& options = {}) {
  return detail::max_pool("max_pool2d", x, kernel, options, 2);
}
/// The same of volumes (N, C, D, H, W).
template <class T, class B>
Var<T, B> max_pool3d(const Var<T, B>& x, const Shape& kernel, const PoolOptions& options = {}) {
  return detail::max_pool("max_pool3d", x, kernel, options, 3);
}

/// Means of windows, as torch.nn.functional.avg_pool2d: padding counts as zeros. Arguments as of
/// max_pool2d.
template <class T, class B>
Var<T, B> avg_pool2d(const Var<T, B>& x, const Shape& kernel, const PoolOptions& options = {}) {
  return detail::avg_pool("avg_pool2d", x, kernel, options, 2);
}
/// The same of volumes (N, C, D, H, W).
template <class T, class B>
Var<T, B> avg_pool3d(const Var<T, B>& x, const Shape& kernel, const PoolOptions& options = {}) {
  return detail::avg_pool("avg_pool3d", x, kernel, options, 3);
}

/// Means of as many windows as the result has elements, as torch.nn.functional.adaptive_avg_pool2d
/// and its kin: window o of an axis is [⌊o·n/out⌋, ⌈(o + 1)·n/out⌉).
/// @param x (N, C, …)  @param sizes of the axes behind the channels  @return (N, C, sizes)
template <class T, class B> Var<T, B> adaptive_avg_pool(const Var<T, B>& x, const Shape& sizes) {
  const auto op = "adaptive_avg_pool";
  expect(x.rank() == sizes.rank() + 2 && x.numel() > 0, located(op),
         "x is {} and sizes {}, expected (N, C, …) and a size for each axis behind the channels",
         to_string(x.shape()), to_string(sizes));
  Shape result = x.shape();
  std::vector<ResampleTable<T>> tables;
  for (int a = 0; a < sizes.rank(); ++a) {
    const index_t n = x.dim(a + 2), out = sizes[a];
    expect(out > 0, located(op), "sizes are {}, expected at least 1", to_string(sizes));
    result[a + 2] = out;
    const auto first = [&](index_t o) { return o * n / out; };
    const auto last = [&](index_t o) { return ((o + 1) * n + out - 1) / out; };
    ResampleTable<T>& table = tables.emplace_back();
    for (index_t o = 0; o < out; ++o)
      table.taps = std::max(table.taps, static_cast<int>(last(o) - first(o)));
    for (index_t o = 0; o < out; ++o)
      for (index_t t = 0; t < table.taps; ++t) {
        const bool inside = first(o) + t < last(o);
        table.index.push_back(inside ? first(o) + t : first(o));
        table.weight.push_back(inside ? T(1) / static_cast<T>(last(o) - first(o)) : T(0));
      }
  }
  return detail::resample_axes(op, x, result, tables);
}

/// Channels become pixels, as torch.nn.functional.pixel_shuffle.
/// @param x (N, C·r·r, H, W)  @return (N, C, H·r, W·r)
template <class T, class B> Var<T, B> pixel_shuffle(const Var<T, B>& x, index_t r) {
  expect(x.rank() == 4 && r > 0 && x.dim(1) % (r * r) == 0, located("pixel_shuffle"),
         "x is {}, expected (N, C·{}·{}, H, W)", to_string(x.shape()), r, r);
  const index_t n = x.dim(0), c = x.dim(1) / (r * r), h = x.dim(2), w = x.dim(3);
  return reshape(permute(reshape(x, {n, c, r, r, h, w}), {0, 1, 4, 2, 5, 3}), {n, c, h * r, w * r});
}

HLIP_END
