// Options that all training programs have, and what is wrong with them taken together. Needs CLI11 and nlohmann_json.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/models/config_json.hpp>
#include <hlip/models/hf_text_model.hpp>
#include <hlip/train/config_file.hpp>
#include <hlip/train/device.hpp>
#include <hlip/train/model_option.hpp>
#include <hlip/train/published_recipe.hpp>
#include <hlip/train/stop_signal.hpp>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What every training program is told, with the defaults of the published code. Recipes of data and models put their own in their place.
struct RunOptions {
  // data
  std::int64_t phantom = 0, phantom_valid = -1;
  std::string phantom_root;
  std::uint64_t phantom_seed = 2611;
  bool skip_bad = false, shuffle_reports = false;
  std::string check_volumes = "voxels";
  double cache_gib = 4;
  index_t workers = 1;
  // model
  std::string model, vocab, pretrained, pretrained_image, text_model, lora_text_trains = "matrices";
  bool siglip = false, dual_text = false, lora_text = false, lock_text = false, lock_text_freeze_layer_norm = false, grad_checkpointing = false;
  index_t lock_text_unlocked_layers = 0;
  double force_patch_dropout = -1;
  // schedule
  std::int64_t epochs = 32, steps = 0, warmup = 10000, batch_size = 64;
  double lr = 5e-4, beta1 = 0.9, beta2 = 0.98, eps = 1e-6, wd = 0.2, grad_clip_norm = 0;
  std::string lr_scheduler = "cosine";
  std::int64_t epochs_cooldown = 0;
  double lr_cooldown_end = 0, lr_cooldown_power = 1;
  index_t accum_freq = 1, accum_batch = 1;
  double model_ema_decay = 0;
  // text stage
  std::int64_t text_steps = 0, text_batch_size = 48;
  double text_lr = 4e-3, text_scale = 14.3;
  // loop
  std::string out, resume;
  std::uint64_t seed = 0;
  int threads = 0;
  std::string device = "cpu", precision = "fp32", report_to;
  std::int64_t save_frequency = 1, save_frequency_steps = 0, log_every_n_steps = 100, zeroshot_frequency = 2;
  std::size_t keep_checkpoints = 3;
  bool memory_report = false, dry_run = false, print_config = false;
};

/// --phantom and its relatives.
inline void add_phantom_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--phantom", o.phantom, "draw this many synthetic training studies instead, and use the phantom recipe where options are not given")->check(CLI::Range(8, 1000000))->group(group);
  app.add_option("--phantom-valid", o.phantom_valid, "synthetic held-out studies (default: a quarter of --phantom, 16 to 400)")->check(CLI::Range(2, 1000000))->group(group);
  app.add_option("--phantom-root", o.phantom_root, "where the synthetic studies are kept (default: OUT/phantom)")->group(group);
  app.add_option("--phantom-seed", o.phantom_seed, "which synthetic studies")->capture_default_str()->group(group);
}

/// How faulty studies count, and how volumes are loaded.
inline void add_loading_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_flag("--skip-bad", o.skip_bad, "leave out unreadable studies, listed in OUT/skipped_SPLIT.txt (default: stop with the list)")->group(group);
  app.add_option("--check-volumes", o.check_volumes, "how closely volumes are checked before the first step")->check(CLI::IsMember({"none", "exists", "header", "voxels"}))->capture_default_str()->group(group);
  app.add_option("--cache-gib", o.cache_gib, "keep prepared volumes in memory as float16 if all fit in this")->check(CLI::Range(0.0, 4096.0))->capture_default_str()->group(group);
  app.add_option("--workers", o.workers, "threads that load volumes")->check(CLI::Range(0, 256))->capture_default_str()->group(group);
  app.add_flag("--shuffle-reports", o.shuffle_reports, "the control: every study gets another study's report")->group(group);
}

