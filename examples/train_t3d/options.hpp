// Command line of train_t3d.
#pragma once

#include <hlip/hlip.hpp>

#include <hlip/cli/run_options.hpp>
#include <hlip/models/hf_text_model.hpp>
#include <hlip/phantoms/chest_ct.hpp>
#include <hlip/systems/t3d/checkpoint_files.hpp>
#include <hlip/systems/t3d/sub_volumes.hpp>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace train_t3d {

using namespace hlip;

struct Options : RunOptions {
  // data
  std::string data_root, train_split = "train", valid_split = "valid", phantom_root, report = "own";
  std::int64_t phantom = 0, phantom_valid = -1;
  std::uint64_t phantom_seed = 2611;
  bool already_hu = false;
  std::vector<double> spacing = {1.5, 1.5, 1.5}, window = {-1000, 1000};
  double cache_gib = 4;
  // sub-volumes
  std::vector<index_t> size = {96, 96, 96};
  double foreground = 0;
  CorruptionOptions corruptions;
  // model
  std::string model = "resnet50_3d", norm = "batch", text_model, vocab;
  index_t text_width = 64, text_layers = 2, context_length = 256;
  TextInformedConfig heads;
  // objective
  std::string contrast = "cross", restoration = "l1";
  TextInformedSettings settings;
  std::int64_t evaluation_frequency = 1;

  Options() {
    epochs = 100, batch_size = 16, lr = 1e-4, wd = 0.05, beta2 = 0.999, eps = 1e-8;
    grad_clip_norm = 1, warmup = 0;
  }
};

