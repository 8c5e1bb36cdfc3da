// Command lines of transfer_t3d.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/cli/run_options.hpp>
#include <hlip/eval/dice_table.hpp>
#include <hlip/systems/t3d/labelled_volumes.hpp>
#include <hlip/systems/t3d/volume_segmenter.hpp>

#include <set>
#include <string>
#include <vector>

namespace transfer_t3d {

using namespace hlip;

struct SegmentOptions : RunOptions {
  std::string data_root, encoder = "none", train_split = "train", test_split = "test",
                         model = "resnet50_3d", norm = "batch";
  std::vector<std::string> classes;
  std::vector<double> spacing = {1.5, 1.5, 1.5}, window = {-1000, 1000};
  std::vector<index_t> size = {96, 96, 96}, decoder_widths = {16, 32, 64, 128, 256};
  double foreground = 0.5, train_fraction = 1;
  bool freeze = false;

  SegmentOptions() {
    epochs = 100, batch_size = 2, warmup = 0, lr = 1e-3, wd = 0.01, beta2 = 0.999, eps = 1e-8;
    grad_clip_norm = 1;
  }
};

struct ApplyOptions {
  std::vector<std::string> volumes;
  std::string model, out, device = "cpu", precision = "fp32";
  int threads = 0;
};

inline void add_segment_data_options(CLI::App& app, SegmentOptions& o) {
  const char* data = "Data";
  app.add_option("--data-root", o.data_root,
                 "a table (CSV) with the columns volume (NIfTI in HU), mask (label map on its "
                 "grid) and split, or a folder with such a table as volumes.csv")
      ->required()
      ->group(data);
  app.add_option("--classes", o.classes, "names of the label maps' values 1, 2, …; 0 is background")
      ->required()
      ->delimiter(',')
      ->group(data);
  app.add_option("--train-split", o.train_split, "split to train on")
      ->capture_default_str()
      ->group(data);
  app.add_option("--test-split", o.test_split, "split that is measured on")
      ->capture_default_str()
      ->group(data);
  app.add_option(
         "--train-fraction", o.train_fraction,
         "share of the training volumes that is learned from, drawn by --seed, at least one")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str()
      ->group(data);
  add_loading_options(app, o, data);
}

inline void add_segment_model_options(CLI::App& app, SegmentOptions& o) {
  const char* model = "Model";
  app.add_option("--encoder", o.encoder,
                 "what is transferred: OUT/encoder of train_t3d, or none: from scratch")
      ->capture_default_str()
      ->group(model);
  app.add_option("--model", o.model, "the encoder from scratch; of another one its own sizes")
      ->check(CLI::IsMember(resnet3d_names()))
      ->capture_default_str()
      ->group(model);
  app.add_option("--norm", o.norm, "normalisation of the encoder from scratch")
      ->check(CLI::IsMember({"batch", "group"}))
      ->capture_default_str()
      ->group(model);
  app.add_flag("--freeze", o.freeze, "the encoder stays as it is, the decoder alone learns")
      ->group(model);
  app.add_option("--decoder-widths", o.decoder_widths,
                 "channels of the decoder, from fine to coarse; the last is repeated")
      ->expected(1, 16)
      ->check(CLI::Range(1, 8192))
      ->capture_default_str()
      ->group(model);
  app.add_option("--spacing", o.spacing,
                 "mm of a voxel (D, H, W), for an encoder from scratch; else its own")
      ->expected(3)
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str()
      ->group(model);
  app.add_option("--window", o.window, "HU that become 0 and 1, likewise")
      ->expected(2)
      ->capture_default_str()
      ->group(model);
  app.add_option("--size", o.size, "voxels of a crop and of a sliding window (D, H, W), likewise")
      ->expected(3)
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->group(model);
  app.add_option("--foreground", o.foreground, "share of crops around a labelled voxel")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(model);
}

inline void add_segment_options(CLI::App& app, SegmentOptions& o) {
  add_segment_data_options(app, o);
  add_segment_model_options(app, o);
  add_length_options(app, o, "Schedule");
  add_optimizer_options(app, o, "Schedule");
  app.get_option("--warmup")
      ->description("steps of linear warm-up of a cosine to 0 (0: a twentieth of all steps)");
  add_clip_option(app, o, "Schedule");
  add_loop_options(app, o, "Run");
}

inline void add_apply_options(CLI::App& app, ApplyOptions& o) {
  app.add_option("VOLUME", o.volumes, "scans (NIfTI in HU)")->required();
  app.add_option("--model", o.model, "OUT/model of transfer_t3d segment train")
      ->check(CLI::ExistingDirectory)
      ->required();
  app.add_option("--out", o.out, "folder of the label maps")->required();
  add_threads_option(app, o.threads);
  add_device_option(app, o.device);
  add_precision_option(app, o.precision);
}

/// What is wrong with the options taken together, or nothing.
inline std::string usage_fault(const CLI::App& app, const SegmentOptions& o) {
  if (!(o.window[0] < o.window[1])) return "--window: expected two rising numbers";
  if (std::set<std::string>(o.classes.begin(), o.classes.end()).size() != o.classes.size())
    return "--classes: a name is there twice";
  if (o.classes.size() > 255) return "--classes: expected at most 255 names";
  if (const auto fault = means_nothing_without(
          app, o.encoder == "none", {"--model", "--norm", "--spacing", "--window", "--size"},
          "--encoder none");
      !fault.empty())
    return fault;
  if (o.freeze && o.encoder == "none") return "--freeze means nothing without --encoder FOLDER";
  return run_options_fault(app, o);
}

}  // namespace transfer_t3d
