// A language model in the folder Hugging Face keeps it in: config.json and weights, in one file or
// in shards. Needs nlohmann_json, libdeflate and zlib.
// Source: transformers, models/llama/configuration_llama.py and modeling_llama.py.
#pragma once

#include <hlip/io/weight_shards.hpp>
#include <hlip/models/llama/llama.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Reads config.json, entry by entry; what hlip would compute otherwise is refused.
class HfLlamaConfig {
 public:
  explicit HfLlamaConfig(const std::string& path)
      : path_(path), json_(read_json(path, {.max_bytes = std::size_t{1} << 20})) {
    if (!json_.is_object()) fail_file(path_, "", "is no object");
  }
  HLIP_LAZY LlamaConfig config() const {
    LlamaConfig c;
    expect_word("model_type", "llama");
    if (has(json_, "hidden_act")) expect_word("hidden_act", "silu");
    c.vocab_size = size("vocab_size", 1 << 24);
    c.hidden_size = size("hidden_size", 1 << 17);
    c.intermediate_size = size("intermediate_size", 1 << 20);
    c.num_layers = size("num_hidden_layers", 4096);
    c.num_heads = size("num_attention_heads", 1 << 14);
    c.num_kv_heads = has(json_, "num_key_value_heads") ? size("num_key_value_heads", 1 << 14)
                                                       : c.num_heads;
    if (!has(json_, "head_dim") && c.hidden_size % c.num_heads != 0)
      fail_file(path_, "num_attention_heads", "is {}, into which hidden_size {} does not divide",
                c.num_heads, c.hidden_size);
    c.head_dim = has(json_, "head_dim") ? size("head_dim", 1 << 14) : c.hidden_size / c.num_heads;
    c.max_positions = has(json_, "max_position_embeddings")
                          ? size("max_position_embeddings", 1 << 24)
                          : 2048;
    c.rms_norm_eps = number(json_, "rms_norm_eps", 1e-6, 1);
    c.rope_theta = rope_theta();
    c.attention_bias = flag("attention_bias"), c.mlp_bias = flag("mlp_bias");
    c.tie_word_embeddings = flag("tie_word_embeddings");
    c.init_std = number(json_, "initializer_range", 0.02, 10);
    if (has(json_, "bos_token_id")) c.bos_token = tokens(json_, path_, "bos_token_id").front();
    c.end_tokens = tokens(json_, path_, "eos_token_id");
    if (c.head_dim % 2 != 0)
      fail_file(path_, "head_dim", "is {}, expected an even number", c.head_dim);
    if (c.num_heads % c.num_kv_heads != 0)
      fail_file(path_, "num_key_value_heads",
                "is {}, into which num_attention_heads {} do not divide", c.num_kv_heads,
                c.num_heads);
    return c;
  }
  /// Ids of special tokens: none, one or a list.
  HLIP_LAZY static std::vector<std::int64_t> tokens(const Json& json, const std::string& path,
                                                    const char* key) {
    std::vector<std::int64_t> ids;
    if (!has(json, key)) return ids;
    const Json& value = json[key];
    for (const Json& id : value.is_array() ? value : Json::array({value})) {
      if (!id.is_number_integer() || id < 0 || id > (1 << 24))
        fail_file(path, key, "is {}, expected the number of a token", value.dump());
      ids.push_back(id.get<std::int64_t>());
    }
    if (ids.empty()) fail_file(path, key, "is an empty list");
    return ids;
  }

 private:
  static bool has(const Json& json, const char* key) {
    return json.contains(key) && !json[key].is_null();
  }
  HLIP_LAZY void expect_word(const char* key, const char* want) const {
    if (!has(json_, key)) fail_file(path_, key, "is not there, expected {}", want);
    if (json_[key] != want) fail_file(path_, key, "is {}, expected {}", json_[key].dump(), want);
  }
  HLIP_LAZY index_t size(const char* key, index_t most) const {
    if (!has(json_, key)) fail_file(path_, key, "is not there");
    const Json& value = json_[key];
    if (!value.is_number_integer() || value < 1 || value > most)
      fail_file(path_, key, "is {}, expected a whole number of 1 to {}", value.dump(), most);
    return value.get<index_t>();
  }
  HLIP_LAZY double number(const Json& json, const char* key, double otherwise, double most) const {
    if (!has(json, key)) return otherwise;
    const Json& value = json[key];
    if (!value.is_number() || !(value.get<double>() > 0 && value.get<double>() <= most))
      fail_file(path_, key, "is {}, expected a number above 0, at most {}", value.dump(), most);
    return value.get<double>();
  }
  HLIP_LAZY bool flag(const char* key) const {
    if (!has(json_, key)) return false;
    if (!json_[key].is_boolean())
      fail_file(path_, key, "is {}, expected true or false", json_[key].dump());
    return json_[key].get<bool>();
  }
  /// At the top in older files, in rope_parameters in newer ones, 10000 where nobody says.
  HLIP_LAZY double rope_theta() const {
    double theta = number(json_, "rope_theta", 10000, 1e12);
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      if (!has(json_, key)) continue;
      const Json& rope = json_[key];
      if (!rope.is_object()) fail_file(path_, key, "is {}, expected an object", rope.dump());
      for (const char* type : {"rope_type", "type"})
        if (has(rope, type) && rope[type] != "default")
          fail_file(path_, key, "asks for positions of {} {}, hlip has default ones alone", type,
                    rope[type].dump());
      theta = number(rope, "rope_theta", theta, 1e12);
    }
    return theta;
  }

  std::string path_;
  Json json_;
};

}  // namespace detail

