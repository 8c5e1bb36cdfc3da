// Convolutional networks: the convolutions that networks are made of, one by one, and a step of a
// U-Net.
#pragma once

#include "options.hpp"

#include <hlip/losses/dice_cross_entropy.hpp>
#include <hlip/models/segmentation.hpp>
#include <hlip/nn/conv.hpp>
#include <hlip/optim/adamw.hpp>
#include <hlip/optim/parameters.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace bench {

/// A convolution with a cubic kernel, padded by half of it; pictures have a depth of one.
struct ConvShape {
  index_t batch, in, out;
  std::array<index_t, 3> size;
  index_t kernel, stride;
  bool first = false;       ///< reads the picture, which needs no gradient
  bool transposed = false;  ///< its kernel is its stride

  bool flat() const { return size[0] == 1; }
};

/// A U-Net of five levels from 32 channels, on four pictures of 224 pixels.
inline std::vector<ConvShape> u_net_convolutions() {
  std::vector<ConvShape> all;
  for (index_t level = 0; level < 5; ++level) {
    const index_t c = index_t{32} << level, side = index_t{224} >> level;
    all.push_back({4, level == 0 ? 1 : c / 2, c, {1, side, side}, 3, 1, level == 0});
    all.push_back({4, c, c, {1, side, side}, 3, 1});
    if (level == 4) break;
    all.push_back({4, 2 * c, c, {1, side, side}, 3, 1});
    all.push_back({4, 2 * c, c, {1, side / 2, side / 2}, 2, 2, false, true});
  }
  return all;
}

/// A ResNet-50 over two volumes of 96 voxels a side; those that occur more than once, once.
inline std::vector<ConvShape> resnet50_3d_convolutions() {
  std::vector<ConvShape> all = {{2, 1, 64, {96, 96, 96}, 7, 2, true}};
  index_t in = 64, side = 24;
  for (index_t stage = 0; stage < 4; ++stage) {
    const index_t width = index_t{64} << stage, out = 4 * width, stride = stage == 0 ? 1 : 2,
                  after = side / stride;
    const auto cube = [](index_t n) { return std::array<index_t, 3>{n, n, n}; };
    all.push_back({2, in, width, cube(side), 1, 1});
    all.push_back({2, width, width, cube(side), 3, stride});
    all.push_back({2, width, out, cube(after), 1, 1});
    all.push_back({2, in, out, cube(side), 1, stride});
    all.push_back({2, out, width, cube(after), 1, 1});
    if (stride > 1) all.push_back({2, width, width, cube(after), 3, 1});
    in = out, side = after;
  }
  return all;
}

/// Forward and backward of one convolution, to everything that needs a gradient.
template <class B> void bench_convolution(B, const RunOptions& o, const ConvShape& s) {
  const auto sized = [&](index_t n, index_t channels, const std::array<index_t, 3>& size) {
    return s.flat() ? Shape{n, channels, size[1], size[2]}
                    : Shape{n, channels, size[0], size[1], size[2]};
  };
  const index_t k = s.kernel;
  const std::array<index_t, 3> kernel{s.flat() ? 1 : k, k, k};
  Var<float, B> x(random_tensor<B>(sized(s.batch, s.in, s.size), 1)),
      w(random_tensor<B>(s.transposed ? sized(s.in, s.out, kernel) : sized(s.out, s.in, kernel), 2),
        true);
  x.set_requires_grad(!s.first);
  const ConvOptions options{.stride{s.stride}, .padding{s.transposed ? 0 : k / 2}};
  const auto forward = [&] {
    if (s.transposed)
      return s.flat() ? conv_transpose2d(x, w, {}, options) : conv_transpose3d(x, w, {}, options);
    return s.flat() ? conv2d(x, w, {}, options) : conv3d(x, w, {}, options);
  };
  const Tensor<float, B> dy = random_tensor<B>(forward().shape(), 3);
  for (const int threads : o.threads) {
    set_threads(threads);
    const Seconds seconds = seconds_of_kernel<B>(o.steps, [&] {
      x.zero_grad(), w.zero_grad();
      forward().backward(dy);
    });
    const Json what = {{"batch", s.batch},   {"in", s.in},
                       {"out", s.out},       {"size", s.size},
                       {"kernel", s.kernel}, {"stride", s.stride},
                       {"first", s.first},   {"transposed", s.transposed}};
    print<B>("conv", what, threads, o.steps, seconds, Json::object());
  }
}

inline void add_conv(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    std::string net = "u_net";
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand("conv",
                                  "forward and backward of the convolutions of a network, one by "
                                  "one");
  app->add_option("--net", o->net, "whose convolutions")
      ->check(CLI::IsMember({"u_net", "resnet50_3d"}))
      ->capture_default_str();
  add_run_options(app, *o, 5);
  add_device(app, *o);
  subjects.emplace_back(app, [o] {
    on_device(o->device, [&](auto device) {
      for (const ConvShape& s :
           o->net == "u_net" ? u_net_convolutions() : resnet50_3d_convolutions())
        bench_convolution(device, *o, s);
    });
  });
}

inline void add_u_net(CLI::App& root, Subjects& subjects) {
  struct Options : RunOptions {
    index_t batch = 4, size = 224, width = 32, classes = 4;
  };
  auto o = std::make_shared<Options>();
  auto* app = root.add_subcommand(
      "u-net", "one training step of a U-Net of five levels: soft Dice and cross-entropy, AdamW");
  add_count(app, "--batch", o->batch, "pictures");
  add_count(app, "--size", o->size, "side of a picture, a multiple of 16");
  add_count(app, "--width", o->width, "channels of the finest level");
  add_count(app, "--classes", o->classes, "classes of a pixel", 2);
  add_run_options(app, *o, 3);
  add_device(app, *o);
  subjects.emplace_back(app, [o] {
    on_device(o->device, [&](auto device) {
      using B = decltype(device);
      Initializer init(1);
      UNet<float, B> net({.in_chans = 1, .classes = o->classes, .width = o->width, .levels = 5},
                         init);
      AdamW<float, B> optimizer(optimized_parameters(named_parameters(net), 0.01), {});
      const Var<float, B> pictures(random_tensor<B>({o->batch, 1, o->size, o->size}, 2));
      auto labels = Tensor<std::int64_t, B>::zeros({o->batch, o->size, o->size});
      for (index_t c = 1; c < o->classes; ++c)
        labels.slice(1, c * o->size / o->classes, o->size).fill(c);
      for (const int threads : o->threads) {
        set_threads(threads);
        const Seconds seconds = seconds_of_steps(o->steps, [&] {
          optimizer.zero_grad();
          const Var<float, B> loss =
              dice_cross_entropy(net(pictures, {.training = true}), labels).total();
          loss.backward();
          optimizer.step(1e-4);
          expect(std::isfinite(loss.item()), "hlip_bench", "the loss is {}", loss.item());
        });
        print<B>("u-net", {{"batch", o->batch}, {"size", o->size}, {"width", o->width}}, threads,
                 o->steps, seconds, Json::object());
      }
    });
  });
}

}  // namespace bench
