// What lies beside the weights of text-informed pre-training, and the encoder that it leaves
// behind. Needs nlohmann_json.
#pragma once

#include <hlip/io/file.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/models/resnet3d_configs.hpp>
#include <hlip/systems/t3d/ct_volumes.hpp>
#include <hlip/systems/t3d/model.hpp>
#include <hlip/text/wordpiece.hpp>
#include <hlip/train/run_stage.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

HLIP_BEGIN

/// The one stage of a pre-training.
inline const std::vector<RunStage>& t3d_stages() {
  static const std::vector<RunStage> stages{{"step", "train", "train"}};
  return stages;
}

/// What an encoder of sub-volumes takes.
struct SubVolumeInput {
  VolumePreparation preparation;
  std::array<index_t, 3> size = {96, 96, 96};
};

namespace detail {
template <class Fields> void json_entries(Fields& f, SubVolumeInput& x) {
  f.read("spacing", x.preparation.spacing);
  f.read("window_hu", x.preparation.window_hu);
  f.read("already_hu", x.preparation.already_hu);
  f.read("size", x.size);
}
template <class Fields> void json_entries(Fields& f, TextInformedConfig& c) {
  f.read("fusion_heads", c.fusion_heads);
  f.read("fusion_hidden_ratio", c.fusion_hidden_ratio);
  f.read("embed_dim", c.embed_dim);
  f.read("decoder_widths", c.decoder_widths);
}
template <class X> Json json_of(X x) {
  JsonWriter writer;
  json_entries(writer, x);
  return writer.object;
}
}  // namespace detail

/// All that says what a model is, for its model.json.
struct TextInformedFiles {
  ResNet3dConfig encoder;
  BertConfig text;
  TextInformedConfig heads;
  SubVolumeInput input;

  Json to_json() const {
    Json j;
    j["encoder"] = hlip::to_json(encoder);
    j["text"] = detail::json_of(text);
    j["heads"] = detail::json_of(heads);
    j["input"] = detail::json_of(input);
    return j;
  }
};

/// Writes model.json and vocab.txt.
HLIP_LAZY void write_text_informed_files(const std::string& folder, const TextInformedFiles& files,
                                         const Vocabulary& vocabulary) {
  atomic_write(folder + "/model.json", files.to_json().dump(2) + "\n");
  atomic_write(folder + "/vocab.txt", vocabulary.to_text());
}

/// Writes an encoder on its own: model.safetensors, and model.json with its sizes and what it
/// takes.
template <class B>
void write_volume_encoder(const std::string& folder, ResNet3d<float, B>& encoder,
                          const SubVolumeInput& input) {
  std::filesystem::create_directories(folder);
  SafetensorsWriter writer;
  for (const auto& [name, var] : named_parameters(encoder)) writer.add(name, var->value());
  writer.metadata("format", "pt");
  writer.write(folder + "/model.safetensors");
  Json j;
  j["encoder"] = to_json(encoder.config);
  j["input"] = detail::json_of(input);
  atomic_write(folder + "/model.json", j.dump(2) + "\n");
}

/// What lies in a folder of write_volume_encoder.
struct VolumeEncoderFiles {
  ResNet3dConfig encoder;
  SubVolumeInput input;
};
/// @throws hlip::error naming the file and the entry
HLIP_LAZY VolumeEncoderFiles read_volume_encoder_files(const std::string& folder) {
  const std::string path = folder + "/model.json";
  const Json j = read_json(path);
  if (!j.is_object() || !j.contains("encoder") || !j.contains("input"))
    fail_file(path, "", "needs the entries encoder and input: is it the encoder of a run?");
  VolumeEncoderFiles files;
  files.encoder = resnet3d_config_from_json(j.at("encoder"), path);
  detail::JsonFields fields(j.at("input"), path);
  detail::json_entries(fields, files.input);
  fields.finish();
  try {
    files.input.preparation.preset();
  } catch (const error& e) {
    fail_file(path, "input", "{}", e.what());
  }
  for (const index_t n : files.input.size)
    if (n < 1 || n > 512) fail_file(path, "size", "is {}, expected 1 to 512", n);
  return files;
}
/// The encoder of such a folder.
/// @throws hlip::error naming the file when a tensor is missing or has another shape
template <class B>
ResNet3d<float, B> read_volume_encoder(const std::string& folder, const VolumeEncoderFiles& files) {
  Initializer empty = Initializer::without_values();
  ResNet3d<float, B> encoder(files.encoder, empty);
  load_state_dict(encoder, SafetensorsFile(folder + "/model.safetensors"));
  return encoder;
}

HLIP_END