/// The sizes that a config.json says. @throws hlip::error naming file and entry for what is missing
/// or asks for what hlip does not do
HLIP_LAZY LlamaConfig hf_llama_config(const std::string& file) {
  return detail::HfLlamaConfig(file).config();
}

/// The sizes of the model in a folder, and what ends its texts.
/// @throws hlip::error naming file and entry
HLIP_LAZY LlamaConfig hf_llama_folder_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  if (!is_file(path))
    fail_file(path, "",
              "is not there; expected a folder with config.json and model.safetensors, or shards "
              "and model.safetensors.index.json");
  LlamaConfig c = hf_llama_config(path);
  const std::string generation = folder + "/generation_config.json";
  if (!is_file(generation)) return c;
  const Json json = read_json(generation, {.max_bytes = std::size_t{1} << 20});
  if (!json.is_object()) fail_file(generation, "", "is no object");
  if (auto ends = detail::HfLlamaConfig::tokens(json, generation, "eos_token_id"); !ends.empty())
    c.end_tokens = std::move(ends);
  return c;
}

/// What matrices of weights become in memory.
enum class LlamaWeights {
  widened,  ///< the model's element type, whatever they are stored as: for training
  /// bfloat16 where the file has it, on the CPU in the file's own mapped memory, which is read when
  /// it is needed; they do not train
  as_stored
};

/// What lies in such a folder. Sizes of config.json are believed where the weights have them.
class HfLlama {
 public:
  /// @throws hlip::error naming file and entry, or file and tensor, for what is missing, does not
  /// fit, or asks for what hlip does not do
  HLIP_LAZY explicit HfLlama(const std::string& folder)
      : config_(hf_llama_folder_config(folder)), weights_(folder, MapAccess::copy_on_write) {
    for (const auto& [name, shape] : llama_parameters(config_)) {
      if (!weights_.contains(name))
        fail_file(weights_.path(), quote_text(name),
                  "is not there; {}/config.json describes a model that has it", folder);
      const Shape stored = weights_.info(name).shape;
      if (!(stored == shape))
        fail_file(weights_.file(name).path(), quote_text(name),
                  "is {}, {}/config.json describes a model in which it is {}", to_string(stored),
                  folder, to_string(shape));
    }
  }
  const LlamaConfig& config() const { return config_; }
  const WeightShards& weights() const { return weights_; }

  /// The model. Its layers are made one after the other, so that what is mapped takes no memory.
  /// Tensors that it has no place for (tables of rotary positions, projectors) are left out.
  template <class T = float, class B = Cpu>
  Llama<T, B> load(LlamaWeights as = LlamaWeights::widened) const {
    Llama<T, B> llama;
    llama.config = config_;
    Initializer init = Initializer::without_values();
    const LlamaConfig& c = config_;
    llama.model.embed_tokens = {c.vocab_size, c.hidden_size, c.init_std, init};
    fill(llama.model.embed_tokens, "model.embed_tokens.", as);
    for (index_t i = 0; i < c.num_layers; ++i) {
      llama.model.layers.emplace_back(c, init);
      fill(llama.model.layers.back(), fmt::format("model.layers.{}.", i), as);
    }
    llama.model.norm = {c.hidden_size, c.rms_norm_eps};
    fill(llama.model.norm, "model.norm.", as);
    if (!c.tie_word_embeddings) {
      llama.lm_head = {c.hidden_size, c.vocab_size, false, c.init_std, init};
      fill(llama.lm_head, "lm_head.", as);
    }
    return llama;
  }

 private:
  template <class M> void fill(M& module, const std::string& prefix, LlamaWeights as) const {
    using T = typename M::value_type;
    using B = typename M::backend;
    const MemoryScope scope(MemoryCategory::parameters);
    each_parameter(module, [&](const std::string& own, auto& p) {
      const std::string name = prefix + own;
      const bool stored = as == LlamaWeights::as_stored && p.rank() == 2;
      if (stored && weights_.info(name).dtype == DType::BF16) {
        p = Var<T, B>(kept<bfloat16, B>(name), std::shared_ptr<Node<T, B>>());
      } else if (stored && weights_.info(name).dtype == dtype_of<T>()) {
        p = Var<T, B>(kept<T, B>(name));
      } else {
        p = Var<T, B>(weights_.template tensor<T, B>(name), true);
      }
    });
  }
  template <class S, class B> Tensor<S, B> kept(const std::string& name) const {
    if constexpr (std::is_same_v<B, Cpu>) return weights_.template mapped<S>(name);
    else return weights_.template tensor<S, B>(name);
  }

  LlamaConfig config_;
  WeightShards weights_;
};

HLIP_END
