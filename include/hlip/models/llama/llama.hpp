// A Llama-like language model: rotary positions, RMS norm, gated feed-forward part, heads of keys
// and values that queries may share; with the parameter names of LlamaForCausalLM.
// Source: Touvron et al. 2023; transformers, models/llama/modeling_llama.py.
#pragma once

#include <hlip/autograd/checkpoint.hpp>
#include <hlip/autograd/functions/causal_attention.hpp>
#include <hlip/autograd/functions/shape.hpp>
#include <hlip/models/llama/cache.hpp>
#include <hlip/nn/lora.hpp>
#include <hlip/nn/rms_norm.hpp>
#include <hlip/nn/rotary.hpp>
#include <hlip/nn/stored_linear.hpp>

#include <vector>

HLIP_BEGIN

/// What the layers of one pass share.
template <class T, class B> struct LlamaPass {
  index_t batch = 0, tokens = 0, past = 0;  ///< tokens of each text, and before them in the cache
  RotaryPositions<T, B> positions;
  Tensor<std::uint8_t, B> key_mask;  ///< (batch, past + tokens), 0 hides; empty: none
  LlamaCache<T, B>* cache = nullptr;
};

/// Causal attention with separate projections.
template <class T = float, class B = Cpu> struct LlamaAttention {
  using value_type = T;
  using backend = B;
  LoraLinear<T, B, StoredLinear<T, B>> q_proj, v_proj;
  StoredLinear<T, B> k_proj, o_proj;
  index_t num_heads = 1, num_kv_heads = 1, head_dim = 1;

  LlamaAttention() = default;
  LlamaAttention(const LlamaConfig& c, Initializer& init)
      : q_proj(c.hidden_size, c.num_heads * c.head_dim, c.attention_bias, c.init_std, init),
        v_proj(c.hidden_size, c.num_kv_heads * c.head_dim, c.attention_bias, c.init_std, init),
        k_proj(c.hidden_size, c.num_kv_heads * c.head_dim, c.attention_bias, c.init_std, init),
        o_proj(c.num_heads * c.head_dim, c.hidden_size, c.attention_bias, c.init_std, init),
        num_heads(c.num_heads),
        num_kv_heads(c.num_kv_heads),
        head_dim(c.head_dim) {}
  template <class V> void visit(V&& v) {
    v("q_proj", q_proj);
    v("k_proj", k_proj);
    v("v_proj", v_proj);
    v("o_proj", o_proj);
  }
  /// @param x (batch · tokens, C)  @param residual the same shape  @return residual + attention
  Var<T, B> operator()(const Var<T, B>& x, const Var<T, B>& residual, const LlamaPass<T, B>& pass,
                       index_t layer) const {
    const auto by_heads = [&](const Var<T, B>& rows, index_t heads) {
      return permute(reshape(rows, {pass.batch, pass.tokens, heads, head_dim}), {0, 2, 1, 3});
    };
    const Var<T, B> q = rotary(by_heads(q_proj(x), num_heads), pass.positions);
    Var<T, B> k = rotary(by_heads(k_proj(x), num_kv_heads), pass.positions),
              v = by_heads(v_proj(x), num_kv_heads);
    if (pass.cache != nullptr) {
      pass.cache->append(layer, k.value(), v.value());
      k = pass.cache->keys(layer, pass.past + pass.tokens);
      v = pass.cache->values(layer, pass.past + pass.tokens);
    }
    const Var<T, B> seen = causal_attention(q, k, v, pass.key_mask);
    return o_proj(reshape(seen, {pass.batch * pass.tokens, num_heads * head_dim}),
                  {Activation::none, residual});
  }
};

/// The gated feed-forward part: down(silu(gate(x)) · up(x)).
template <class T = float, class B = Cpu> struct LlamaMlp {
  using value_type = T;
  using backend = B;
  StoredLinear<T, B> gate_proj, up_proj, down_proj;

  LlamaMlp() = default;
  LlamaMlp(const LlamaConfig& c, Initializer& init)
      : gate_proj(c.hidden_size, c.intermediate_size, c.mlp_bias, c.init_std, init),
        up_proj(c.hidden_size, c.intermediate_size, c.mlp_bias, c.init_std, init),
        down_proj(c.intermediate_size, c.hidden_size, c.mlp_bias, c.init_std, init) {}
  template <class V> void visit(V&& v) {
    v("gate_proj", gate_proj);
    v("up_proj", up_proj);
    v("down_proj", down_proj);
  }
  /// @param x (rows, C)  @param residual the same shape  @return residual + feed-forward part
  Var<T, B> operator()(const Var<T, B>& x, const Var<T, B>& residual) const {
    const Var<T, B> gate = gate_proj(x), up = up_proj(x);
    return down_proj(Var<T, B>(silu(gate) * up), {Activation::none, residual});
  }
};

