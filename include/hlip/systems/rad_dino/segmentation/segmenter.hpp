// What marks structures in radiographs: a frozen encoder, or none, and a decoder; how it is made,
// written and read. Needs nlohmann_json, libdeflate and zlib.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/datasets/chest_xray/mask_structures.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/io/safetensors_writer.hpp>
#include <hlip/models/segmentation/vit_feature_maps.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>
#include <hlip/systems/rad_dino/segmentation/decoder.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

template <class B = Cpu> struct Segmenter {
  std::optional<PictureEncoder<B>> encoder;  ///< none: the decoder sees the pictures
  RadiographPreparation preparation;         ///< of the pictures
  std::vector<MaskStructure> structures;
  MaskDecoderConfig config;
  MaskDecoder<float, B> decoder;

  index_t side() const { return preparation.crop; }
  /// Channels of the pictures.
  index_t channels() const { return encoder ? encoder->vit.config.in_chans : config.dim; }
  /// What the decoder sees; the encoder learns nothing.
  /// @param pictures (N, channels, S, S)
  FeatureMaps<float, B> maps(const Tensor<float, B>& pictures) const {
    if (!encoder) return {Var<float, B>(pictures)};
    NoGrad guard;
    const auto depth = static_cast<index_t>(encoder->vit.blocks.size());
    return vit_feature_maps(
        encoder->vit, Var<float, B>(pictures),
        config.head == "upernet" ? quarter_blocks(depth) : std::vector<index_t>{depth});
  }
  /// @return logits (N, classes, S, S)
  Var<float, B> operator()(const Tensor<float, B>& pictures, const Context& context = {}) const {
    return decoder(maps(pictures), side(), context);
  }
};

/// What a segmenter is made of.
struct SegmenterOptions {
  std::string encoder = "none";  ///< as load_picture_encoder takes it, or "none"
  std::string head = "unet";
  std::vector<MaskStructure> structures;
  index_t size = 0;   ///< side of the pictures, 0: the encoder's own, or 224
  index_t width = 0;  ///< of the decoder, 0: the usual one
  int levels = 5;     ///< of a U-Net
  std::uint64_t seed = 0;
};

namespace detail {

/// Throws unless the decoder can take pictures of this size.
template <class B> void expect_fitting_size(const Segmenter<B>& s) {
  if (!s.encoder) {
    const index_t multiple = index_t{1} << (s.config.levels - 1);
    expect(s.side() % multiple == 0, "size",
           "pictures of {} pixels, expected a multiple of {} for a U-Net of {} levels (hint: {})",
           s.side(), multiple, s.config.levels, std::max(multiple, s.side() / multiple * multiple));
    return;
  }
  const index_t patch = s.encoder->vit.config.patch_size;
  expect(s.side() % patch == 0 && s.side() / patch >= 2, "size",
         "pictures of {} pixels, expected a multiple of the encoder's patches of {}, and two of "
         "them at least (hint: {})",
         s.side(), patch, std::max(2 * patch, s.side() / patch * patch));
}

}  // namespace detail

/// A segmenter with a decoder of random weights.
/// @throws hlip::error for an encoder that is not sound, and for what does not go together
template <class B> Segmenter<B> make_segmenter(const SegmenterOptions& o) {
  Segmenter<B> s;
  if (o.encoder != "none") {
    s.encoder = load_picture_encoder<B>(o.encoder, o.seed);
    s.preparation = s.encoder->preparation;
  } else {
    s.preparation.shorter_side = s.preparation.crop = 224;
  }
  if (o.size > 0) s.preparation.shorter_side = s.preparation.crop = o.size;
  s.preparation.least_side = std::min<index_t>(s.preparation.least_side, s.preparation.crop);
  s.structures = o.structures;
  s.config.head = o.head;
  s.config.dim = s.encoder ? s.encoder->vit.config.embed_dim : 1;
  s.config.classes = static_cast<index_t>(class_count(o.structures));
  s.config.width = o.width > 0 ? o.width : usual_width(o.head);
  s.config.levels = o.levels;
  detail::expect_fitting_size(s);
  Initializer init(o.seed);
  s.decoder = MaskDecoder<float, B>(s.config, init);
  return s;
}

