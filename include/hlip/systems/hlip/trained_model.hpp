// A checkpoint folder as something to use: model, tokenizer and preprocessing. Needs nlohmann_json,
// utf8proc and zlib.
#pragma once

#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/imaging/preprocess_mri.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/models/config_json.hpp>
#include <hlip/systems/hlip/stages.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/train/find_checkpoint.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

HLIP_BEGIN

/// Writes what turns weights into a usable model: model.json (sizes, preprocessing) and vocab.txt.
/// @param preprocessing to_string of the CtPreset or MriPreset
HLIP_LAZY void write_model_files(const std::string& folder, const ClipConfig& config,
                                 const std::string& preprocessing, const Vocabulary& vocabulary) {
  Json j;
  j["model"] = to_json(config);
  j["preprocessing"] = preprocessing;
  atomic_write(folder + "/model.json", j.dump(2) + "\n");
  atomic_write(folder + "/vocab.txt", vocabulary.to_text());
}

/// The checkpoint a folder is, or the newest sound one of a run of HLIP: see find_checkpoint.
HLIP_LAZY std::string find_checkpoint(const std::string& folder,
                                      const std::vector<std::string>& files = {}) {
  return find_checkpoint(folder, stage_names(hlip_stages()), files);
}

/// What load_trained_model gives: everything inference needs.
template <int Levels = 3, class B = Cpu> struct TrainedModel {
  std::string path;   ///< the checkpoint folder, or the file
  std::string table;  ///< what became of the weights of a file
  Clip<Levels, float, B> model;
  std::shared_ptr<const WordPieceTokenizer> tokenizer;
  CtPreset preset;               ///< of a model for CT
  std::optional<MriPreset> mri;  ///< of a model for MRI
};

/// Loads a checkpoint, or the newest sound one of a run; what only training needs is not looked at.
/// On Cpu weights stay in the file and are mapped: changing them changes them for this process
/// only.
/// @param folder runs/x or runs/x/step_N  @throws hlip::error saying what is missing or damaged
template <int Levels = 3, class B = Cpu>
TrainedModel<Levels, B> load_trained_model(const std::string& folder) {
  const std::string path = find_checkpoint(folder,
                                           {"model.safetensors", "model.json", "vocab.txt"});
  const Json j = read_json(path + "/model.json");
  if (!j.is_object() || !j.contains("model") || !j.contains("preprocessing") ||
      !j["preprocessing"].is_string())
    fail_file(path + "/model.json", "", "needs the entries model and preprocessing");
  TrainedModel<Levels, B> t;
  t.path = path;
  t.model = Clip<Levels, float, B>(clip_config_from_json(j["model"], path + "/model.json"),
                                   Initializer::without_values());
  const auto preprocessing = j["preprocessing"].get<std::string>();
  if (preprocessing.starts_with("mri ")) t.mri = parse_mri_preset(preprocessing);
  else t.preset = parse_ct_preset(preprocessing);
  t.tokenizer = std::make_shared<const WordPieceTokenizer>(
      WordPieceTokenizer::load(path + "/vocab.txt"));
  const SafetensorsFile weights(path + "/model.safetensors", {}, MapAccess::copy_on_write);
  if constexpr (std::is_same_v<B, Cpu>) map_state_dict(t.model, weights);
  else load_state_dict(t.model, weights);
  return t;
}

HLIP_END