inline void add_model_options(CLI::App& app, RunOptions& o, const char* group) {
  add_model_option(app, o.model, "what is trained")->capture_default_str()->group(group);
  app.add_option("--vocab", o.vocab, "WordPiece vocabulary (default: one learned from the training reports)")->check(CLI::ExistingFile)->group(group);
  app.add_option("--pretrained,--finetune", o.pretrained, "weights to start from: run or checkpoint folder, .safetensors, .pt, .pth or .bin; what fitted and what did not is printed")->group(group);
  app.add_option("--pretrained-image", o.pretrained_image, "weights of a 2-D vision transformer (MAE, timm) for the visual trunk, inflated to 3-D; --pretrained is loaded over them")->check(CLI::ExistingFile)->group(group);
  app.add_option("--text-model", o.text_model, "Hugging Face folder of a BERT: its sizes, vocabulary and weights become those of the text tower")->check(CLI::ExistingDirectory)->group(group);
  app.add_flag("--siglip", o.siglip, "sigmoid loss instead of InfoNCE")->group(group);
  app.add_flag("--dual-text", o.dual_text, "two outputs of the encoder: the first learns single sentences of a report, the second whole reports; prompts ask the first")->group(group);
  app.add_flag("--lora-text", o.lora_text, "give query and value of the text transformer LoRA matrices of rank 8")->group(group);
  app.add_option("--lora-text-trains", o.lora_text_trains, "what of the text transformer trains with --lora-text: the matrices, or what the published loop leaves to train, which are the LayerNorms and not the matrices")
      ->check(CLI::IsMember({"matrices", "layer-norms"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--lock-text", o.lock_text, "freeze the text transformer, except its LayerNorms")->group(group);
  app.add_option("--lock-text-unlocked-layers", o.lock_text_unlocked_layers, "last text layers that still train")->check(CLI::Range(0, 1000))->group(group);
  app.add_flag("--lock-text-freeze-layer-norm", o.lock_text_freeze_layer_norm, "freeze the LayerNorms too")->group(group);
  app.add_option("--force-patch-dropout", o.force_patch_dropout, "share of patch tokens left out in training")->check(CLI::Range(0.0, 0.99))->group(group);
  app.add_flag("--grad-checkpointing", o.grad_checkpointing, "recompute blocks in backward: less memory, more time")->group(group);
}

inline void add_schedule_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--epochs", o.epochs, "times every study is seen")->check(CLI::Range(1, 1000000))->capture_default_str()->group(group);
  app.add_option("--steps", o.steps, "optimiser steps; decides when --epochs is given too")->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))->group(group);
  app.add_option("--batch-size", o.batch_size, "studies per step, before --accum-batch and --accum-freq")->check(CLI::Range(1, 100000))->capture_default_str()->group(group);
  app.add_option("--accum-batch", o.accum_batch, "batches that go through the model as one")->check(CLI::Range(1, 100000))->capture_default_str()->group(group);
  app.add_option("--accum-freq", o.accum_freq, "batches that share one loss and one step, one at a time in memory: features of all first, then gradients; twice the forward passes")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--lr", o.lr, "learning rate")->check(CLI::PositiveNumber)->capture_default_str()->group(group);
  app.add_option("--beta1", o.beta1, "AdamW beta 1")->check(below_one())->capture_default_str()->group(group);
  app.add_option("--beta2", o.beta2, "AdamW beta 2")->check(below_one())->capture_default_str()->group(group);
  app.add_option("--eps", o.eps, "AdamW epsilon")->check(CLI::PositiveNumber)->capture_default_str()->group(group);
  app.add_option("--wd", o.wd, "weight decay")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
  app.add_option("--warmup", o.warmup, "steps of linear warm-up")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
  app.add_option("--lr-scheduler", o.lr_scheduler, "learning-rate schedule")->check(CLI::IsMember({"cosine", "const", "const-cooldown"}))->capture_default_str()->group(group);
  app.add_option("--epochs-cooldown", o.epochs_cooldown, "const-cooldown: epochs of cool-down at the end")->check(CLI::NonNegativeNumber)->group(group);
  app.add_option("--lr-cooldown-end", o.lr_cooldown_end, "const-cooldown: last learning rate")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
  app.add_option("--lr-cooldown-power", o.lr_cooldown_power, "const-cooldown: power of the decay")->check(CLI::PositiveNumber)->capture_default_str()->group(group);
  app.add_option("--model-ema-decay", o.model_ema_decay, "decay of a moving average of the weights, which is then what is evaluated and saved beside them, 0: none")->check(below_one())->capture_default_str()->group(group);
  app.add_option("--grad-clip-norm", o.grad_clip_norm, "largest global gradient norm, 0: off")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
}

