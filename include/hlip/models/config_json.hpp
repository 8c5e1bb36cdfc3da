// Model configurations as JSON: our own complete form, and the published CLIP files that name a
// trunk. Needs nlohmann_json.
#pragma once

#include <hlip/io/json.hpp>
#include <hlip/models/configs.hpp>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Reads the entries of a JSON object and, at the end, refuses those nobody asked for.
class JsonFields {
 public:
  JsonFields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) fail_file(path_, "", "is {}, expected an object", object.type_name());
  }
  template <class X> void read(const char* key, X& target) {
    seen_.push_back(key);
    if (!object_.contains(key)) return;
    const Json& value = object_.at(key);
    try {
      if constexpr (std::is_same_v<X, Shape>) {
        const auto list = value.get<std::vector<index_t>>();
        if (list.size() != 3) fail_file(path_, key, "has {} numbers, expected 3", list.size());
        target = Shape(list.begin(), list.end());
      } else if constexpr (std::is_integral_v<X> && !std::is_same_v<X, bool>) {
        // 12.5 is not 12
        if (value.is_number_float() || value.is_boolean())
          fail_file(path_, key, "is {}, expected a whole number", value.dump());
        target = value.get<X>();
      } else {
        target = value.get<X>();
      }
    } catch (const Json::exception&) {
      fail_file(path_, key, "is {}, which does not fit", value.dump());
    }
  }
  HLIP_LAZY void finish() const {
    for (const auto& [key, value] : object_.items())
      if (std::find(seen_.begin(), seen_.end(), key) == seen_.end())
        fail_file(path_, key, "is not a known entry");
  }

 private:
  const Json& object_;
  std::string path_;
  std::vector<std::string> seen_;
};

/// Puts entries into a JSON object: the other direction of JsonFields.
struct JsonWriter {
  Json object = Json::value_t::object;
  template <class X> void read(const char* key, X& value) {
    if constexpr (std::is_same_v<X, Shape>)
      object[key] = std::vector<index_t>(value.begin(), value.end());
    else object[key] = value;
  }
};

/// An entry that is one of a few words.
template <class Fields, class X>
void read_choice(Fields& f, const char* key, X& target,
                 std::initializer_list<std::pair<const char*, X>> choices) {
  std::string word, known;
  for (const auto& [name, value] : choices)
    if (value == target) word = name;
  f.read(key, word);
  for (const auto& [name, value] : choices) {
    known += (known.empty() ? "" : " or ") + std::string(name);
    if (word == name) target = value;
  }
  if (std::none_of(choices.begin(), choices.end(), [&](const auto& c) { return word == c.first; }))
    fail(key, "is {}, expected {}", word, known);
}

// One list of entries serves reading and writing.
template <class Fields> void json_entries(Fields& f, HlipVitConfig& v) {
  f.read("img_size", v.img_size);
  f.read("patch_size", v.patch_size);
  f.read("in_chans", v.in_chans);
  f.read("embed_dim", v.embed_dim);
  f.read("depth", v.depth);
  f.read("num_heads", v.num_heads);
  f.read("mlp_ratio", v.mlp_ratio);
  f.read("reg_tokens", v.reg_tokens);
  read_choice(f, "pooling", v.pooling,
              {{"token", VisualPooling::token}, {"token_and_mean", VisualPooling::token_and_mean}});
  f.read("max_num_scans", v.max_num_scans);
  f.read("scan_positions_by_batch", v.scan_positions_by_batch);
  f.read("blocks_of_level", v.blocks_of_level);
  f.read("outer_groups", v.outer_groups);
  f.read("drop_path", v.drop_path);
  f.read("patch_dropout", v.patch_dropout);
  f.read("init_std", v.init_std);
  f.read("grad_checkpointing", v.grad_checkpointing);
}
template <class Fields> void json_entries(Fields& f, BertConfig& t) {
  f.read("vocab_size", t.vocab_size);
  f.read("hidden_size", t.hidden_size);
  f.read("num_layers", t.num_layers);
  f.read("num_heads", t.num_heads);
  f.read("intermediate_size", t.intermediate_size);
  f.read("max_positions", t.max_positions);
  f.read("type_vocab_size", t.type_vocab_size);
  f.read("dropout", t.dropout);
  f.read("init_std", t.init_std);
  f.read("layer_norm_eps", t.layer_norm_eps);
  f.read("lora_rank", t.lora_rank);
  f.read("lora_alpha", t.lora_alpha);
}
template <class Fields> void json_entries(Fields& f, ClipConfig& c) {
  f.read("embed_dim", c.embed_dim);
  f.read("context_length", c.context_length);
  f.read("siglip", c.siglip);
  f.read("dual_text", c.dual_text);
  read_choice(f, "text_pooling", c.text_pooling,
              {{"cls", TextPooling::cls}, {"mean", TextPooling::mean}});
}

}  // namespace detail

/// The complete configuration.
HLIP_LAZY Json to_json(ClipConfig c) {
  detail::JsonWriter top, vision, text;
  top.read("name", c.name);
  detail::json_entries(top, c);
  detail::json_entries(vision, c.vision);
  detail::json_entries(text, c.text);
  top.object["vision"] = vision.object;
  top.object["text"] = text.object;
  return top.object;
}

/// Reads what to_json writes; entries left out keep the values of the configuration called "name"
/// (or the defaults). A published CLIP file ({"embed_dim", "vision_cfg": {"timm_model_name"},
/// "text_cfg"}) gives the configuration of its trunk.
/// @param path for messages  @throws hlip::error naming the entry that does not fit
HLIP_LAZY ClipConfig clip_config_from_json(const Json& json, const std::string& path) {
  ClipConfig c;
  if (json.is_object() && json.contains("vision_cfg")) {
    const Json& vision = json.at("vision_cfg");
    if (!vision.is_object() || !vision.contains("timm_model_name") ||
        !vision.at("timm_model_name").is_string())
      fail_file(path, "vision_cfg", "names no timm_model_name");
    c = clip_config(vision.at("timm_model_name").get<std::string>());
    if (json.contains("embed_dim") && json.at("embed_dim").is_number_integer())
      c.embed_dim = json.at("embed_dim").get<index_t>();
    return c;
  }
  detail::JsonFields top(json, path);
  std::string name;
  top.read("name", name);
  const auto known = clip_config_names();
  if (std::find(known.begin(), known.end(), name) != known.end()) c = clip_config(name);
  if (!name.empty()) c.name = c.vision.name = name;
  detail::json_entries(top, c);
  Json vision = Json::value_t::object, text = Json::value_t::object;
  top.read("vision", vision);
  top.read("text", text);
  top.finish();
  detail::JsonFields vision_fields(vision, path + ": vision"), text_fields(text, path + ": text");
  detail::json_entries(vision_fields, c.vision);
  vision_fields.finish();
  detail::json_entries(text_fields, c.text);
  text_fields.finish();
  return c;
}

/// A configuration by name, or from a JSON file. @throws hlip::error for an unknown name or an
/// entry that does not fit
HLIP_LAZY ClipConfig clip_config_named(const std::string& name_or_path) {
  return name_or_path.ends_with(".json")
             ? clip_config_from_json(read_json(name_or_path), name_or_path)
             : clip_config(name_or_path);
}

HLIP_END
