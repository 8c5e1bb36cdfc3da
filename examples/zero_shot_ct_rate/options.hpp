// What zero_shot_ct_rate is asked.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/imaging/dicom/recognise.hpp>
#include <hlip/io/file.hpp>
#include <hlip/systems/hlip/model_option.hpp>

#include <fmt/format.h>

#include <string>
#include <vector>

namespace zero_shot_ct_rate {

using namespace hlip;

struct Options {
  std::string checkpoint, model, volume, series, vocab, prompts = "volume", interpret, finding,
                                                        device = "cpu", precision = "fp32";
  std::vector<double> rescale, spacing;
  bool already_hu = false, timing = false;
  int threads = 0;
  bool cached() const { return volume.ends_with(".safetensors"); }
  bool rescaled() const { return rescale.size() == 2; }
  double slope() const { return rescaled() ? rescale[0] : 1; }
  double intercept() const { return rescaled() ? rescale[1] : 0; }
  bool published() const { return is_file(checkpoint); }
};

inline void add_options(CLI::App& app, Options& o) {
  app.add_option("--checkpoint", o.checkpoint,
                 "run or checkpoint folder of train_ct_rate, or a file of weights (.pt, .pth, "
                 ".bin, .safetensors)");
  add_model_option(app, o.model,
                   "what a file of weights holds (default: vit_base_singlescan_h2_token2744); "
                   "without --checkpoint, a model with random weights");
  app.add_option("--volume", o.volume,
                 "NIfTI file, DICOM folder or file, or a .safetensors file of preprocess_ct_rate")
      ->required();
  app.add_option("--series", o.series,
                 "SeriesInstanceUID to take from a DICOM folder that holds several");
  app.add_option("--template", o.prompts, "prompt template")
      ->check(CLI::IsMember({"volume", "organ"}))
      ->capture_default_str();
  app.add_option("--vocab", o.vocab,
                 "WordPiece vocabulary of a file of weights, or for random weights (default: one "
                 "learned from the prompts)")
      ->check(CLI::ExistingFile);
  auto* scale = app.add_option("--rescale", o.rescale,
                               "slope and intercept that turn stored values into HU")
                    ->expected(2);
  app.add_flag("--already-hu", o.already_hu, "the file is in HU")->excludes(scale);
  app.add_option("--spacing", o.spacing,
                 "mm between voxels along D,H,W, instead of the header's (evaluate ct-rate takes "
                 "those of CT-RATE's table, whose decimals are others)")
      ->expected(3)
      ->delimiter(',')
      ->check(CLI::Range(0.01, 1000.0));
  add_threads_option(app, o.threads);
  add_device_option(app, o.device);
  add_precision_option(app, o.precision);
  auto* interpret = app.add_option("--interpret", o.interpret,
                                   "folder for where the model looked: montage.png, and "
                                   "relevance_LEVEL.nii.gz on the voxels of --volume");
  app.add_option("--finding", o.finding,
                 "what --interpret explains (default: the most probable finding)")
      ->needs(interpret);
  app.add_flag("--timing", o.timing,
               "say on stderr how long each stage took since the process began");
}

/// What is wrong with the options taken together, or nothing.
inline std::string usage_fault(const Options& o) {
  if (o.checkpoint.empty() && o.model.empty())
    return fmt::format("give --checkpoint PATH or --model NAME (one of {})", clip_config_list());
  if (!o.checkpoint.empty() && !o.published() && (!o.model.empty() || !o.vocab.empty()))
    return fmt::format("a checkpoint folder says what its weights are: {} means nothing with it",
                       o.model.empty() ? "--vocab" : "--model");
  if (o.published() && o.vocab.empty())
    return "a file of weights needs --vocab FILE, the vocabulary of its text tower (or give the "
           "folder, if train_ct_rate wrote it)";
  if (o.cached() && (o.already_hu || o.rescaled()))
    return fmt::format("a cached volume is in HU: {} means nothing with it",
                       o.already_hu ? "--already-hu" : "--rescale");
  if (o.cached() && !o.spacing.empty())
    return "a cached volume has been resampled: --spacing means nothing with it";
  if (o.rescaled() && o.slope() == 0) return "--rescale: a slope of 0 gives no HU";
  if (!o.series.empty() && (o.cached() || !is_dicom(o.volume)))
    return fmt::format("--series chooses among DICOM series, {} is none", o.volume);
  return "";
}

}  // namespace zero_shot_ct_rate
