// Convolution and transposed convolution over two or three axes. The way back of either is the
// other one, and the gradient of the weight.
// Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
#pragma once

#include <hlip/autograd/var.hpp>
#include <hlip/ops/channels.hpp>
#include <hlip/tensor/check.hpp>

#include <algorithm>

HLIP_BEGIN

/// As in torch.nn.functional. One number goes for all axes.
struct ConvOptions {
  Shape stride{1}, padding{0}, dilation{1};
  index_t groups = 1;
  Shape output_padding{0};  ///< of the transposed convolution: added to its result at the end
};

namespace detail {

/// The option of axis `a` of `axes`.
HLIP_LAZY index_t conv_option(std::string_view op, std::string_view name, const Shape& option,
                              int a, int axes, index_t least) {
  expect(option.rank() == 1 || option.rank() == axes, located(op),
         "{} is {}, expected one number or {}", name, to_string(option), axes);
  const index_t value = option[option.rank() == 1 ? 0 : a];
  expect(value >= least, located(op), "{} is {}, expected at least {}", name, to_string(option),
         least);
  return value;
}

/// The convolution of x (N, groups·C, …) and weight (groups·O, C, …). Transposed: the convolution
/// whose transpose takes x (N, groups·O, …), with weight (groups·O, C, …).
HLIP_LAZY ConvGeometry conv_geometry(std::string_view op, const Shape& x, const Shape& weight,
                                     const ConvOptions& o, int axes, bool transposed) {
  const auto words = [&] {
    return fmt::format("x is {} and weight {} with groups = {}", to_string(x), to_string(weight),
                       o.groups);
  };
  expect(x.rank() == axes + 2 && weight.rank() == axes + 2, located(op),
         "{}, expected {} axes in both", words(), axes + 2);
  expect(o.groups > 0 && weight[0] % o.groups == 0, located(op),
         "{}: the first axis of weight is no multiple of the groups", words());
  const index_t wanted = transposed ? weight[0] : weight[1] * o.groups;
  expect(x[1] == wanted, located(op), "{}, expected x (N, {} channels, …)", words(), wanted);
  ConvGeometry g;
  g.batch = x[0], g.groups = o.groups, g.in_channels = weight[1],
  g.out_channels = weight[0] / o.groups;
  g.in = g.out = g.kernel = {1, 1, 1};
  for (int a = 0; a < axes; ++a) {
    const auto at = static_cast<std::size_t>(a + 3 - axes);
    const index_t n = x[a + 2], k = weight[a + 2],
                  s = conv_option(op, "stride", o.stride, a, axes, 1),
                  p = conv_option(op, "padding", o.padding, a, axes, 0),
                  d = conv_option(op, "dilation", o.dilation, a, axes, 1),
                  more = conv_option(op, "output_padding", o.output_padding, a, axes, 0),
                  span = d * (k - 1) + 1,
                  out = transposed ? (n - 1) * s - 2 * p + span + more
                                   : (n + 2 * p - span >= 0 ? (n + 2 * p - span) / s + 1 : 0);
    expect(k > 0 && out > 0, located(op),
           "{}: nothing is left of axis {} (size {}, kernel {}, stride {}, padding {}, dilation "
           "{})",
           words(), a + 2, n, k, s, p, d);
    expect(more == 0 || (transposed && more < std::max(s, d)), located(op),
           "output_padding is {}, expected less than stride or dilation, and of a transposed "
           "convolution alone",
           to_string(o.output_padding));
    g.stride[at] = s, g.padding[at] = p, g.dilation[at] = d, g.kernel[at] = k;
    g.in[at] = transposed ? out : n;
    g.out[at] = transposed ? n : out;
  }
  return g;
}

template <class T, class B>
ConvArgs<T> conv_args(const ConvGeometry& g, const Tensor<T, B>& x, const Tensor<T, B>& weight,
                      const Tensor<T, B>& y, const T* bias = nullptr, bool add = false) {
  return {g, x.data(), weight.data(), y.data(), bias, add};
}

template <class T, class B>
Var<T, B> conv(std::string_view op, const Var<T, B>& x, const Var<T, B>& weight,
               const Var<T, B>& bias, const ConvOptions& o, int axes, bool transposed) {
  const ConvGeometry g = conv_geometry(op, x.shape(), weight.shape(), o, axes, transposed);
  const index_t channels = g.groups * (transposed ? g.in_channels : g.out_channels);
  if (bias.numel() > 0)
    expect(bias.shape() == Shape{channels}, located(op), "bias is {}, expected ({})",
           to_string(bias.shape()), channels);
  Shape shape{g.batch, channels};
  for (int a = 3 - axes; a < 3; ++a)
    shape.push_back((transposed ? g.in : g.out)[static_cast<std::size_t>(a)]);
  const auto y = Tensor<T, B>::empty(shape);
  const Tensor<T, B> in = x.value().contiguous(), w = weight.value().contiguous(),
                     b = bias.value().contiguous();
  const T* added = b.numel() > 0 ? b.data() : nullptr;
  if (transposed) conv_backward_input(B{}, conv_args(g, y, w, in, added));
  else conv_forward(B{}, conv_args(g, in, w, y, added));
  return record(op, y, {x, weight, bias}, [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
    // What the convolution reads and what it writes; the transposed one does it the other way
    if (grads.wants(2)) grads.add(2, channel_sums(as_channels(dy)));
    if (grads.wants(1)) {
      const GradSink<T> dw = grads.sink(1);
      ConvArgs<T> a = transposed ? conv_args(g, dy, w, in) : conv_args(g, in, w, dy);
      a.weight = dw.grad, a.add = dw.add;
      conv_backward_weight(B{}, a);
    }
    if (!grads.wants(0)) return;
    const auto dx = Tensor<T, B>::empty(in.shape());
    if (transposed) conv_forward(B{}, conv_args(g, dy, w, dx));
    else conv_backward_input(B{}, conv_args(g, dx, w, dy));
    grads.add(0, dx);
  });
}

}  // namespace detail

