// An encoder of pictures as something to use, wherever it comes from: a run, a folder as Hugging
// Face keeps models in, a file of weights, or none at all. Needs nlohmann_json, libdeflate and
// zlib.
#pragma once

#include <hlip/models/hf_dinov2.hpp>
#include <hlip/models/vit_outputs.hpp>
#include <hlip/systems/rad_dino/checkpoint_files.hpp>
#include <hlip/train/find_checkpoint.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// The encoder, and how pictures are prepared for it.
template <class B = Cpu> struct PictureEncoder {
  std::string name;   ///< what tables call it
  std::string table;  ///< what became of the weights of a file
  Vit<float, B> vit;
  RadiographPreparation preparation;

  /// A prepared picture, in as many channels as the encoder takes: (1, in_chans, S, S).
  Tensor<float, B> prepare(const Radiograph& x) const {
    const Tensor<float, Cpu> three = prepare_radiograph(x, preparation);
    const index_t side = three.dim(1), channels = vit.config.in_chans;
    // all channels of a grey picture are alike
    return on_backend<B>(three.slice(0, 0, channels).contiguous())
        .reshape({1, channels, side, three.dim(2)});
  }
};

namespace detail {

HLIP_LAZY void expect_channels(const VitConfig& c, const std::string& where) {
  if (c.in_chans != 1 && c.in_chans != 3)
    fail_file(where, "", "is of an encoder of {} channels, radiographs have 1 or 3 equal ones",
              c.in_chans);
}

/// Throws unless pictures prepared so can be encoded. @param path of what says how
HLIP_LAZY void expect_fitting(const RadiographPreparation& p, const VitConfig& c,
                              const std::string& path) {
  if (p.crop < c.patch_size || p.crop > 4096)
    fail_file(path, "crop_size", "is {}, expected {} (a patch of the encoder) to 4096", p.crop,
              c.patch_size);
}

template <class B> PictureEncoder<B> encoder_of_hf(const std::string& folder) {
  const HfDinov2 stored(folder);
  expect_channels(stored.config(), folder);
  PictureEncoder<B> e;
  if (!is_file(stored.preprocessor_path()))
    fail_file(stored.preprocessor_path(), "",
              "is not there; it says how pictures are prepared for the encoder");
  e.preparation = radiograph_preparation_from(stored.preprocessor_path());
  expect_fitting(e.preparation, stored.config(), stored.preprocessor_path());
  Initializer init = Initializer::without_values();
  e.vit = Vit<float, B>(stored.config(), init);
  e.table = stored.load(e.vit);
  return e;
}

/// The teacher of a checkpoint.
template <class B> PictureEncoder<B> encoder_of_run(const std::string& folder) {
  const std::string path = find_checkpoint(
      folder, stage_names(rad_dino_stages()),
      {"teacher.safetensors", "model.json", "preprocessor_config.json"});
  NamedWeights weights(SafetensorsFile(path + "/teacher.safetensors"));
  weights.select("backbone.");
  const std::string model = path + "/model.json", levels = path + "/preprocessor_config.json";
  const VitConfig config = vit_config_from_json(read_json(model), model),
                  stored = vit_config_of_weights(weights, config);
  // sizes are believed where the weights have them
  if (config.embed_dim != stored.embed_dim || config.depth != stored.depth ||
      config.img_size != stored.img_size || config.patch_size != stored.patch_size ||
      config.in_chans != stored.in_chans || config.reg_tokens != stored.reg_tokens)
    fail_file(model, "", "is not of the encoder in {}", weights.file().path());
  expect_held(config, weights);
  expect_channels(config, model);
  PictureEncoder<B> e;
  e.preparation = radiograph_preparation_from(levels);
  expect_fitting(e.preparation, config, levels);
  Initializer init = Initializer::without_values();
  e.vit = Vit<float, B>(config, init);
  expect_whole_encoder(weights, load_state_dict(e.vit, weights, false),
                       "the encoder that " + model + " describes");
  return e;
}

template <class B> PictureEncoder<B> encoder_of_file(const std::string& file) {
  NamedWeights weights(open_weights(file));
  name_as_vit(weights);
  const VitConfig config = vit_config_of_weights(weights);
  expect_channels(config, file);
  if (config.embed_dim % 64 != 0)
    fail_file(file, "",
              "is of an encoder of width {}: such a file does not say how many heads it has, and "
              "those of published encoders are 64 wide (hint: a folder with config.json says it)",
              config.embed_dim);
  expect_held(config, weights);
  PictureEncoder<B> e;
  e.preparation = preparation_for(config);
  expect_fitting(e.preparation, config, file);
  Initializer init = Initializer::without_values();
  e.vit = Vit<float, B>(config, init);
  const LoadReport report = load_vit_weights(e.vit, weights);
  expect_whole_encoder(weights, report, "a whole encoder");
  e.table = weights_table(weights, report);
  return e;
}

/// Whether a folder holds weights that no checkpoint of ours explains: as Hugging Face keeps them,
/// or meant to.
HLIP_LAZY bool is_hf_folder(const std::string& folder) {
  if (is_file(folder + "/config.json")) return true;
  return (is_file(folder + "/model.safetensors") || is_file(folder + "/pytorch_model.bin")) &&
         !is_file(folder + "/COMPLETE") && !is_file(folder + "/model.json");
}

}  // namespace detail

/// Loads an encoder.
/// @param from one of: a run of train_rad_dino or a checkpoint of it (the teacher is taken); a
/// folder with config.json, preprocessor_config.json and weights, as Hugging Face keeps DINOv2 and
/// RAD-DINO; a file of weights (.pth, .safetensors) of DINOv2, timm or Hugging Face, for which
/// pictures are prepared as RAD-DINO does, at the size of its table of positions; or
/// "untrained:NAME", random weights of a configuration by name
/// @param seed of random weights
/// @throws hlip::error naming the file and what is missing or does not fit
template <class B = Cpu>
PictureEncoder<B> load_picture_encoder(const std::string& from, std::uint64_t seed = 0) {
  constexpr std::string_view untrained = "untrained:";
  PictureEncoder<B> e;
  if (from.starts_with(untrained)) {
    Initializer init(seed);
    e.vit = Vit<float, B>(vit_config(std::string_view(from).substr(untrained.size())), init);
    e.preparation = preparation_for(e.vit.config);
  } else if (is_file(from)) {
    e = detail::encoder_of_file<B>(from);
  } else if (!std::filesystem::is_directory(from)) {
    fail_file(from, "",
              "is not there; expected a run, a folder with config.json, a file of weights "
              "or untrained:NAME");
  } else if (detail::is_hf_folder(from)) {
    e = detail::encoder_of_hf<B>(from);
  } else {
    e = detail::encoder_of_run<B>(from);
  }
  e.name = from;
  return e;
}

HLIP_END
