// The options of a training run on a command line, and how a program that trains is run. Needs
// CLI11.
#pragma once

#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/config_file.hpp>
#include <hlip/cli/device.hpp>
#include <hlip/io/file.hpp>
#include <hlip/train/run_options.hpp>
#include <hlip/train/stop_signal.hpp>

#include <initializer_list>
#include <string>
#include <utility>

HLIP_BEGIN

/// How samples are loaded.
inline void add_loading_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_flag("--skip-bad", o.skip_bad,
               "leave out samples that cannot be read, and say which at the end (default: stop at "
               "the first)")
      ->group(group);
  app.add_option("--workers", o.workers, "threads that load samples")
      ->check(CLI::Range(0, 256))
      ->capture_default_str()
      ->group(group);
}

/// How long a run is, and what a step of it takes.
inline void add_length_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--epochs", o.epochs, "times every sample is seen")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--steps", o.steps, "optimiser steps; decides when --epochs is given too")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))
      ->group(group);
  app.add_option("--batch-size", o.batch_size,
                 "samples per step, before --accum-batch and --accum-freq")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--accum-batch", o.accum_batch, "batches that go through the model as one")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--accum-freq", o.accum_freq,
                 "batches that share one step, one at a time in memory")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str()
      ->group(group);
}

/// The optimiser, and how the learning rate begins.
inline void add_optimizer_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--lr", o.lr, "learning rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--beta1", o.beta1, "AdamW beta 1")
      ->check(below_one())
      ->capture_default_str()
      ->group(group);
  app.add_option("--beta2", o.beta2, "AdamW beta 2")
      ->check(below_one())
      ->capture_default_str()
      ->group(group);
  app.add_option("--eps", o.eps, "AdamW epsilon")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--wd", o.wd, "weight decay")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--warmup", o.warmup, "steps of linear warm-up")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
}

/// Clipping of gradients.
inline void add_clip_option(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--grad-clip-norm", o.grad_clip_norm, "largest global gradient norm, 0: off")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
}

/// How long a run is, its learning rate and its optimiser.
inline void add_schedule_options(CLI::App& app, RunOptions& o, const char* group) {
  add_length_options(app, o, group);
  add_optimizer_options(app, o, group);
  app.add_option("--lr-scheduler", o.lr_scheduler, "learning-rate schedule")
      ->check(CLI::IsMember({"cosine", "const", "const-cooldown"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--epochs-cooldown", o.epochs_cooldown,
                 "const-cooldown: epochs of cool-down at the end")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  app.add_option("--lr-cooldown-end", o.lr_cooldown_end, "const-cooldown: last learning rate")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--lr-cooldown-power", o.lr_cooldown_power, "const-cooldown: power of the decay")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--model-ema-decay", o.model_ema_decay,
                 "decay of a moving average of the weights, which is then what is evaluated and "
                 "saved beside them, 0: none")
      ->check(below_one())
      ->capture_default_str()
      ->group(group);
  add_clip_option(app, o, group);
}

/// Everything about the run itself.
inline void add_loop_options(CLI::App& app, RunOptions& o, const char* group) {
  app.add_option("--out", o.out, "folder of the run")->required()->group(group);
  app.add_option("--resume", o.resume, "'latest' (afresh if there is none) or a checkpoint folder")
      ->configurable(false)
      ->group(group);
  app.add_option("--seed", o.seed, "of initial weights, order and all draws")
      ->capture_default_str()
      ->group(group);
  add_threads_option(app, o.threads)
      ->description("compute threads (default: all cores); results do not depend on it")
      ->group(group);
  add_device_option(app, o.device)->group(group);
  add_precision_option(app, o.precision)->group(group);
  app.add_option("--save-frequency", o.save_frequency,
                 "epochs between checkpoints, 0: none between")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--save-frequency-steps", o.save_frequency_steps,
                 "steps between checkpoints, instead")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  app.add_option("--keep-checkpoints", o.keep_checkpoints,
                 "newest checkpoints of a stage that are kept (2 GB each with a ViT-B), older ones "
                 "are removed; 0: all")
      ->capture_default_str()
      ->group(group);
  app.add_option(
         "--log-every-n-steps", o.log_every_n_steps,
         "steps between progress lines; where steps take long, a line a minute comes anyway")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--report-to", o.report_to, "also log to OUT/tensorboard")
      ->check(CLI::IsMember({"tensorboard"}))
      ->group(group);
  app.add_flag("--dry-run", o.dry_run,
               "read everything, make two steps and a checkpoint, say what the run will cost, "
               "leave nothing")
      ->configurable(false)
      ->group(group);
  app.add_flag("--print-config", o.print_config, "print all options as they stand, and stop")
      ->configurable(false)
      ->group(group);
}

