// The projection head of self-distillation: an MLP to a bottleneck of length 1, and
// weight-normalised prototypes. Parameters are named as DINOv2's.
// Source: reference document RAD-DINO §3; Caron et al. 2021 (DINO); Salimans and Kingma 2016
// (weight normalisation).
#pragma once

#include <hlip/autograd/functions/norm.hpp>
#include <hlip/autograd/functions/weight_norm.hpp>
#include <hlip/nn/linear.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

struct DinoHeadConfig {
  index_t in_dim = 768, hidden = 2048, bottleneck = 256, prototypes = 65536;
  int layers = 3;  ///< of the MLP, 1: a single Linear
};

/// Linear without bias whose rows are a direction v and a length g.
template <class T = float, class B = Cpu> struct WeightNormLinear {
  using value_type = T;
  using backend = B;
  Var<T, B> weight_g;  ///< (out, 1)
  Var<T, B> weight_v;  ///< (out, in)

  WeightNormLinear() = default;
  WeightNormLinear(index_t in, index_t out, double std, Initializer& init)
      : weight_g(Initializer::constant<T, B>({out, 1}, 1)),
        weight_v(init.normal<T, B>({out, in}, std)) {}
  template <class V> void visit(V&& v) {
    v("weight_g", weight_g);
    v("weight_v", weight_v);
  }
  /// g · v / ‖v‖ of every row: (out, in)
  Var<T, B> weight() const { return weight_norm(weight_g, weight_v); }
};

template <class T = float, class B = Cpu> struct DinoHead {
  using value_type = T;
  using backend = B;
  /// The MLP: "mlp" itself when it is a single layer, otherwise layers at the even numbers, with
  /// GELU between them.
  struct Layers {
    using value_type = T;
    using backend = B;
    std::vector<Linear<T, B>> linear;
    template <class V> void visit(V&& v) {
      if (linear.size() == 1) return linear[0].visit(v);
      for (std::size_t i = 0; i < linear.size(); ++i) v(std::to_string(2 * i), linear[i]);
    }
  };
  Layers mlp;
  WeightNormLinear<T, B> last_layer;
  double eps = 1e-12;  ///< of the normalisation of the bottleneck

  DinoHead() = default;
  DinoHead(const DinoHeadConfig& c, Initializer& init) {
    expect(
        c.layers >= 1 && c.in_dim >= 1 && c.hidden >= 1 && c.bottleneck >= 1 && c.prototypes >= 2,
        "dino_head", "layers {}, in_dim {}, hidden {}, bottleneck {}, prototypes {}", c.layers,
        c.in_dim, c.hidden, c.bottleneck, c.prototypes);
    constexpr double std = 0.02;
    for (int i = 0; i < c.layers; ++i)
      mlp.linear.emplace_back(i == 0 ? c.in_dim : c.hidden,
                              i + 1 == c.layers ? c.bottleneck : c.hidden, true, std, init);
    last_layer = WeightNormLinear<T, B>(c.bottleneck, c.prototypes, std, init);
  }
  template <class V> void visit(V&& v) {
    v("mlp", mlp);
    v("last_layer", last_layer);
  }

  /// Bottleneck features of length 1. @param x (R, in_dim)  @return (R, bottleneck)
  Var<T, B> features(const Var<T, B>& x) const {
    ModuleScope at("mlp");
    Var<T, B> y = x;
    for (std::size_t i = 0; i < mlp.linear.size(); ++i) {
      LinearOptions<T, B> options;
      if (i + 1 < mlp.linear.size()) options.activation = Activation::gelu;
      y = mlp.linear[i](y, options);
    }
    return l2_normalize(y, eps);
  }
  /// Logits over the prototypes, all of them: a loss over many prototypes takes `features` and
  /// `last_layer` apart. @param x (R, in_dim)  @return (R, prototypes)
  Var<T, B> operator()(const Var<T, B>& x) const {
    return linear(features(x), last_layer.weight(), Var<T, B>());
  }
};

HLIP_END