/// The stage before the images, on reports alone.
inline void add_text_stage_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--text-steps", o.text_steps, "steps of matching the sections of one report, 0: no text stage")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
  app.add_option("--text-batch-size", o.text_batch_size, "reports per step")->check(CLI::Range(2, 100000))->capture_default_str()->group(group);
  app.add_option("--text-lr", o.text_lr, "learning rate (warm-up 10 %, cosine)")->check(CLI::PositiveNumber)->capture_default_str()->group(group);
  app.add_option("--text-scale", o.text_scale, "fixed scale of the logits")->check(CLI::PositiveNumber)->capture_default_str()->group(group);
}

/// Everything about the run itself.
inline void add_loop_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--out", o.out, "folder of the run")->required()->group(group);
  app.add_option("--resume", o.resume, "'latest' (afresh if there is none) or a checkpoint folder")->configurable(false)->group(group);
  app.add_option("--seed", o.seed, "of initial weights, order and all draws")->capture_default_str()->group(group);
  app.add_option("--threads", o.threads, "compute threads (default: all cores); results do not depend on it")->check(CLI::Range(0, 4096))->group(group);
  add_device_option(app, o.device)->group(group);
  add_precision_option(app, o.precision)->group(group);
  app.add_option("--save-frequency", o.save_frequency, "epochs between checkpoints, 0: none between")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
  app.add_option("--save-frequency-steps", o.save_frequency_steps, "steps between checkpoints, instead")->check(CLI::NonNegativeNumber)->group(group);
  app.add_option("--keep-checkpoints", o.keep_checkpoints, "newest checkpoints of a stage that are kept (2 GB each with a ViT-B), older ones are removed; 0: all")->capture_default_str()->group(group);
  app.add_option("--log-every-n-steps", o.log_every_n_steps, "steps between progress lines; where steps take long, a line a minute comes anyway")->check(CLI::Range(1, 1000000))->capture_default_str()->group(group);
  app.add_option("--zeroshot-frequency", o.zeroshot_frequency, "epochs between zero-shot evaluations, 0: only at the end")->check(CLI::NonNegativeNumber)->capture_default_str()->group(group);
  app.add_option("--report-to", o.report_to, "also log to OUT/tensorboard")->check(CLI::IsMember({"tensorboard"}))->group(group);
  app.add_flag("--memory-report", o.memory_report, "after the last step: memory by category, forecast and at the peak")->group(group);
  app.add_flag("--dry-run", o.dry_run, "read everything, make two steps and a checkpoint, say what the run will cost, leave nothing")->configurable(false)->group(group);
  app.add_flag("--print-config", o.print_config, "print all options as they stand, and stop")->configurable(false)->group(group);
}

/// Sets what matrix products round to. The stored configuration says what was chosen: a resumed run does not measure again.
inline void apply_precision(CLI::App& app, RunOptions& o) {
  const std::string asked = std::exchange(o.precision, apply_precision(o.device, o.precision));
  if (o.precision == asked) return;
  CLI::Option* option = app.get_option("--precision");
  option->clear();
  option->add_result(o.precision);
}

/// Sets an option of a recipe unless it was given, so that the stored configuration says it.
template <class T, class Value>
void recipe_default(CLI::App& app, const char* name, T& option, Value value) {
  if (app.count(name) > 0) return;
  option = value;
  app.get_option(name)->default_val(value);
}

/// What is wrong with options that mean nothing without another one, or nothing.
inline std::string means_nothing_without(const CLI::App& app, bool allowed, std::initializer_list<const char*> options, const char* wanted) {
  for (const char* name : options)
    if (!allowed && is_given(app, name)) return fmt::format("{} means nothing without {}", name, wanted);
  return "";
}

/// Sets what was not given to what the model was trained with, where that was published.
template <class Options>
void apply_published_recipe(CLI::App& app, Options& o) {
  const auto published = published_recipe(clip_config_named(o.model).name);
  if (!published) return;
  const auto set = [&](const char* name, auto& option, auto value) { recipe_default(app, name, option, value); };
  set("--lr", o.lr, published->lr);
  if (o.phantom > 0) return;  // the rest belongs to the data
  if (o.steps == 0) set("--epochs", o.epochs, published->epochs);
  set("--batch-size", o.batch_size, published->batch_size);
  set("--warmup", o.warmup, o.steps > 0 ? std::min(published->warmup, o.steps / 20) : published->warmup);  // a twentieth of the run, as published
  set("--wd", o.wd, published->wd);
  if (!o.text_model.empty() && !o.lora_text) set("--lock-text", o.lock_text, published->lock_text);
}

