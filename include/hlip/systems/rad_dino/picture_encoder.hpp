// An encoder of pictures as something to use, wherever it comes from: a run, a folder as Hugging
// Face keeps models in, a file of weights, or none at all. Needs nlohmann_json, libdeflate and
// zlib.
#pragma once

#include <hlip/io/unfinished_files.hpp>
#include <hlip/models/hf_dinov2.hpp>
#include <hlip/models/vit_outputs.hpp>
#include <hlip/systems/rad_dino/checkpoint_files.hpp>
#include <hlip/train/find_checkpoint.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

HLIP_BEGIN

/// The encoder, and how pictures are prepared for it.
template <class B = Cpu> struct PictureEncoder {
  std::string name;   ///< what tables call it
  std::string table;  ///< what became of stored weights
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

/// Weights of an encoder, with the names of a Vit's parameters, and what is said of it.
struct EncoderWeights {
  NamedWeights weights;
  VitConfig config;         ///< without `said_by` as far as shapes say it: heads are 64 wide
  std::string said_by;      ///< config.json or model.json; none for a file of weights
  std::string preparation;  ///< preprocessor_config.json, there or not; none for a file of weights
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

HLIP_LAZY EncoderWeights weights_of_hf(const std::string& folder) {
  const HfDinov2 stored(folder);
  return {stored.weights(), stored.config(), folder + "/config.json", stored.preprocessor_path()};
}

/// The teacher of a checkpoint.
HLIP_LAZY EncoderWeights weights_of_run(const std::string& folder) {
  const std::string path = find_checkpoint(
      folder, stage_names(rad_dino_stages()),
      {"teacher.safetensors", "model.json", "preprocessor_config.json"});
  NamedWeights weights(SafetensorsFile(path + "/teacher.safetensors"));
  weights.select("backbone.");
  const std::string model = path + "/model.json";
  const VitConfig config = vit_config_from_json(read_json(model), model),
                  stored = vit_config_of_weights(weights, config);
  // sizes are believed where the weights have them
  if (config.embed_dim != stored.embed_dim || config.depth != stored.depth ||
      config.img_size != stored.img_size || config.patch_size != stored.patch_size ||
      config.in_chans != stored.in_chans || config.reg_tokens != stored.reg_tokens)
    fail_file(model, "", "is not of the encoder in {}", weights.file().path());
  expect_held(config, weights);
  return {std::move(weights), config, model, path + "/preprocessor_config.json"};
}

HLIP_LAZY EncoderWeights weights_of_file(const std::string& file) {
  NamedWeights weights(open_weights(file));
  name_as_vit(weights);
  const VitConfig config = vit_config_of_weights(weights);
  return {std::move(weights), config, "", ""};
}

/// How pictures are prepared for an encoder.
/// @throws hlip::error when this is not said, or when pictures prepared so cannot be encoded
HLIP_LAZY RadiographPreparation preparation_of(const EncoderWeights& stored) {
  const VitConfig& c = stored.config;
  const std::string& file = stored.weights.file().path();
  expect_channels(c, stored.said_by.empty() ? file : stored.said_by);
  if (!stored.said_by.empty()) {
    if (!is_file(stored.preparation))
      fail_file(stored.preparation, "",
                "is not there; it says how pictures are prepared for the encoder");
    const RadiographPreparation p = radiograph_preparation_from(stored.preparation);
    expect_fitting(p, c, stored.preparation);
    return p;
  }
  if (c.embed_dim % 64 != 0)
    fail_file(file, "",
              "is of an encoder of width {}: such a file does not say how many heads it has, and "
              "those of published encoders are 64 wide (hint: a folder with config.json says it)",
              c.embed_dim);
  expect_held(c, stored.weights);
  const RadiographPreparation p = preparation_for(c);
  expect_fitting(p, c, file);
  return p;
}

/// Whether a folder holds weights that no checkpoint of ours explains: as Hugging Face keeps them,
/// or meant to.
HLIP_LAZY bool is_hf_folder(const std::string& folder) {
  if (is_file(folder + "/config.json")) return true;
  return (is_file(folder + "/model.safetensors") || is_file(folder + "/pytorch_model.bin")) &&
         !is_file(folder + "/COMPLETE") && !is_file(folder + "/model.json");
}

}  // namespace detail

/// Finds the weights of an encoder.
/// @param from one of: a run of train_rad_dino or a checkpoint of it (the teacher is taken); a
/// folder with config.json and weights, as Hugging Face keeps DINOv2 and RAD-DINO; a file of
/// weights (.pth, .safetensors) of DINOv2, timm or Hugging Face
/// @throws hlip::error naming the file and what is missing or does not fit
HLIP_LAZY EncoderWeights find_encoder_weights(const std::string& from) {
  if (is_file(from)) return detail::weights_of_file(from);
  if (!std::filesystem::is_directory(from))
    fail_file(from, "",
              "is not there; expected a run, a folder with config.json or a file of weights");
  return detail::is_hf_folder(from) ? detail::weights_of_hf(from) : detail::weights_of_run(from);
}

/// Gives an encoder the weights of another that is built alike, for training to go on from;
/// positions are resized.
/// @param from as find_encoder_weights takes it
/// @return the table of what was loaded and resized
/// @throws hlip::error, with the table, when a parameter is missing or of another shape
template <class B>
std::string load_pretrained_encoder(Vit<float, B>& vit, const std::string& from) {
  const EncoderWeights stored = find_encoder_weights(from);
  const VitConfig& c = vit.config;
  // no shape says this
  if (!stored.said_by.empty() && stored.config.num_heads != c.num_heads)
    fail_file(stored.said_by, "", "is of an encoder with {} heads, {} has {}",
              stored.config.num_heads, c.name, c.num_heads);
  const LoadReport report = load_vit_weights(vit, stored.weights);
  expect_whole_encoder(stored.weights, report, "the encoder " + c.name);
  return weights_table(stored.weights, report);
}

/// Loads an encoder.
/// @param from as find_encoder_weights takes it; beside config.json also lies
/// preprocessor_config.json, and for a file of weights pictures are prepared as RAD-DINO does, at
/// the size of its table of positions. Or "untrained:NAME", random weights of a configuration by
/// name
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
  } else {
    const EncoderWeights stored = find_encoder_weights(from);
    e.preparation = detail::preparation_of(stored);
    Initializer init = Initializer::without_values();
    e.vit = Vit<float, B>(stored.config, init);
    const LoadReport report = load_vit_weights(e.vit, stored.weights);
    expect_whole_encoder(stored.weights, report,
                         stored.said_by.empty()
                             ? "a whole encoder"
                             : "the encoder that " + stored.said_by + " describes");
    e.table = weights_table(stored.weights, report);
  }
  e.name = from;
  return e;
}

