// An encoder of studies that self-distillation has trained, in files: named as in HLIP's joint
// model, so that contrastive training starts from it. Needs nlohmann_json.
#pragma once

#include <hlip/io/safetensors.hpp>
#include <hlip/io/unfinished_files.hpp>
#include <hlip/io/weights_file.hpp>
#include <hlip/models/config_json.hpp>
#include <hlip/models/load_weights.hpp>
#include <hlip/systems/rad_dino/study_backbone.hpp>

#include <filesystem>
#include <string>

HLIP_BEGIN

/// Writes model.json: the encoder's sizes and how its scans are prepared, as a run of HLIP says
/// them.
/// @param preparation to_string of the CtPreset or MriPreset
HLIP_LAZY void write_study_model_json(const std::string& folder, const HlipVitConfig& config,
                                      const std::string& preparation) {
  ClipConfig c;
  c.name = config.name;
  c.vision = config;
  Json j;
  j["model"]["name"] = config.name;
  j["model"]["vision"] = to_json(c)["vision"];
  j["preprocessing"] = preparation;
  atomic_write(folder + "/model.json", j.dump(2) + "\n");
}

/// Writes model.safetensors, which --pretrained of train_ct_rate and train_brain_mri takes, and
/// model.json. The mask token is not part of it. What a killed process has left of it goes.
template <class B>
void write_study_encoder(const std::string& folder, StudyBackbone<float, B>& encoder,
                         const std::string& preparation) {
  std::filesystem::create_directories(folder);
  remove_unfinished_files(folder);
  SafetensorsWriter writer;
  for (const auto& [name, var] : named_parameters(encoder))
    if (name != "mask_token") writer.add("visual.trunk." + name, var->value());
  writer.metadata("format", "pt");
  writer.write(folder + "/model.safetensors");
  write_study_model_json(folder, encoder.config, preparation);
}

/// Gives an encoder the weights of another that is built alike, for training to go on from.
/// @param from a file of weights: of HLIP, whole or the trunk alone, or of a checkpoint of
/// self-distillation; or a folder with such a model.safetensors
/// @return the table of what was loaded
/// @throws hlip::error, with the table, when a parameter is missing or of another shape
template <class B>
std::string load_pretrained_encoder(StudyBackbone<float, B>& encoder, const std::string& from) {
  NamedWeights weights(
      open_weights(std::filesystem::is_directory(from) ? from + "/model.safetensors" : from));
  weights.select("visual.trunk.");
  weights.select("backbone.");
  LoadReport report = load_state_dict(encoder, weights, false);
  std::erase(report.missing, "mask_token");
  const std::string table = weights_table(weights, report);
  if (!report.missing.empty() || !report.mismatched.empty())
    fail_file(weights.file().path(), "", "is not of the encoder {}\n{}", encoder.config.name,
              table);
  return table;
}

HLIP_END
