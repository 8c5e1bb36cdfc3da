// A checkpoint folder as something to use: model, tokenizer and preprocessing. Needs nlohmann_json, utf8proc and zlib.
#pragma once

#include <hlip/data/preprocess_ct.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/models/config_json.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/train/checkpoint_store.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

HLIP_BEGIN

/// Names of the checkpoint stages of train_ct_rate, in the order they run.
inline std::vector<std::string> checkpoint_stages() { return {"text_step", "step"}; }

/// Writes what turns weights into a usable model: model.json (sizes, preprocessing) and vocab.txt.
HLIP_LAZY void write_model_files(const std::string& folder, const ClipConfig& config, const CtPreset& preset, const Vocabulary& vocabulary) {
  Json j;
  j["model"] = to_json(config);
  j["preprocessing"] = to_string(preset);
  atomic_write(folder + "/model.json", j.dump(2) + "\n");
  atomic_write(folder + "/vocab.txt", vocabulary.to_text());
}

/// What load_trained_model gives: everything inference needs.
template <int Levels = 3>
struct TrainedModel {
  std::string path;  ///< the checkpoint folder
  Clip<Levels, float, Cpu> model;
  std::shared_ptr<const WordPieceTokenizer> tokenizer;
  CtPreset preset;
};

/// Loads a checkpoint, or the newest sound one of a run; what only training needs is not looked at. Weights stay in the file and are
/// mapped: changing them changes them for this process only.
/// @param folder runs/x or runs/x/step_N  @throws hlip::error saying what is missing or damaged
template <int Levels = 3>
TrainedModel<Levels> load_trained_model(const std::string& folder) {
  const std::vector<std::string> files = {"model.safetensors", "model.json", "vocab.txt"};
  std::string path = folder;
  if (!is_file(path + "/model.safetensors")) {
    std::string faults;
    path = CheckpointStore(folder, checkpoint_stages()).latest([&](const std::string& fault) { faults += "; passed over: " + fault; }, files).path;
    if (path.empty()) fail_file(folder, "", "holds no complete checkpoint{}", faults);
  } else if (const std::string fault = CheckpointStore::verify(path, files); !fault.empty()) {
    fail_file(path, "", "is not a sound checkpoint: {}", fault);
  }
  const Json j = read_json(path + "/model.json");
  if (!j.is_object() || !j.contains("model") || !j.contains("preprocessing") || !j["preprocessing"].is_string()) fail_file(path + "/model.json", "", "needs the entries model and preprocessing");
  TrainedModel<Levels> t;
  t.path = path;
  t.model = Clip<Levels, float, Cpu>(clip_config_from_json(j["model"], path + "/model.json"), Initializer::without_values());
  t.preset = parse_ct_preset(j["preprocessing"].get<std::string>());
  t.tokenizer = std::make_shared<const WordPieceTokenizer>(WordPieceTokenizer::load(path + "/vocab.txt"));
  const SafetensorsFile weights(path + "/model.safetensors", {}, MapAccess::copy_on_write);
  map_state_dict(t.model, weights);
  return t;
}

HLIP_END