/// Writes an encoder as Hugging Face keeps it, with how pictures are prepared for it: a folder for
/// load_picture_encoder and for transformers. What a killed process has left of it goes.
template <class B>
void write_picture_encoder(const std::string& folder, Vit<float, B>& vit,
                           const RadiographPreparation& preparation) {
  remove_unfinished_files(folder);
  write_hf_dinov2(folder, vit);
  atomic_write(folder + "/preprocessor_config.json", preprocessor_json(preparation).dump(2) + "\n");
}

/// The same with positions for pictures of another side: the files cannot say how to resize them.
template <class B>
void write_picture_encoder(const std::string& folder, const PictureEncoder<B>& encoder,
                           index_t side) {
  Vit<float, B> fitted = with_positions_for(encoder.vit, side);
  write_picture_encoder(folder, fitted, encoder.preparation);
}

/// Whether a run that is gone on with has kept its encoder, which it then goes on with: what it was
/// read from may have changed.
/// @param run a Run that has found its origin  @param own the folder of the copy
/// @throws hlip::error when --encoder names another one than the run began with
template <class R> bool goes_on_with_encoder(const R& run, const std::string& own) {
  if (run.origin().path.empty() || !is_file(own + "/config.json")) return false;
  if (run.has_changed("encoder"))
    run.misfit("it goes on with the encoder that is kept in " + own +
               " (hint: leave --encoder out, or begin in another folder)");
  return true;
}

HLIP_END