/// What is wrong with the options taken together, recipes included, or nothing. A resumed run may change what other options of its
/// file went with.
inline std::string run_options_fault(const CLI::App& app, const RunOptions& o) {
  if (o.lora_text && o.lock_text) return "--lora-text freezes the text transformer in its own way: it does not go with --lock-text";
  if (!o.text_model.empty() && !o.vocab.empty()) return "--text-model brings its own vocabulary: it does not go with --vocab";
  if (!o.resume.empty()) return "";
  for (const auto& fault : {means_nothing_without(app, o.phantom > 0, {"--phantom-valid", "--phantom-root", "--phantom-seed"}, "--phantom"),
                            means_nothing_without(app, o.lock_text, {"--lock-text-unlocked-layers", "--lock-text-freeze-layer-norm"}, "--lock-text"),
                            means_nothing_without(app, o.lora_text, {"--lora-text-trains"}, "--lora-text"),
                            means_nothing_without(app, o.text_steps > 0, {"--text-batch-size", "--text-lr", "--text-scale"}, "--text-steps"),
                            means_nothing_without(app, o.lr_scheduler == "const-cooldown", {"--epochs-cooldown", "--lr-cooldown-end", "--lr-cooldown-power"}, "--lr-scheduler const-cooldown")})
    if (!fault.empty()) return fault;
  if (o.steps > 0 && is_given(app, "--warmup") && o.warmup >= o.steps) return fmt::format("a warm-up of {} steps leaves nothing of a run of {} (hint: --warmup {})", o.warmup, o.steps, o.steps / 20);
  if (o.steps == 0 && o.epochs_cooldown > o.epochs) return fmt::format("a cool-down of {} epochs is longer than the run of {}", o.epochs_cooldown, o.epochs);
  return "";
}

/// The configuration that --model names, with the options that change it.
inline ClipConfig model_config(const RunOptions& o) {
  ClipConfig config = clip_config_named(o.model);
  config.siglip = config.siglip || o.siglip;
  if (o.dual_text) with_dual_text(config);
  if (o.force_patch_dropout >= 0) config.vision.patch_dropout = o.force_patch_dropout;
  config.vision.grad_checkpointing = config.vision.grad_checkpointing || o.grad_checkpointing;
  if (!o.text_model.empty()) config.text = HfTextModel(o.text_model).config();
  config.context_length = std::min(config.context_length, config.text.max_positions);
  if (o.lora_text) config.text.lora_rank = 8, config.text.lora_alpha = 8;
  return config;
}

/// Parses and runs a training program: a resumed run starts from the options it was started with, and the command line may change them.
/// @param fault called as fault(app, o) -> what is wrong with the options taken together, or an empty string
/// @param recipe called as recipe(app, o) with --phantom: sets what was not given; that of a published model follows
/// @param train called as train(device, o, resolved) -> exit code; `device` is the backend that --device names, `resolved` are all options as --print-config prints them
/// @return the exit code of run_program
template <class Options, class Fault, class Recipe, class Train>
int run_training_program(CLI::App& app, int argc, char** argv, Options& o, Fault fault, Recipe recipe, Train train) {
  std::string stored;
  bool resuming = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    const std::string out = word == "--out" ? next : word.rfind("--out=", 0) == 0 ? word.substr(6) : "";
    if (!out.empty()) stored = out + "/config.toml";
    resuming = resuming || word.rfind("--resume", 0) == 0;
  }
  add_config_option(app, resuming && is_file(stored) ? stored : "");
  return run_program(app, argc, argv, [&] {
    if (o.phantom > 0) recipe(app, o);
    apply_published_recipe(app, o);
    if (const std::string wrong = fault(app, o); !wrong.empty()) {
      fmt::print(stderr, "{}: {}\n", app.get_name(), wrong);
      return 2;
    }
    apply_precision(app, o);
    const std::string resolved = config_text(app);
    if (o.print_config) {
      fmt::print("{}", resolved);
      return 0;
    }
    if (o.threads > 0) omp_set_num_threads(o.threads);
    install_stop_signals("--resume latest goes on");
    outlive_readers();
    return on_device(o.device, [&](auto device) { return train(device, o, resolved); });
  });
}

HLIP_END