inline void add_data_options(CLI::App& app, Options& o) {
  const char* group = "Data";
  app.add_option("--data-root", o.data_root,
                 "a CT-RATE tree, or a table (CSV) with the columns volume (NIfTI in HU) and "
                 "report, or a folder with such a table as volumes.csv")
      ->group(group);
  app.add_option("--phantom", o.phantom,
                 "draw this many synthetic training studies instead, and use the phantom recipe "
                 "where options are not given")
      ->check(CLI::Range(8, 1000000))
      ->group(group);
  app.add_option("--phantom-valid", o.phantom_valid,
                 "synthetic held-out studies (default: a quarter of --phantom, 16 to 400)")
      ->check(CLI::Range(2, 1000000))
      ->group(group);
  app.add_option("--phantom-root", o.phantom_root,
                 "where the synthetic studies are kept (default: OUT/phantom)")
      ->group(group);
  app.add_option("--phantom-seed", o.phantom_seed, "which synthetic studies")
      ->capture_default_str()
      ->group(group);
  app.add_option("--train-split", o.train_split, "split to train on")
      ->capture_default_str()
      ->group(group);
  app.add_option("--valid-split", o.valid_split,
                 "split on which the use of reports is measured; '' for none")
      ->capture_default_str()
      ->group(group);
  app.add_flag("--already-hu", o.already_hu,
               "volumes of a CT-RATE tree are in HU: do not apply the table's slope and intercept")
      ->group(group);
  app.add_option("--spacing", o.spacing, "mm of a voxel that sub-volumes are taken at (D, H, W)")
      ->expected(3)
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--window", o.window, "HU that become 0 and 1")
      ->expected(2)
      ->capture_default_str()
      ->group(group);
  app.add_option("--report", o.report,
                 "what the network is told: the study's own report, another's (a control), or none")
      ->check(CLI::IsMember({"own", "shuffled", "none"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--cache-gib", o.cache_gib,
                 "keep prepared volumes in memory as float16 if all fit in this")
      ->check(CLI::Range(0.0, 4096.0))
      ->capture_default_str()
      ->group(group);
  add_loading_options(app, o, group);
}

inline void add_sub_volume_options(CLI::App& app, Options& o) {
  const char* group = "Sub-volumes";
  CorruptionOptions& c = o.corruptions;
  app.add_option("--size", o.size, "voxels of a sub-volume (D, H, W)")
      ->expected(3)
      ->check(CLI::Range(1, 512))
      ->capture_default_str()
      ->group(group);
  app.add_option("--foreground", o.foreground,
                 "draw a place anew, up to ten times, until this share of its voxels is no air")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  const auto add_chance_option = [&](const char* name, double& p, const char* what) {
    app.add_option(name, p, what)->check(CLI::Range(0.0, 1.0))->capture_default_str()->group(group);
  };
  add_chance_option("--nonlinear", c.nonlinear, "probability that intensities are bent");
  add_chance_option("--shuffle", c.shuffle, "probability that voxels are shuffled in small blocks");
  app.add_option(
         "--shuffle-blocks", c.shuffle_blocks,
         "such blocks in 96 x 96 x 96 voxels and larger; smaller ones have as many for each "
         "voxel")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(group);
  add_chance_option("--painting", c.painting, "probability of noise inside of boxes, or outside");
  add_chance_option("--inside", c.inside, "of these, that it is inside");
  add_chance_option("--cut-out", c.cut_out, "probability of boxes of zeros");
  add_chance_option("--patch-drop", c.patch_drop,
                    "probability that a share of all patches is set to 0");
}

inline void add_model_options(CLI::App& app, Options& o) {
  const char* group = "Model";
  app.add_option("--model", o.model, "the encoder")
      ->check(CLI::IsMember(resnet3d_names()))
      ->capture_default_str()
      ->group(group);
  app.add_option("--norm", o.norm, "its normalisation; group does not depend on the batch")
      ->check(CLI::IsMember({"batch", "group"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--text-model", o.text_model,
                 "folder of a BERT as Hugging Face keeps it, which then is not trained")
      ->check(CLI::ExistingDirectory)
      ->group(group);
  app.add_option("--vocab", o.vocab,
                 "WordPiece vocabulary (default: learned from the reports, or --text-model's)")
      ->check(CLI::ExistingFile)
      ->group(group);
  app.add_option("--text-width", o.text_width, "width of a text tower of its own, in heads of 32")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str()
      ->group(group);
  app.add_option("--text-layers", o.text_layers, "its layers")
      ->check(CLI::Range(1, 48))
      ->capture_default_str()
      ->group(group);
  app.add_option("--context-length", o.context_length, "tokens of a report at most")
      ->check(CLI::Range(4, 512))
      ->capture_default_str()
      ->group(group);
  app.add_option("--fusion-heads", o.heads.fusion_heads, "heads with which voxels ask the report")
      ->check(CLI::Range(1, 256))
      ->capture_default_str()
      ->group(group);
  app.add_option("--embed-dim", o.heads.embed_dim, "of the embeddings that are compared")
      ->check(CLI::Range(2, 8192))
      ->capture_default_str()
      ->group(group);
  app.add_option("--decoder-widths", o.heads.decoder_widths,
                 "channels of the restoring decoder, from coarse to fine; the last is repeated")
      ->expected(1, 16)
      ->check(CLI::Range(1, 8192))
      ->capture_default_str()
      ->group(group);
}

inline void add_objective_options(CLI::App& app, Options& o) {
  const char* group = "Objective";
  app.add_option("--contrast", o.contrast,
                 "which embeddings are compared: informed with visual ones (cross), or informed "
                 "ones with each other (both, ntxent), where the report alone tells the pair")
      ->check(CLI::IsMember({"cross", "both", "ntxent"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--contrast-weight", o.settings.contrast_weight, "0: no contrast")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--restoration-weight", o.settings.restoration_weight, "0: no restoration")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--restoration", o.restoration, "error of restored voxels")
      ->check(CLI::IsMember({"l1", "mse", "smooth-l1"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--only-changed", o.settings.only_changed,
               "restoration counts the voxels that corruption changed")
      ->group(group);
  app.add_option("--text-dropout", o.settings.text_dropout,
                 "share of studies whose report is not there in a step")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--evaluation-frequency", o.evaluation_frequency,
                 "epochs between measurements on the held-out split, 0: at the end alone")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
}

inline void add_schedule_and_run_options(CLI::App& app, Options& o) {
  const char* group = "Schedule";
  add_length_options(app, o, group);
  add_optimizer_options(app, o, group);
  add_clip_option(app, o, group);
  app.get_option("--warmup")
      ->description("steps of linear warm-up of a cosine to 0 (0: a twentieth of all steps)");
  app.add_option("--model-ema-decay", o.model_ema_decay,
                 "decay of a moving average of the weights, which is then what is left behind, 0: "
                 "none")
      ->check(below_one())
      ->capture_default_str()
      ->group(group);
  add_loop_options(app, o, "Run");
}

/// What was measured to learn on phantoms, for every option that was not given.
inline void recipe(CLI::App& app, Options& o) {
  if (o.phantom == 0) return;
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  set("--phantom-root", o.phantom_root, o.out + "/phantom");
  set("--phantom-valid", o.phantom_valid, std::clamp<std::int64_t>(o.phantom / 4, 16, 400));
  set("--model", o.model, std::string("resnet_phantom"));
  set("--spacing", o.spacing, std::vector<double>{6, 4, 4});
  set("--size", o.size, std::vector<index_t>{24, 32, 32});
  set("--foreground", o.foreground, 0.5);
  set("--fusion-heads", o.heads.fusion_heads, index_t{4});
  set("--embed-dim", o.heads.embed_dim, index_t{32});
  set("--decoder-widths", o.heads.decoder_widths, std::vector<index_t>{32, 16, 8});
  set("--batch-size", o.batch_size, std::min<std::int64_t>(16, o.phantom / 2));
  set("--lr", o.lr, 1e-3);
  set("--wd", o.wd, 0.01);
  if (o.steps == 0) set("--epochs", o.epochs, std::int64_t{10});
}

inline ResNet3dConfig encoder_config(const Options& o) {
  return resnet3d_config(o.model, o.norm == "group");
}

/// What is wrong with the options taken together, or nothing.
inline std::string usage_fault(const CLI::App& app, const Options& o) {
  if ((o.phantom > 0) == !o.data_root.empty()) return "give either --data-root or --phantom N";
  if (!(o.window[0] < o.window[1])) return "--window: expected two rising numbers";
  const index_t stride = encoder_config(o).strides().back();
  for (const index_t n : o.size)
    if (n % stride != 0)
      return fmt::format("--size {}: expected multiples of {}, the stride of {}", n, stride,
                         o.model);
  if (o.settings.contrast_weight == 0 && o.settings.restoration_weight == 0)
    return "--contrast-weight 0 and --restoration-weight 0 leave nothing to learn";
  if (o.settings.contrast_weight > 0 && o.batch_size * o.accum_batch * o.accum_freq < 2)
    return "a contrast needs two studies a step (hint: --batch-size 2)";
  if (o.text_width % 32 != 0) return "--text-width: expected a multiple of 32";
  if (const auto fault = means_nothing_without(app, o.text_model.empty(),
                                               {"--vocab", "--text-width", "--text-layers"},
                                               "a text tower of its own (no --text-model)");
      !fault.empty())
    return fault;
  for (const auto& [allowed, options, wanted] :
       {std::tuple<bool, std::vector<const char*>, const char*>{
            o.phantom > 0, {"--phantom-valid", "--phantom-root", "--phantom-seed"}, "--phantom"},
        {o.settings.restoration_weight > 0,
         {"--restoration", "--only-changed"},
         "a --restoration-weight above 0"},
        {o.settings.contrast_weight > 0, {"--contrast"}, "a --contrast-weight above 0"}})
    for (const char* name : options)
      if (const auto fault = means_nothing_without(app, allowed, {name}, wanted); !fault.empty())
        return fault;
  return run_options_fault(app, o);
}

inline SubVolumeInput input_of(const Options& o) {
  SubVolumeInput input;
  for (std::size_t d = 0; d < 3; ++d)
    input.preparation.spacing[d] = o.spacing[d], input.size[d] = o.size[d];
  input.preparation.window_hu = {o.window[0], o.window[1]};
  input.preparation.already_hu = o.already_hu;
  return input;
}

/// @param cache whether prepared volumes are kept in memory
/// @param report "own", "shuffled" or "none"
inline SubVolumeOptions sample_options(const Options& o, bool cache, const std::string& report) {
  SubVolumeOptions s;
  for (std::size_t d = 0; d < 3; ++d) s.size[d] = o.size[d];
  s.foreground = o.foreground;
  s.corruptions = o.corruptions;
  s.context_length = o.context_length;
  s.report = report == "own"    ? ReportUse::own
             : report == "none" ? ReportUse::none
                                : ReportUse::shuffled;
  s.seed = o.seed;
  s.cache = cache;
  return s;
}

inline TextInformedSettings objective_settings(const Options& o) {
  TextInformedSettings s = o.settings;
  s.contrast = view_contrast_named(o.contrast);
  s.restoration = restoration_loss_named(o.restoration);
  s.weight_decay = o.wd, s.ema_decay = o.model_ema_decay;
  return s;
}

}  // namespace train_t3d
