// What a training of HLIP starts from: studies, a tokenizer, and weights of towers or of whole
// models. Needs CLI11, nlohmann_json, utf8proc and zlib.
#pragma once

#include <hlip/datasets/study_samples.hpp>
#include <hlip/io/weights_file.hpp>
#include <hlip/models/load_weights.hpp>
#include <hlip/systems/hlip/options.hpp>
#include <hlip/systems/hlip/report_tokenizer.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/train/report_problems.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

HLIP_BEGIN

/// The studies of a data set that was just read; with --skip-bad faulty ones are listed in a file,
/// without it they end the run before it begins.
/// @param data has studies, problems, root and split  @param file and @param place it was read
/// from, for messages  @throws hlip::error when no study is left
template <class Dataset>
Dataset usable_studies(const RunOptions& o, RunFolder& folder, Dataset data,
                       const std::string& file, const std::string& place = "") {
  report_problems(o, folder, data.problems, data.root, data.split);
  if (data.studies.empty()) fail_file(file, place, "holds no usable study");
  return data;
}

/// What samples of studies are for this model and these options, whatever a study is.
/// @param bytes of all prepared volumes in 16 bits, which are kept if they fit --cache-gib
inline StudySampleOptions sample_options(const HlipOptions& o, const ClipConfig& config,
                                         std::size_t bytes) {
  return {.context_length = config.context_length,
          .cache = static_cast<double>(bytes) <= o.cache_gib * 0x1p30,
          .shuffle_reports = o.shuffle_reports,
          .seed = o.seed,
          .sentences = config.dual_text};
}

/// The tokenizer of --vocab or --text-model, or one learned from the reports. The model gets room
/// for its pieces.
/// @param studies each with a `report`, a list of texts
template <class Studies>
std::shared_ptr<const WordPieceTokenizer> make_tokenizer(const HlipOptions& o,
                                                         const Studies& studies,
                                                         ClipConfig& config) {
  const auto made = [&](WordPieceTokenizer tokenizer) {
    if (o.text_model.empty()) config.text.vocab_size = tokenizer.vocab_size();
    else if (tokenizer.vocab_size() > config.text.vocab_size)
      fail_file(o.text_model, "vocab.txt", "has {} pieces, config.json says {}",
                tokenizer.vocab_size(), config.text.vocab_size);
    return std::make_shared<const WordPieceTokenizer>(std::move(tokenizer));
  };
  return made(report_tokenizer(
      o.text_model.empty() ? o.vocab : HfTextModel(o.text_model).vocab_path(), studies));
}

/// Weights to start from: those of the towers, and over them those of a whole model.
/// @param tell called as tell(text): what became of every tensor of one file
/// @throws hlip::error when a file cannot be read, or does not fit the model
template <class B, class Tell>
void load_weights(const HlipOptions& o, Clip<3, float, B>& model, Tell tell) {
  if (!o.text_model.empty()) tell(HfTextModel(o.text_model).load(model.text.transformer));
  const auto load = [&](const std::string& path, auto load_into_model) {
    NamedWeights weights(open_weights(path));
    const LoadReport report = load_into_model(weights);
    expect_some_loaded(weights, report);
    tell(weights_table(weights, report));
  };
  if (!o.pretrained_image.empty())
    load(o.pretrained_image,
         [&](NamedWeights& weights) { return load_image_weights(model.visual.trunk, weights); });
  if (!o.pretrained.empty()) {
    const bool folder = std::filesystem::is_directory(o.pretrained);
    load(folder ? find_checkpoint(o.pretrained, {"model.safetensors"}) + "/model.safetensors"
                : o.pretrained,
         [&](NamedWeights& weights) { return load_clip_weights(model, weights); });
  }
}

HLIP_END
