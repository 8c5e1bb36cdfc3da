// The sizes of a Llama.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/tensor/shape.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Sizes of a Llama-like language model; the defaults are Vicuna-7B's (Llama-2).
struct LlamaConfig {
  index_t vocab_size = 32000, hidden_size = 4096, intermediate_size = 11008, num_layers = 32;
  index_t num_heads = 32;
  index_t num_kv_heads = 32;  ///< of keys and values: as many as of queries, or a divisor of that
  index_t head_dim = 128;
  index_t max_positions = 4096;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;  ///< base of the wavelengths of rotary positions
  bool attention_bias = false, mlp_bias = false;
  bool tie_word_embeddings = false;  ///< the table of tokens is the last layer too
  double init_std = 0.02;
  bool grad_checkpointing = false;  ///< layers are computed again on the way back
  std::int64_t bos_token = 1;
  std::vector<std::int64_t> end_tokens = {2};
};

/// @throws hlip::error naming the first size that cannot be
HLIP_LAZY void check_llama_config(const LlamaConfig& c) {
  for (const auto& [name, size] : {std::pair<const char*, index_t>{"vocab_size", c.vocab_size},
                                   {"hidden_size", c.hidden_size},
                                   {"intermediate_size", c.intermediate_size},
                                   {"num_hidden_layers", c.num_layers},
                                   {"num_attention_heads", c.num_heads},
                                   {"num_key_value_heads", c.num_kv_heads},
                                   {"head_dim", c.head_dim},
                                   {"max_position_embeddings", c.max_positions}})
    expect(size > 0, "llama", "{} is {}, expected at least 1", name, size);
  expect(c.num_heads % c.num_kv_heads == 0, "llama",
         "num_attention_heads {} does not divide into {} num_key_value_heads", c.num_heads,
         c.num_kv_heads);
  expect(c.head_dim % 2 == 0, "llama", "head_dim is {}, expected an even number", c.head_dim);
  expect(c.rope_theta > 0, "llama", "rope_theta is {}, expected a number above 0", c.rope_theta);
}

/// Names and shapes of all parameters, without those of LoRA.
HLIP_LAZY std::vector<std::pair<std::string, Shape>> llama_parameters(const LlamaConfig& c) {
  std::vector<std::pair<std::string, Shape>> all;
  const auto linear = [&](const std::string& name, index_t in, index_t out, bool bias) {
    all.emplace_back(name + ".weight", Shape{out, in});
    if (bias) all.emplace_back(name + ".bias", Shape{out});
  };
  const index_t dim = c.hidden_size, q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  linear("model.embed_tokens", dim, c.vocab_size, false);
  for (index_t i = 0; i < c.num_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    linear(layer + "self_attn.q_proj", dim, q, c.attention_bias);
    linear(layer + "self_attn.k_proj", dim, kv, c.attention_bias);
    linear(layer + "self_attn.v_proj", dim, kv, c.attention_bias);
    linear(layer + "self_attn.o_proj", q, dim, c.attention_bias);
    linear(layer + "mlp.gate_proj", dim, c.intermediate_size, c.mlp_bias);
    linear(layer + "mlp.up_proj", dim, c.intermediate_size, c.mlp_bias);
    linear(layer + "mlp.down_proj", c.intermediate_size, dim, c.mlp_bias);
    all.emplace_back(layer + "input_layernorm.weight", Shape{dim});
    all.emplace_back(layer + "post_attention_layernorm.weight", Shape{dim});
  }
  all.emplace_back("model.norm.weight", Shape{dim});
  if (!c.tie_word_embeddings) linear("lm_head", dim, c.vocab_size, false);
  return all;
}

HLIP_END
