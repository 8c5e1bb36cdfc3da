// The BERT encoder (post-norm transformer without pooling layer), with the parameter names of its
// published weights. Source: reference document HLIP §2.
#pragma once

#include <hlip/autograd/functions/dropout.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/nn/embedding.hpp>
#include <hlip/nn/layer_norm.hpp>
#include <hlip/nn/multihead_attention.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// Sizes of a BERT encoder; the defaults are BERT-base.
struct BertConfig {
  index_t vocab_size = 30522, hidden_size = 768, num_layers = 12, num_heads = 12,
          intermediate_size = 3072, max_positions = 512, type_vocab_size = 2;
  /// on embeddings, attention probabilities and both residual branches, in training
  double dropout = 0.1;
  double init_std = 0.02;
  double layer_norm_eps = 1e-12;
  index_t lora_rank = 0;  ///< 0: no LoRA; otherwise query and value layers have it
  double lora_alpha = 8;
};

namespace detail {

/// Two layers under one name: `dense` and `LayerNorm`, applied as LayerNorm(residual +
/// dropout(dense(x))).
template <class T, class B> struct BertOutput {
  using value_type = T;
  using backend = B;
  Linear<T, B> dense;
  LayerNorm<T, B> layer_norm;
  template <class V> void visit(V&& v) {
    v("dense", dense);
    v("LayerNorm", layer_norm);
  }
  Var<T, B> operator()(const Var<T, B>& x, const Var<T, B>& residual, double rate,
                       const Context& context) const {
    ModuleScope at("output");
    if (!context.training || rate == 0) return layer_norm(dense(x, {Activation::none, residual}));
    const Var<T, B> dropped = dropout(dense(x), rate, context.key);
    return layer_norm(Var<T, B>(residual + dropped));
  }
};

template <class T, class B> struct BertAttention {
  using value_type = T;
  using backend = B;
  MultiheadAttention<T, B> self;
  BertOutput<T, B> output;
  template <class V> void visit(V&& v) {
    v("self", self);
    v("output", output);
  }
};

template <class T, class B> struct BertIntermediate {
  using value_type = T;
  using backend = B;
  Linear<T, B> dense;
  template <class V> void visit(V&& v) { v("dense", dense); }
};

template <class T, class B> struct BertLayer {
  using value_type = T;
  using backend = B;
  BertAttention<T, B> attention;
  BertIntermediate<T, B> intermediate;
  BertOutput<T, B> output;
  template <class V> void visit(V&& v) {
    v("attention", attention);
    v("intermediate", intermediate);
    v("output", output);
  }
  Var<T, B> operator()(const Var<T, B>& x, const TokenLayout& layout,
                       const Tensor<std::uint8_t, B>& mask, double rate,
                       const Context& context) const {
    Var<T, B> attended;
    {
      ModuleScope at("attention");
      const double p = context.training ? rate : 0.0;
      attended = attention.output(attention.self(x, layout, mask, {p, context.child(0).key}), x,
                                  rate, context.child(1));
    }
    Var<T, B> hidden;
    {
      ModuleScope at("intermediate");
      hidden = intermediate.dense(attended,
                                  {.activation = Activation::gelu, .result = ResultFor::products});
    }
    return output(hidden, attended, rate, context.child(2));
  }
};

template <class T, class B> struct BertEmbeddings {
  using value_type = T;
  using backend = B;
  Embedding<T, B> word, position, token_type;
  LayerNorm<T, B> layer_norm;
  template <class V> void visit(V&& v) {
    v("word_embeddings", word);
    v("position_embeddings", position);
    v("token_type_embeddings", token_type);
    v("LayerNorm", layer_norm);
  }
};

template <class T, class B> struct BertLayers {
  using value_type = T;
  using backend = B;
  std::vector<BertLayer<T, B>> layer;
  template <class V> void visit(V&& v) { v("layer", layer); }
};

}  // namespace detail