/// One layer: attention, then the feed-forward part, each behind a norm and added to its input.
template <class T = float, class B = Cpu> struct LlamaLayer {
  using value_type = T;
  using backend = B;
  LlamaAttention<T, B> self_attn;
  LlamaMlp<T, B> mlp;
  RmsNorm<T, B> input_layernorm, post_attention_layernorm;

  LlamaLayer() = default;
  LlamaLayer(const LlamaConfig& c, Initializer& init)
      : self_attn(c, init),
        mlp(c, init),
        input_layernorm(c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(c.hidden_size, c.rms_norm_eps) {}
  template <class V> void visit(V&& v) {
    v("self_attn", self_attn);
    v("mlp", mlp);
    v("input_layernorm", input_layernorm);
    v("post_attention_layernorm", post_attention_layernorm);
  }
  /// @param x (batch · tokens, C)  @param number of the layer  @return the same shape
  Var<T, B> operator()(const Var<T, B>& x, const LlamaPass<T, B>& pass, index_t number) const {
    const Var<T, B> attended = self_attn(input_layernorm(x), x, pass, number);
    return mlp(post_attention_layernorm(attended), attended);
  }
};

/// Everything but the last layer.
template <class T = float, class B = Cpu> struct LlamaModel {
  using value_type = T;
  using backend = B;
  StoredEmbedding<T, B> embed_tokens;
  std::vector<LlamaLayer<T, B>> layers;
  RmsNorm<T, B> norm;
  template <class V> void visit(V&& v) {
    v("embed_tokens", embed_tokens);
    v("layers", layers);
    v("norm", norm);
  }
};

/// The language model: token ids, or embeddings spliced together from elsewhere, to logits of the
/// next token.
template <class T = float, class B = Cpu> struct Llama {
  using value_type = T;
  using backend = B;
  LlamaConfig config;
  LlamaModel<T, B> model;
  StoredLinear<T, B> lm_head;  ///< empty where embed_tokens stands for it

  Llama() = default;
  /// @throws hlip::error for sizes that cannot be
  Llama(const LlamaConfig& c, Initializer& init) : config(c) {
    check_llama_config(c);
    model.embed_tokens = {c.vocab_size, c.hidden_size, c.init_std, init};
    for (index_t i = 0; i < c.num_layers; ++i) model.layers.emplace_back(c, init);
    model.norm = {c.hidden_size, c.rms_norm_eps};
    if (!c.tie_word_embeddings) lm_head = {c.hidden_size, c.vocab_size, false, c.init_std, init};
  }
  template <class V> void visit(V&& v) {
    v("model", model);
    v("lm_head", lm_head);
  }
  /// Adds LoRA's matrices to the layers that make queries and values; nothing is frozen by that.
  void adapt(index_t rank, double alpha, Initializer& init) {
    for (auto& layer : model.layers) {
      layer.self_attn.q_proj.adapt(rank, alpha, init);
      layer.self_attn.v_proj.adapt(rank, alpha, init);
    }
  }

  /// @param ids (batch, tokens), each in [0, vocab_size)  @return (batch, tokens, hidden_size)
  /// @throws hlip::error naming an id outside the vocabulary
  Var<T, B> embed(const Tensor<std::int64_t, B>& ids) const {
    ModuleScope at("embed_tokens");
    return model.embed_tokens(ids);
  }
  /// @param embeddings (batch, tokens, hidden_size)
  /// @param key_mask (batch, tokens of the cache and these), 0 hides a token; empty for none.
  /// Positions count hidden tokens too
  /// @param cache to go on from and to put these tokens into, without gradients; or none
  /// @return last hidden states, normed: (batch, tokens, hidden_size)
  /// @throws hlip::error when shapes do not fit or there are more tokens than positions
  Var<T, B> hidden(const Var<T, B>& embeddings, const Tensor<std::uint8_t, B>& key_mask = {},
                   LlamaCache<T, B>* cache = nullptr) const {
    expect_shape("llama", "embeddings", embeddings.shape(),
                 {{"batch"}, {"tokens"}, {"hidden_size", config.hidden_size}});
    LlamaPass<T, B> pass;
    pass.batch = embeddings.dim(0), pass.tokens = embeddings.dim(1);
    pass.past = cache != nullptr ? cache->length() : 0;
    expect(pass.past + pass.tokens <= config.max_positions, "llama",
           "{} tokens, expected at most {} (max_position_embeddings)", pass.past + pass.tokens,
           config.max_positions);
    expect(cache == nullptr || (cache->batch() == pass.batch && !is_grad_enabled()), "llama",
           "{} texts beside a cache of {}, expected as many, inside NoGrad", pass.batch,
           cache != nullptr ? cache->batch() : 0);
    pass.positions = {pass.past, pass.tokens, config.head_dim, config.rope_theta};
    pass.key_mask = key_mask, pass.cache = cache;
    Var<T, B> x = reshape(embeddings, {pass.batch * pass.tokens, config.hidden_size});
    index_t number = 0;
    for (const auto& layer : model.layers) {
      const std::string name = fmt::format("layers.{}", number);
      ModuleScope at(name);
      const auto run = [pass, layer, number](const Var<T, B>& in) {
        return layer(in, pass, number);
      };
      x = config.grad_checkpointing ? checkpoint(run, x) : run(x);
      ++number;
    }
    if (cache != nullptr) cache->advance(pass.tokens);
    return reshape(model.norm(x), embeddings.shape());
  }
  /// @param states (…, hidden_size) of `hidden`  @return logits of the next token (…, vocab_size)
  Var<T, B> logits(const Var<T, B>& states) const {
    ModuleScope at("lm_head");
    if (lm_head.weight.numel() > 0) return lm_head(states);
    StoredLinear<T, B> tied;
    tied.weight = model.embed_tokens.weight;
    return tied(states);
  }
};

HLIP_END
