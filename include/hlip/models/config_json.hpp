// Model configurations as JSON: our own complete form, and the published CLIP files that name a trunk. Needs nlohmann_json.
#pragma once

#include <hlip/io/json.hpp>
#include <hlip/models/configs.hpp>

HLIP_BEGIN

namespace detail {

inline Json shape_json(const Shape& s) {
  Json list = Json::array();
  for (index_t n : s) list.push_back(n);
  return list;
}

/// Reads the entries of a JSON object and, at the end, refuses those nobody asked for.
class JsonFields {
 public:
  JsonFields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) fail_file(path_, "", "is {}, expected an object", object.type_name());
  }
  template <class X>
  void read(const char* key, X& target) {
    seen_.push_back(key);
    if (!object_.contains(key)) return;
    const Json& value = object_.at(key);
    try {
      if constexpr (std::is_same_v<X, Shape>) {
        const auto list = value.get<std::vector<index_t>>();
        if (list.size() != 3) fail_file(path_, key, "has {} numbers, expected 3", list.size());
        target = Shape(list.begin(), list.end());
      } else {
        target = value.get<X>();
      }
    } catch (const Json::exception&) {
      fail_file(path_, key, "is {}, which does not fit", value.dump());
    }
  }
  void finish() const {
    for (const auto& [key, value] : object_.items())
      if (std::find(seen_.begin(), seen_.end(), key) == seen_.end()) fail_file(path_, key, "is not a known entry");
  }

 private:
  const Json& object_;
  std::string path_;
  std::vector<std::string> seen_;
};

}  // namespace detail

/// The complete configuration.
inline Json to_json(const ClipConfig& c) {
  const HlipVitConfig& v = c.vision;
  Json j;
  j["name"] = c.name;
  j["embed_dim"] = c.embed_dim;
  j["context_length"] = c.context_length;
  j["text_pooling"] = c.text_pooling == TextPooling::cls ? "cls" : "mean";
  j["siglip"] = c.siglip;
  j["vision"] = {{"img_size", detail::shape_json(v.img_size)}, {"patch_size", detail::shape_json(v.patch_size)}, {"in_chans", v.in_chans}, {"embed_dim", v.embed_dim},
                 {"depth", v.depth}, {"num_heads", v.num_heads}, {"mlp_ratio", v.mlp_ratio}, {"reg_tokens", v.reg_tokens}, {"max_num_scans", v.max_num_scans},
                 {"blocks_of_level", v.blocks_of_level}, {"outer_groups", v.outer_groups}, {"drop_path", v.drop_path}, {"patch_dropout", v.patch_dropout}, {"init_std", v.init_std},
                 {"grad_checkpointing", v.grad_checkpointing}};
  const BertConfig& t = c.text;
  j["text"] = {{"vocab_size", t.vocab_size}, {"hidden_size", t.hidden_size}, {"num_layers", t.num_layers}, {"num_heads", t.num_heads}, {"intermediate_size", t.intermediate_size},
               {"max_positions", t.max_positions}, {"type_vocab_size", t.type_vocab_size}, {"dropout", t.dropout}, {"init_std", t.init_std}};
  return j;
}

/// Reads what to_json writes; entries left out keep the values of the configuration called "name" (or the defaults).
/// A published CLIP file ({"embed_dim", "vision_cfg": {"timm_model_name"}, "text_cfg"}) gives the configuration of its trunk.
/// @param path for messages  @throws hlip::error naming the entry that does not fit
inline ClipConfig clip_config_from_json(const Json& json, const std::string& path) {
  ClipConfig c;
  if (json.is_object() && json.contains("vision_cfg")) {
    const Json& vision = json.at("vision_cfg");
    if (!vision.is_object() || !vision.contains("timm_model_name") || !vision.at("timm_model_name").is_string()) fail_file(path, "vision_cfg", "names no timm_model_name");
    c = clip_config(vision.at("timm_model_name").get<std::string>());
    if (json.contains("embed_dim") && json.at("embed_dim").is_number_integer()) c.embed_dim = json.at("embed_dim").get<index_t>();
    return c;
  }
  detail::JsonFields top(json, path);
  std::string name, pooling = "cls";
  top.read("name", name);
  const auto known = clip_config_names();
  if (std::find(known.begin(), known.end(), name) != known.end()) c = clip_config(name);
  if (!name.empty()) c.name = c.vision.name = name;
  pooling = c.text_pooling == TextPooling::cls ? "cls" : "mean";
  top.read("embed_dim", c.embed_dim);
  top.read("context_length", c.context_length);
  top.read("text_pooling", pooling);
  top.read("siglip", c.siglip);
  Json vision = Json::object(), text = Json::object();
  top.read("vision", vision);
  top.read("text", text);
  top.finish();
  if (pooling != "cls" && pooling != "mean") fail_file(path, "text_pooling", "is {}, expected cls or mean", pooling);
  c.text_pooling = pooling == "cls" ? TextPooling::cls : TextPooling::mean;

  HlipVitConfig& v = c.vision;
  detail::JsonFields fields(vision, path + ": vision");
  fields.read("img_size", v.img_size);
  fields.read("patch_size", v.patch_size);
  fields.read("in_chans", v.in_chans);
  fields.read("embed_dim", v.embed_dim);
  fields.read("depth", v.depth);
  fields.read("num_heads", v.num_heads);
  fields.read("mlp_ratio", v.mlp_ratio);
  fields.read("reg_tokens", v.reg_tokens);
  fields.read("max_num_scans", v.max_num_scans);
  fields.read("blocks_of_level", v.blocks_of_level);
  fields.read("outer_groups", v.outer_groups);
  fields.read("drop_path", v.drop_path);
  fields.read("patch_dropout", v.patch_dropout);
  fields.read("init_std", v.init_std);
  fields.read("grad_checkpointing", v.grad_checkpointing);
  fields.finish();
  BertConfig& t = c.text;
  detail::JsonFields words(text, path + ": text");
  words.read("vocab_size", t.vocab_size);
  words.read("hidden_size", t.hidden_size);
  words.read("num_layers", t.num_layers);
  words.read("num_heads", t.num_heads);
  words.read("intermediate_size", t.intermediate_size);
  words.read("max_positions", t.max_positions);
  words.read("type_vocab_size", t.type_vocab_size);
  words.read("dropout", t.dropout);
  words.read("init_std", t.init_std);
  words.finish();
  return c;
}

HLIP_END
