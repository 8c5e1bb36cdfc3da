// An encoder of pictures in the folder Hugging Face keeps models in: config.json and
// model.safetensors or pytorch_model.bin. Needs nlohmann_json, libdeflate and zlib.
// Source: transformers, models/dinov2/modeling_dinov2.py and
// models/dinov2_with_registers/modeling_dinov2_with_registers.py.
#pragma once

#include <hlip/io/json.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/io/weights_file.hpp>
#include <hlip/models/vit_weights.hpp>

#include <filesystem>
#include <string>
#include <tuple>

HLIP_BEGIN

namespace detail {

/// Reads config.json, entry by entry; what hlip would compute otherwise is refused.
class HfDinov2Config {
 public:
  explicit HfDinov2Config(const std::string& path)
      : path_(path), json_(read_json(path, {.max_bytes = std::size_t{1} << 20})) {
    if (!json_.is_object()) fail_file(path_, "", "is no object");
  }
  HLIP_LAZY VitConfig config() const {
    VitConfig c;
    const std::string type = word("model_type", "");
    if (type != "dinov2" && type != "dinov2_with_registers")
      fail_file(path_, "model_type", "is {}, expected dinov2 or dinov2_with_registers",
                quote_text(type));
    c.name = type;
    if (const std::string act = word("hidden_act", "gelu"); act != "gelu")
      fail_file(path_, "hidden_act", "is {}, expected gelu", quote_text(act));
    if (!flag("qkv_bias", true)) fail_file(path_, "qkv_bias", "is false, expected true");
    c.embed_dim = size("hidden_size", 768, 16384);
    c.depth = size("num_hidden_layers", 12, 1024);
    c.num_heads = size("num_attention_heads", 12, 1024);
    c.img_size = size("image_size", 224, 16384);
    c.patch_size = size("patch_size", 14, 1024);
    c.in_chans = size("num_channels", 3, 1024);
    c.mlp_ratio = number("mlp_ratio", 4);
    if (!(c.mlp_ratio > 0 && c.mlp_ratio <= 64))
      fail_file(path_, "mlp_ratio", "is {}, expected a number above 0, at most 64", c.mlp_ratio);
    if (number("layer_norm_eps", 1e-6) != 1e-6)
      fail_file(path_, "layer_norm_eps", "is {}, expected 1e-06", number("layer_norm_eps", 1e-6));
    // of this value at first, but there whatever it is
    c.layer_scale = number("layerscale_value", 1);
    if (c.layer_scale == 0) c.layer_scale = 1;
    c.ffn = flag("use_swiglu_ffn", false) ? FeedForward::swiglu : FeedForward::mlp;
    c.mask_token = flag("use_mask_token", true);
    if (type == "dinov2_with_registers") c.reg_tokens = size("num_register_tokens", 4, 1024);
    // Embeddings.interpolate_pos_encoding: to a size, not by a factor; with a kernel that widens in
    // the model with registers alone
    c.positions = {.interpolate_offset = 0, .antialias = type == "dinov2_with_registers"};
    if (c.embed_dim % c.num_heads != 0)
      fail_file(path_, "num_attention_heads", "is {}, into which hidden_size {} does not divide",
                c.num_heads, c.embed_dim);
    return c;
  }

 private:
  std::string word(const char* key, const char* otherwise) const {
    if (!json_.contains(key)) return otherwise;
    if (!json_[key].is_string()) fail_file(path_, key, "is {}, expected a word", json_[key].dump());
    return json_[key].get<std::string>();
  }
  bool flag(const char* key, bool otherwise) const {
    if (!json_.contains(key)) return otherwise;
    if (!json_[key].is_boolean())
      fail_file(path_, key, "is {}, expected true or false", json_[key].dump());
    return json_[key].get<bool>();
  }
  double number(const char* key, double otherwise) const {
    if (!json_.contains(key)) return otherwise;
    if (!json_[key].is_number())
      fail_file(path_, key, "is {}, expected a number", json_[key].dump());
    return json_[key].get<double>();
  }
  index_t size(const char* key, index_t otherwise, index_t most) const {
    if (!json_.contains(key)) return otherwise;
    const Json& value = json_[key];
    if (!value.is_number_integer() || value < 1 || value > most)
      fail_file(path_, key, "is {}, expected a whole number of 1 to {}", value.dump(), most);
    return value.get<index_t>();
  }

  std::string path_;
  Json json_;
};

}  // namespace detail

