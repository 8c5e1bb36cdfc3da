// A BERT encoder in the folder Hugging Face keeps models in: config.json, vocab.txt, and
// model.safetensors or pytorch_model.bin. Needs nlohmann_json, libdeflate and zlib.
#pragma once

#include <hlip/io/json.hpp>
#include <hlip/io/weights_file.hpp>
#include <hlip/models/load_weights.hpp>

#include <string>

HLIP_BEGIN

/// What config.json says, checked: sizes come from it, and what hlip would compute otherwise than
/// the model expects is refused.
class HfTextModel {
 public:
  /// @throws hlip::error naming the file and the entry that is missing, does not fit, or asks for
  /// what hlip does not do
  HLIP_LAZY explicit HfTextModel(const std::string& folder) : folder_(folder) {
    // One function: the entries of a configuration, each checked.
    const std::string path = folder + "/config.json";
    if (!is_file(path))
      fail_file(path, "",
                "is not there; expected a folder with config.json, vocab.txt and model.safetensors "
                "or pytorch_model.bin");
    const Json j = read_json(path);
    if (!j.is_object()) fail_file(path, "", "is no object");
    const auto text = [&](const Json& from, const char* key,
                          std::initializer_list<const char*> allowed) {
      if (!from.contains(key)) return;
      std::string list;
      for (const char* word : allowed) {
        if (from.at(key) == word) return;
        list += (list.empty() ? "" : " or ") + std::string(word);
      }
      fail_file(path, key, "is {}, expected {}", from.at(key).dump(), list);
    };
    const auto size = [&](const char* key, index_t& target) {
      if (!j.contains(key)) fail_file(path, key, "is not there");
      if (!j.at(key).is_number_integer() || j.at(key).get<double>() < 1 ||
          j.at(key).get<double>() > 1e8)
        fail_file(path, key, "is {}, expected a whole number from 1", j.at(key).dump());
      target = j.at(key).get<index_t>();
    };
    const auto number = [&](const char* key, double& target, double below) {
      if (!j.contains(key)) return;
      if (!j.at(key).is_number() ||
          !(j.at(key).get<double>() >= 0 && j.at(key).get<double>() < below))
        fail_file(path, key, "is {}, expected a number from 0 to below {}", j.at(key).dump(),
                  below);
      target = j.at(key).get<double>();
    };
    if (!j.contains("model_type")) fail_file(path, "model_type", "is not there");
    text(j, "model_type", {"bert", "cxr-bert"});
    text(j, "hidden_act", {"gelu"});
    text(j, "position_embedding_type", {"absolute"});
    size("vocab_size", config_.vocab_size);
    size("hidden_size", config_.hidden_size);
    size("num_hidden_layers", config_.num_layers);
    size("num_attention_heads", config_.num_heads);
    size("intermediate_size", config_.intermediate_size);
    size("max_position_embeddings", config_.max_positions);
    size("type_vocab_size", config_.type_vocab_size);
    number("layer_norm_eps", config_.layer_norm_eps, 1);
    number("initializer_range", config_.init_std, 10);
    number("hidden_dropout_prob", config_.dropout, 1);
    double attention = config_.dropout;
    number("attention_probs_dropout_prob", attention, 1);
    if (attention != config_.dropout)
      fail_file(path, "attention_probs_dropout_prob",
                "is {}, hidden_dropout_prob is {}; hlip has one rate for both", attention,
                config_.dropout);
    if (j.contains("pad_token_id") && j.at("pad_token_id") != 0)
      fail_file(path, "pad_token_id", "is {}, expected 0", j.at("pad_token_id").dump());
    const std::string tokenizer = folder + "/tokenizer_config.json";
    if (!is_file(tokenizer)) return;
    const Json t = read_json(tokenizer);
    if (t.is_object() && t.contains("do_lower_case") && t.at("do_lower_case") == false)
      fail_file(tokenizer, "do_lower_case", "is false; hlip's tokeniser is that of uncased models");
  }

  const BertConfig& config() const { return config_; }
  std::string vocab_path() const { return folder_ + "/vocab.txt"; }
  /// The first of model.safetensors and pytorch_model.bin that is there. @throws hlip::error when
  /// none is
  HLIP_LAZY std::string weights_path() const {
    for (const char* name : {"/model.safetensors", "/pytorch_model.bin"})
      if (is_file(folder_ + name)) return folder_ + name;
    fail_file(folder_, "", "has neither model.safetensors nor pytorch_model.bin");
  }

  /// Loads the encoder. @param bert of config(), perhaps with LoRA  @return the table of what was
  /// loaded
  /// @throws hlip::error with the table when a parameter (LoRA's aside) is missing or of another
  /// shape
  template <class T, class B> std::string load(Bert<T, B>& bert) const {
    NamedWeights weights(open_weights(weights_path()));
    const LoadReport report = load_bert_weights(bert, weights);
    const std::string table = weights_table(weights, report);
    const auto lacking = std::count_if(
        report.missing.begin(), report.missing.end(),
        [](const std::string& name) { return name.find(".lora_") == std::string::npos; });
    if (lacking > 0 || !report.mismatched.empty())
      fail_file(weights.file().path(), "",
                "does not hold the encoder that {}/config.json describes\n{}", folder_, table);
    return table;
  }

 private:
  std::string folder_;
  BertConfig config_;
};

HLIP_END