/// Sets what matrix products round to. The stored configuration says what was chosen: a resumed run
/// does not measure again.
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
inline std::string means_nothing_without(const CLI::App& app, bool allowed,
                                         std::initializer_list<const char*> options,
                                         const char* wanted) {
  for (const char* name : options)
    if (!allowed && is_given(app, name))
      return fmt::format("{} means nothing without {}", name, wanted);
  return "";
}

/// What is wrong with the options of the run taken together, recipes included, or nothing. A
/// resumed run may change what other options of its file went with.
inline std::string run_options_fault(const CLI::App& app, const RunOptions& o) {
  if (!o.resume.empty()) return "";
  const auto cooldown = means_nothing_without(
      app, o.lr_scheduler == "const-cooldown",
      {"--epochs-cooldown", "--lr-cooldown-end", "--lr-cooldown-power"},
      "--lr-scheduler const-cooldown");
  if (!cooldown.empty()) return cooldown;
  if (o.steps > 0 && is_given(app, "--warmup") && o.warmup >= o.steps)
    return fmt::format("a warm-up of {} steps leaves nothing of a run of {} (hint: --warmup {})",
                       o.warmup, o.steps, o.steps / 20);
  if (o.steps == 0 && o.epochs_cooldown > o.epochs)
    return fmt::format("a cool-down of {} epochs is longer than the run of {}", o.epochs_cooldown,
                       o.epochs);
  return "";
}

/// For programs without recipes.
inline void no_recipe(CLI::App&, RunOptions&) {}

/// Parses and runs a training program: a resumed run starts from the options it was started with,
/// and the command line may change them.
/// @param fault called as fault(app, o) -> what is wrong with the options taken together, or an
/// empty string
/// @param recipe called as recipe(app, o): sets what was not given
/// @param train called as train(device, o, resolved) -> exit code; `device` is the backend that
/// --device names, `resolved` are all options as --print-config prints them
/// @return the exit code of run_program
template <class Options, class Fault, class Recipe, class Train>
int run_training_program(CLI::App& app, int argc, char** argv, Options& o, Fault fault,
                         Recipe recipe, Train train) {
  std::string stored;
  bool resuming = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    const std::string out = word == "--out"                ? next
                            : word.rfind("--out=", 0) == 0 ? word.substr(6)
                                                           : "";
    if (!out.empty()) stored = out + "/config.toml";
    resuming = resuming || word.rfind("--resume", 0) == 0;
  }
  add_config_option(app, resuming && is_file(stored) ? stored : "");
  return run_program(app, argc, argv, [&] {
    recipe(app, o);
    if (const std::string wrong = fault(app, o); !wrong.empty()) {
      fmt::print(stderr, "{}: {}\n", app.get_name(), wrong);
      return 2;
    }
    apply_precision(app, o);
    const std::string resolved = app.config_to_str(true);
    o.at_default = options_at_default(app);
    if (o.print_config) {
      fmt::print("{}", resolved);
      return 0;
    }
    use_compute_threads(o.threads);
    install_stop_signals("--resume latest goes on");
    outlive_readers();
    return on_device(o.device, [&](auto device) { return train(device, o, resolved); });
  });
}

HLIP_END