/// What lies in such a folder. Sizes of config.json are believed where the weights have them.
class HfDinov2 {
 public:
  /// @throws hlip::error naming file and entry for what is missing, does not fit, or asks for what
  /// hlip does not do
  HLIP_LAZY explicit HfDinov2(const std::string& folder)
      : folder_(folder),
        config_(detail::HfDinov2Config(config_path(folder)).config()),
        weights_(open_weights(weights_path(folder))) {
    name_as_vit(weights_);
    const VitConfig stored = vit_config_of_weights(weights_, config_);
    for (const auto& [what, said, has] :
         {std::tuple("hidden_size", config_.embed_dim, stored.embed_dim),
          {"num_hidden_layers", config_.depth, stored.depth},
          {"patch_size", config_.patch_size, stored.patch_size},
          {"image_size", config_.img_size, stored.img_size},
          {"num_channels", config_.in_chans, stored.in_chans},
          {"num_register_tokens", config_.reg_tokens, stored.reg_tokens}})
      if (said != has)
        fail_file(folder + "/config.json", what, "is {}, in {} it is {}", said,
                  weights_.file().path(), has);
    expect_held(config_, weights_);
  }
  const VitConfig& config() const { return config_; }
  /// With the names of a Vit's parameters.
  const NamedWeights& weights() const { return weights_; }
  std::string preprocessor_path() const { return folder_ + "/preprocessor_config.json"; }

  /// Loads the encoder. @param vit of config()  @return the table of what was loaded
  /// @throws hlip::error as expect_whole_encoder
  template <class T, class B> std::string load(Vit<T, B>& vit) const {
    const LoadReport report = load_vit_weights(vit, weights_);
    expect_whole_encoder(weights_, report,
                         "the encoder that " + folder_ + "/config.json describes");
    return weights_table(weights_, report);
  }

 private:
  static std::string config_path(const std::string& folder) {
    std::string path = folder + "/config.json";
    if (!is_file(path))
      fail_file(path, "",
                "is not there; expected a folder with config.json, preprocessor_config.json and "
                "model.safetensors or pytorch_model.bin");
    return path;
  }
  static std::string weights_path(const std::string& folder) {
    for (const char* name : {"/model.safetensors", "/pytorch_model.bin"})
      if (is_file(folder + name)) return folder + name;
    fail_file(folder, "", "has neither model.safetensors nor pytorch_model.bin");
  }

  std::string folder_;
  VitConfig config_;
  NamedWeights weights_;
};

/// The encoder with a table of positions for pictures of another size: for programs that would
/// resize the table in another way than it was learned with. All other parameters are shared.
/// @param side of the pictures in pixels
template <class T, class B> Vit<T, B> with_positions_for(const Vit<T, B>& vit, index_t side) {
  NoGrad guard;
  Vit<T, B> other = vit;
  const index_t n = side / vit.config.patch_size;
  other.config.img_size = n * vit.config.patch_size;
  other.pos_embed = Var<T, B>(
      resize_grid_positions(vit.pos_embed, 1, n, n, vit.config.positions).value());
  return other;
}

/// Writes config.json and model.safetensors, which transformers loads.
/// @throws hlip::error for a model that it has no words for
template <class T, class B> void write_hf_dinov2(const std::string& folder, Vit<T, B>& vit) {
  const VitConfig& c = vit.config;
  expect(c.layer_scale != 0, c.name, "transformers' Dinov2Model has LayerScale, this model none");
  std::filesystem::create_directories(folder);
  SafetensorsWriter writer;
  for (const auto& [name, var] : named_parameters(vit)) {
    if (name.find(".attn.qkv.") == name.npos) {
      writer.add(detail::name_for_hf(name), var->value());
      continue;
    }
    const index_t rows = var->dim(0) / 3;
    index_t at = 0;
    for (const char* which : {"query", "key", "value"}) {
      std::string part = name;
      detail::replace_part(part, ".attn.qkv.", ".attn." + std::string(which) + ".");
      writer.add(detail::name_for_hf(part), var->value().slice(0, at, at + rows).contiguous());
      at += rows;
    }
  }
  writer.metadata("format", "pt");
  writer.write(folder + "/model.safetensors");
  Json j;
  j["architectures"] = {c.reg_tokens > 0 ? "Dinov2WithRegistersModel" : "Dinov2Model"};
  j["model_type"] = c.reg_tokens > 0 ? "dinov2_with_registers" : "dinov2";
  if (c.reg_tokens > 0) j["num_register_tokens"] = c.reg_tokens;
  j["hidden_size"] = c.embed_dim;
  j["num_hidden_layers"] = c.depth;
  j["num_attention_heads"] = c.num_heads;
  j["image_size"] = c.img_size;
  j["patch_size"] = c.patch_size;
  j["num_channels"] = c.in_chans;
  // transformers takes whole ratios only
  if (c.mlp_ratio == std::floor(c.mlp_ratio)) j["mlp_ratio"] = static_cast<index_t>(c.mlp_ratio);
  else j["mlp_ratio"] = c.mlp_ratio;
  j["use_swiglu_ffn"] = c.ffn == FeedForward::swiglu;
  j["use_mask_token"] = c.mask_token;
  j["layerscale_value"] = c.layer_scale;
  j["hidden_act"] = "gelu";
  j["layer_norm_eps"] = 1e-6;
  j["qkv_bias"] = true;
  j["apply_layernorm"] = true;
  j["attention_probs_dropout_prob"] = 0.0;
  j["hidden_dropout_prob"] = 0.0;
  j["drop_path_rate"] = 0.0;
  atomic_write(folder + "/config.json", j.dump(2) + "\n");
}

HLIP_END
