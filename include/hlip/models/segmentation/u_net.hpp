// U-Net: masks from pictures, trained end to end.
// Source: Ronneberger et al. 2015, "U-Net"; reference document RAD-DINO §9.
#pragma once

#include <hlip/autograd/functions/pool.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/models/segmentation/conv_bn_relu.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// A wider and deeper one is the upper bound that frozen encoders are measured against.
struct UNetConfig {
  index_t in_chans = 1, classes = 2;
  index_t width = 32;  ///< channels of the finest level; every coarser one has twice as many
  int levels = 5;      ///< 1 to 10

  /// Height and width of pictures are multiples of this.
  index_t multiple() const { return index_t{1} << (levels - 1); }
};

template <class T = float, class B = Cpu> struct UNet {
  using value_type = T;
  using backend = B;
  /// Two convolutions of 3x3, each with batch norm and ReLU.
  struct Level {
    using value_type = T;
    using backend = B;
    ConvBnRelu<T, B> a, b;

    Level(index_t in, index_t out, Initializer& init) : a(in, out, 3, init), b(out, out, 3, init) {}
    template <class V> void visit(V&& v) {
      v("a", a);
      v("b", b);
    }
    Var<T, B> operator()(const Var<T, B>& x, const Context& context) const {
      return b(a(x, context), context);
    }
  };
  UNetConfig config;
  std::vector<Level> enc, dec;            ///< from fine to coarse; the coarsest has no dec
  std::vector<ConvTranspose2d<T, B>> up;  ///< to level i from the one below
  Conv2d<T, B> cls;

  UNet() = default;
  UNet(const UNetConfig& c, Initializer& init) : config(c) {
    expect(c.in_chans >= 1 && c.classes >= 1 && c.width >= 1 && c.levels >= 1 && c.levels <= 10,
           "u_net",
           "in_chans {}, classes {}, width {}, levels {}, expected at least 1 each, and at most "
           "10 levels",
           c.in_chans, c.classes, c.width, c.levels);
    const auto channels = [&](int level) { return c.width << level; };
    for (int i = 0; i < c.levels; ++i)
      enc.emplace_back(i == 0 ? c.in_chans : channels(i - 1), channels(i), init);
    for (int i = 0; i + 1 < c.levels; ++i) {
      up.emplace_back(channels(i + 1), channels(i), Shape{2}, init, ConvOptions{.stride{2}});
      dec.emplace_back(channels(i + 1), channels(i), init);
    }
    cls = Conv2d<T, B>(c.width, c.classes, {1}, init);
  }
  template <class V> void visit(V&& v) {
    for (std::size_t i = 0; i < enc.size(); ++i) v("enc" + std::to_string(i), enc[i]);
    for (std::size_t i = up.size(); i-- > 0;) {
      v("up" + std::to_string(i), up[i]);
      v("dec" + std::to_string(i), dec[i]);
    }
    v("cls", cls);
  }
  /// @param x (N, in_chans, H, W), H and W multiples of config.multiple()
  /// @return logits (N, classes, H, W)
  /// @throws hlip::error for other channels and sizes
  Var<T, B> operator()(const Var<T, B>& x, const Context& context = {}) const {
    expect_shape("u_net", "x", x.shape(), {{"N"}, {"in_chans", config.in_chans}, {"H"}, {"W"}});
    const index_t multiple = config.multiple();
    expect(x.dim(2) > 0 && x.dim(3) > 0 && x.dim(2) % multiple == 0 && x.dim(3) % multiple == 0,
           "u_net",
           "x is {}, expected a height and width that are multiples of {}, as {} levels halve "
           "them {} times (hint: pad or crop the pictures)",
           to_string(x.shape()), multiple, config.levels, config.levels - 1);
    std::vector<Var<T, B>> skips;
    Var<T, B> y = enc[0](x, context);
    for (std::size_t i = 1; i < enc.size(); ++i) {
      skips.push_back(y);
      y = enc[i](max_pool2d(y, {2}), context);
    }
    for (std::size_t i = up.size(); i-- > 0;)
      y = dec[i](concat<T, B>({skips[i], up[i](y)}, 1), context);
    return cls(y);
  }
};

HLIP_END
