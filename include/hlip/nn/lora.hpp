// A linear layer that may be adapted by a product of two thin matrices while its own weights stay
// as they are. Source: Hu et al., "LoRA", ICLR 2022; names and initial values of the package peft.
#pragma once

#include <hlip/nn/linear.hpp>

#include <cmath>

HLIP_BEGIN

/// y = x · weightᵀ + bias, and after `adapt` also + alpha/rank · x · Aᵀ · Bᵀ. Its parameters are
/// then called base_layer.weight, base_layer.bias, lora_A.default.weight and lora_B.default.weight.
/// `Base` is the layer as it would be without: a Linear, or a StoredLinear.
template <class T = float, class B = Cpu, class Base = Linear<T, B>> struct LoraLinear : Base {
  Linear<T, B> lora_a;  ///< (rank, in)
  Linear<T, B> lora_b;  ///< (out, rank)
  double scale = 1;     ///< alpha / rank

  using Base::Base;
  /// Adds the two matrices: A uniform up to 1/√in, B zero, so that at first the layer gives what it
  /// gave before.
  void adapt(index_t rank, double alpha, Initializer& init) {
    const index_t in = this->weight.dim(1), out = this->weight.dim(0);
    expect(rank > 0 && rank <= in, "lora", "rank {} of a layer of {} inputs", rank, in);
    lora_a.weight = init.uniform<T, B>({rank, in}, 1 / std::sqrt(static_cast<double>(in)));
    lora_b.weight = Initializer::constant<T, B>({out, rank}, 0);
    scale = alpha / static_cast<double>(rank);
  }
  bool adapted() const { return lora_a.weight.numel() > 0; }

  template <class V> void visit(V&& v) {
    if (!adapted()) return Base::visit(v);
    v("base_layer", static_cast<Base&>(*this));
    v("lora_A.default", lora_a);
    v("lora_B.default", lora_b);
  }
  /// @param x (…, in)  @param result what the result is there for  @return (…, out)
  Var<T, B> operator()(const Var<T, B>& x, ResultFor result = ResultFor::anything) const {
    if (!adapted()) return Base::operator()(x, {.result = result});
    const Var<T, B> y = Base::operator()(x);
    const Var<T, B> thin = lora_a(x), scaled = scale == 1 ? thin : Var<T, B>(thin * scale);
    return lora_b(scaled, {Activation::none, y});
  }
};

HLIP_END