/// BERT: token ids to hidden states, with the parameter names of `bert.*` in published weights.
template <class T = float, class B = Cpu> struct Bert {
  using value_type = T;
  using backend = B;
  BertConfig config;
  detail::BertEmbeddings<T, B> embeddings;
  detail::BertLayers<T, B> encoder;

  Bert() = default;
  Bert(const BertConfig& c, Initializer& init) : config(c) {
    expect(c.num_heads > 0 && c.hidden_size % c.num_heads == 0, "bert",
           "hidden_size {} does not divide into {} heads", c.hidden_size, c.num_heads);
    [[maybe_unused]] const index_t dim = c.hidden_size;  // nvcc sees no use inside braces
    embeddings = {{c.vocab_size, dim, c.init_std, init},
                  {c.max_positions, dim, c.init_std, init},
                  {c.type_vocab_size, dim, c.init_std, init},
                  {dim, c.layer_norm_eps}};
    for (index_t i = 0; i < c.num_layers; ++i) {
      detail::BertLayer<T, B> layer;
      layer.attention = {{dim, c.num_heads, c.init_std, init},
                         {{dim, dim, true, c.init_std, init}, {dim, c.layer_norm_eps}}};
      layer.intermediate = {{dim, c.intermediate_size, true, c.init_std, init}};
      layer.output = {{c.intermediate_size, dim, true, c.init_std, init}, {dim, c.layer_norm_eps}};
      encoder.layer.push_back(std::move(layer));
    }
    Initializer lora = init.branch(0x10A);
    for (auto& layer : encoder.layer)
      if (c.lora_rank != 0)
        for (auto* adapted : {&layer.attention.self.query, &layer.attention.self.value})
          adapted->adapt(c.lora_rank, c.lora_alpha, lora);
  }
  template <class V> void visit(V&& v) {
    v("embeddings", embeddings);
    v("encoder", encoder);
  }

  /// Which tokens are text: (N, L), 1 where the id is not the padding id 0.
  static Tensor<std::uint8_t, B> padding_mask(const Tensor<std::int64_t, B>& ids) {
    return where(ids != 0, Tensor<std::uint8_t, B>::ones(Shape{}), 0);
  }

  /// Hidden states of token ids.
  /// @param ids (N, L), 0 is padding  @param observe called as observe(i, hidden) with i = 0 for
  /// the embeddings  @return (N·L, C)
  template <class Observe = int>
  Var<T, B> operator()(const Tensor<std::int64_t, B>& ids, const Context& context = {},
                       Observe observe = {}) const {
    expect_shape("bert", "ids", ids.shape(), {{"N"}, {"L"}});
    const index_t n = ids.dim(0), length = ids.dim(1);
    expect(length <= config.max_positions, "bert", "{} tokens, the position table has {}", length,
           config.max_positions);
    const auto place = Tensor<std::int64_t, B>::arange(length);
    Var<T, B> x;
    {
      ModuleScope at("embeddings");
      const Var<T, B> words = embeddings.word(ids), places = embeddings.position(place),
                      segment = embeddings.token_type(Tensor<std::int64_t, B>::zeros({1}));
      const Var<T, B> total = words + places + segment;
      x = reshape(embeddings.layer_norm(total), {n * length, config.hidden_size});
      if (context.training) x = dropout(x, config.dropout, context.child(0).key);
    }
    constexpr bool observed = !std::is_same_v<Observe, int>;
    if constexpr (observed) observe(0, x);
    const auto mask = padding_mask(ids);
    const TokenLayout layout = TokenLayout::plain(n, length);
    for (std::size_t i = 0; i < encoder.layer.size(); ++i) {
      const std::string name = "encoder.layer." + std::to_string(i);
      ModuleScope at(name);
      x = encoder.layer[i](x, layout, mask, config.dropout,
                           context.child(1 + static_cast<std::uint32_t>(i)));
      if constexpr (observed) observe(static_cast<int>(i) + 1, x);
    }
    return x;
  }
};

HLIP_END
