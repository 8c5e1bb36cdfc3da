// Linear and Embedding whose weight may lie as bfloat16 (see Var::stored): that of a language model
// of which a file is mapped. It is read as it is, and takes no part in training.
#pragma once

#include <hlip/autograd/functions/stored_linear.hpp>
#include <hlip/nn/embedding.hpp>
#include <hlip/nn/linear.hpp>

HLIP_BEGIN

template <class T = float, class B = Cpu> struct StoredLinear : Linear<T, B> {
  using Linear<T, B>::Linear;
  /// @param x (…, in)  @return (…, out)
  /// @throws hlip::error when shapes do not fit, and for options that a weight in bfloat16 does not
  /// know
  Var<T, B> operator()(const Var<T, B>& x, const LinearOptions<T, B>& options = {}) const {
    if (!this->weight.stored()) return Linear<T, B>::operator()(x, options);
    expect(options.activation == Activation::none && options.scale.numel() == 0 &&
               options.out.numel() == 0,
           "linear",
           "an activation, a scale or a place for the result of a weight that lies as bfloat16");
    return stored_linear(x, this->weight.template as<bfloat16>(), this->bias, options.residual);
  }
};

/// Of a table in bfloat16 the rows that are asked for are widened, and no others.
template <class T = float, class B = Cpu> struct StoredEmbedding : Embedding<T, B> {
  using Embedding<T, B>::Embedding;
  /// @param ids any shape, each in [0, rows)  @return ids.shape + (dim)
  Var<T, B> operator()(const Tensor<std::int64_t, B>& ids) const {
    if (!this->weight.stored()) return Embedding<T, B>::operator()(ids);
    return index_select(this->weight.template as<bfloat16>(), ids).template to<T>();
  }
};

HLIP_END