/// Cross-correlation of pictures, as torch.nn.functional.conv2d.
/// @param x (N, C, H, W)  @param weight (O, C / groups, kh, kw)  @param bias (O), or an empty Var
/// @return (N, O, h, w) with h = (H + 2·padding − dilation·(kh − 1) − 1) / stride + 1
/// @throws hlip::error where shapes, groups or options do not fit or nothing would be left
template <class T, class B>
Var<T, B> conv2d(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias = {},
                 const ConvOptions& options = {}) {
  return detail::conv("conv2d", x, weight, bias, options, 2, false);
}
/// The same of volumes. @param x (N, C, D, H, W)  @param weight (O, C / groups, kd, kh, kw)
template <class T, class B>
Var<T, B> conv3d(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias = {},
                 const ConvOptions& options = {}) {
  return detail::conv("conv3d", x, weight, bias, options, 3, false);
}

/// The transpose of a convolution, as torch.nn.functional.conv_transpose2d.
/// @param x (N, C, H, W)  @param weight (C, O / groups, kh, kw)  @param bias (O), or an empty Var
/// @return (N, O, h, w), h = (H − 1)·stride − 2·padding + dilation·(kh − 1) + output_padding + 1
/// @throws as conv2d
template <class T, class B>
Var<T, B> conv_transpose2d(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias = {},
                           const ConvOptions& options = {}) {
  return detail::conv("conv_transpose2d", x, weight, bias, options, 2, true);
}
/// The same of volumes. @param x (N, C, D, H, W)  @param weight (C, O / groups, kd, kh, kw)
template <class T, class B>
Var<T, B> conv_transpose3d(const Var<T, B>& x, const Var<T, B>& weight, const Var<T, B>& bias = {},
                           const ConvOptions& options = {}) {
  return detail::conv("conv_transpose3d", x, weight, bias, options, 3, true);
}

HLIP_END
