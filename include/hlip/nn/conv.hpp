// Convolutions with their parameters: Conv2d, Conv3d and the transposed ones.
#pragma once

#include <hlip/autograd/functions/conv.hpp>
#include <hlip/nn/init.hpp>
#include <hlip/nn/module.hpp>

#include <cmath>

HLIP_BEGIN

namespace detail {

/// A convolution over `Axes` axes, transposed or not.
template <int Axes, bool Transposed, class T, class B> struct ConvLayer {
  using value_type = T;
  using backend = B;
  /// (out, in / groups, kernel …); transposed: (in, out / groups, kernel …)
  Var<T, B> weight;
  Var<T, B> bias;  ///< (out), or empty
  ConvOptions options;

  ConvLayer() = default;
  /// Parameters uniform within 1/√(fan in), as PyTorch draws them.
  /// @param kernel one number for all axes, or one for each
  ConvLayer(index_t in, index_t out, const Shape& kernel, Initializer& init,
            const ConvOptions& o = {}, bool with_bias = true)
      : options(o) {
    expect(o.groups > 0 && in % o.groups == 0 && out % o.groups == 0, "conv",
           "{} channels to {} in {} groups, expected multiples of the groups", in, out, o.groups);
    Shape shape = Transposed ? Shape{in, out / o.groups} : Shape{out, in / o.groups};
    for (int a = 0; a < Axes; ++a) shape.push_back(kernel[kernel.rank() == 1 ? 0 : a]);
    const double fan_in = static_cast<double>(shape.numel()) / static_cast<double>(shape[0]),
                 bound = 1.0 / std::sqrt(fan_in);
    weight = init.uniform<T, B>(shape, bound);
    if (with_bias) bias = init.uniform<T, B>({out}, bound);
  }
  template <class V> void visit(V&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  /// @param x (N, in, [D,] H, W)  @return (N, out, …)
  Var<T, B> operator()(const Var<T, B>& x) const {
    if constexpr (Transposed && Axes == 2) return conv_transpose2d(x, weight, bias, options);
    else if constexpr (Transposed) return conv_transpose3d(x, weight, bias, options);
    else if constexpr (Axes == 2) return conv2d(x, weight, bias, options);
    else return conv3d(x, weight, bias, options);
  }
};

}  // namespace detail

/// torch.nn.Conv2d: of pictures.
template <class T = float, class B = Cpu> struct Conv2d : detail::ConvLayer<2, false, T, B> {
  using detail::ConvLayer<2, false, T, B>::ConvLayer;
};
/// torch.nn.Conv3d: of volumes.
template <class T = float, class B = Cpu> struct Conv3d : detail::ConvLayer<3, false, T, B> {
  using detail::ConvLayer<3, false, T, B>::ConvLayer;
};
/// torch.nn.ConvTranspose2d
template <class T = float, class B = Cpu>
struct ConvTranspose2d : detail::ConvLayer<2, true, T, B> {
  using detail::ConvLayer<2, true, T, B>::ConvLayer;
};
/// torch.nn.ConvTranspose3d
template <class T = float, class B = Cpu>
struct ConvTranspose3d : detail::ConvLayer<3, true, T, B> {
  using detail::ConvLayer<3, true, T, B>::ConvLayer;
};

HLIP_END
