// Writes a language model into a folder as Hugging Face keeps it. Needs nlohmann_json.
// Source: transformers, models/llama/configuration_llama.py.
#pragma once

#include <hlip/io/json.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/models/llama/llama.hpp>

#include <filesystem>
#include <string>

HLIP_BEGIN

/// The config.json of a model. @param dtype of the weights beside it, as transformers calls it
HLIP_LAZY Json hf_llama_json(const LlamaConfig& c, const std::string& dtype = "float32") {
  Json j;
  j["architectures"] = {"LlamaForCausalLM"};
  j["model_type"] = "llama";
  j["dtype"] = dtype;
  j["hidden_act"] = "silu";
  j["vocab_size"] = c.vocab_size;
  j["hidden_size"] = c.hidden_size;
  j["intermediate_size"] = c.intermediate_size;
  j["num_hidden_layers"] = c.num_layers;
  j["num_attention_heads"] = c.num_heads;
  j["num_key_value_heads"] = c.num_kv_heads;
  j["head_dim"] = c.head_dim;
  j["max_position_embeddings"] = c.max_positions;
  j["rms_norm_eps"] = c.rms_norm_eps;
  j["rope_theta"] = c.rope_theta;
  j["attention_bias"] = c.attention_bias;
  j["mlp_bias"] = c.mlp_bias;
  j["tie_word_embeddings"] = c.tie_word_embeddings;
  j["initializer_range"] = c.init_std;
  j["bos_token_id"] = c.bos_token;
  if (c.end_tokens.size() == 1) j["eos_token_id"] = c.end_tokens[0];
  else if (!c.end_tokens.empty()) j["eos_token_id"] = c.end_tokens;
  return j;
}

/// Writes config.json and model.safetensors, which transformers loads.
/// @throws hlip::error for a model with LoRA, whose matrices have other names there
template <class T, class B> void write_hf_llama(const std::string& folder, Llama<T, B>& llama) {
  std::filesystem::create_directories(folder);
  SafetensorsWriter writer;
  for (const auto& [name, var] : named_parameters(llama)) {
    expect(name.find(".lora_") == name.npos, "write_hf_llama",
           "the model has LoRA ({}), expected one without", name);
    writer.add(name, var->value());
  }
  writer.metadata("format", "pt");
  writer.write(folder + "/model.safetensors");
  const Json j = hf_llama_json(llama.config, std::is_same_v<T, double> ? "float64" : "float32");
  atomic_write(folder + "/config.json", j.dump(2) + "\n");
}

HLIP_END