/// Writes a segmenter as a folder that holds all of it: segmentation.json, how pictures are
/// prepared, the decoder, and the encoder as Hugging Face keeps it. The folder is complete once
/// segmentation.json is there.
template <class B> void write_segmenter(const std::string& folder, Segmenter<B>& s) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) fail_file(folder, "", "cannot be made: {}", failed.message());
  remove_unfinished_files(folder);
  std::filesystem::remove(folder + "/segmentation.json", failed);
  if (s.encoder) write_picture_encoder(folder + "/encoder", *s.encoder, s.side());
  atomic_write(folder + "/preprocessor_config.json",
               preprocessor_json(s.preparation).dump(2) + "\n");
  SafetensorsWriter weights;
  weights.metadata("format", "pt");
  for (const auto& [name, p] : named_parameters(s.decoder)) weights.add(name, p->value());
  weights.write(folder + "/decoder.safetensors");
  Json j;
  j["format"] = 1;
  j["head"] = s.config.head;
  j["width"] = s.config.width;
  j["levels"] = s.config.levels;
  j["encoder"] = s.encoder ? s.encoder->name : "none";  // where it came from: it lies beside
  std::string structures;
  for (const auto& each : s.structures) structures += (structures.empty() ? "" : ",") + each.text();
  j["classes"] = structures;
  atomic_write(folder + "/segmentation.json", j.dump(2) + "\n");
}

namespace detail {

/// The decoder that segmentation.json describes, its sizes as far as the weights have them.
HLIP_LAZY MaskDecoderConfig stored_decoder(const Json& j, const std::string& path,
                                           const SafetensorsFile& weights) {
  MaskDecoderConfig c;
  try {
    if (j.at("format") != 1) fail_file(path, "format", "is {}, expected 1", j.at("format").dump());
    c.head = j.at("head").template get<std::string>();
    c.width = j.at("width").template get<index_t>();
    c.levels = j.at("levels").template get<int>();
  } catch (const Json::exception& e) {
    fail_file(path, "", "{}", e.what());
  }
  if (c.levels < 1 || c.levels > 10) fail_file(path, "levels", "is {}, expected 1 to 10", c.levels);
  if (c.width < 0 || c.width > most_decoder_width)
    fail_file(path, "width", "is {}, expected {} at most", c.width, most_decoder_width);
  const std::string last = c.head == "linear"    ? "decoder.conv.weight"
                           : c.head == "upernet" ? "decoder.decoder.cls.weight"
                                                 : "decoder.cls.weight";
  if (!weights.contains(last))
    fail_file(weights.path(), last, "is not there, but {} says that the head is {}", path,
              quote_text(c.head));
  const Shape shape = weights.info(last).shape;
  const index_t wide = c.width * (c.head == "vitdet" ? 4 : 1);
  if (shape.rank() != 4 || (c.head != "linear" && (c.width < 1 || shape[1] != wide)))
    fail_file(weights.path(), last, "is {}, which does not fit the width of {} in {}",
              to_string(shape), c.width, path);
  c.classes = shape[0];
  return c;
}

}  // namespace detail

/// Reads a segmenter. @param folder what write_segmenter wrote, or a run that has it as `model`
/// @throws hlip::error naming the file that is missing, damaged, or does not fit the others
template <class B> Segmenter<B> load_segmenter(const std::string& folder) {
  const std::string at = is_file(folder + "/model/segmentation.json") ? folder + "/model" : folder,
                    path = at + "/segmentation.json";
  if (!is_file(path))
    fail_file(path, "",
              "is not there; expected a run of segment_radiographs train that has ended, or its "
              "folder model (hint: --resume latest ends a run that was stopped)");
  const Json j = read_json(path, {.max_bytes = std::size_t{1} << 20});
  const SafetensorsFile weights(at + "/decoder.safetensors");
  Segmenter<B> s;
  s.config = detail::stored_decoder(j, path, weights);
  if (s.config.head != "unet") s.encoder = load_picture_encoder<B>(at + "/encoder");
  s.config.dim = s.encoder ? s.encoder->vit.config.embed_dim : 1;
  try {
    if (s.encoder) s.encoder->name = j.at("encoder").template get<std::string>();
    s.structures = mask_structures(j.at("classes").template get<std::string>());
  } catch (const Json::exception& e) {
    fail_file(path, "", "{}", e.what());
  }
  if (static_cast<index_t>(class_count(s.structures)) != s.config.classes)
    fail_file(path, "classes", "are {}, the decoder in {} has {}", class_count(s.structures),
              weights.path(), s.config.classes);
  s.preparation = radiograph_preparation_from(at + "/preprocessor_config.json");
  s.preparation.least_side = std::min<index_t>(s.preparation.least_side, s.preparation.crop);
  detail::expect_fitting_size(s);
  Initializer init = Initializer::without_values();
  s.decoder = MaskDecoder<float, B>(s.config, init);
  const LoadReport report = load_state_dict(s.decoder, weights, false);
  if (!report.ok())
    fail_file(weights.path(), "", "does not fit the head {} that {} describes\n{}", s.config.head,
              path, report.to_text());
  return s;
}

HLIP_END
