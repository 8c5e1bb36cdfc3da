// Options that the programs which train HLIP share, and what is wrong with them taken together.
// Needs CLI11 and nlohmann_json.
#pragma once

#include <hlip/cli/run_options.hpp>
#include <hlip/models/config_json.hpp>
#include <hlip/models/hf_text_model.hpp>
#include <hlip/systems/hlip/contrastive.hpp>
#include <hlip/systems/hlip/model_option.hpp>
#include <hlip/systems/hlip/published_recipe.hpp>

#include <algorithm>
#include <cstdint>
#include <string>

HLIP_BEGIN

/// What a program that trains HLIP is told. Recipes of data and models put their own in place of
/// these defaults.
struct HlipOptions : RunOptions {
  // data
  std::int64_t phantom = 0, phantom_valid = -1;
  std::string phantom_root;
  std::uint64_t phantom_seed = 2611;
  bool shuffle_reports = false;
  std::string check_volumes = "voxels";
  double cache_gib = 4;
  // model
  std::string model, vocab, pretrained, pretrained_image, text_model, lora_text_trains = "matrices";
  bool siglip = false, dual_text = false, lora_text = false, lock_text = false,
       lock_text_freeze_layer_norm = false, grad_checkpointing = false;
  index_t lock_text_unlocked_layers = 0;
  double force_patch_dropout = -1;
  // text stage
  std::int64_t text_steps = 0, text_batch_size = 48;
  double text_lr = 4e-3, text_scale = 14.3;
  // image stage
  std::string accum_scale_gradient = "once";
  std::int64_t zeroshot_frequency = 2;
  bool memory_report = false;
};

/// --phantom and its relatives.
inline void add_phantom_options(CLI::App& app, HlipOptions& o, const char* group) {
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
}

/// How faulty studies count, and how volumes are loaded.
inline void add_study_options(CLI::App& app, HlipOptions& o, const char* group) {
  add_loading_options(app, o, group);
  app.get_option("--skip-bad")
      ->description(
          "leave out unreadable studies, listed in OUT/skipped_SPLIT.txt (default: stop with the "
          "list)");
  app.add_option("--check-volumes", o.check_volumes,
                 "how closely volumes are checked before the first step")
      ->check(CLI::IsMember({"none", "exists", "header", "voxels"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--cache-gib", o.cache_gib,
                 "keep prepared volumes in memory as float16 if all fit in this")
      ->check(CLI::Range(0.0, 4096.0))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--shuffle-reports", o.shuffle_reports,
               "the control: every study gets another study's report")
      ->group(group);
}

/// What is trained, from which weights, and what of it stays as it is.
inline void add_model_options(CLI::App& app, HlipOptions& o, const char* group) {
  add_model_option(app, o.model, "what is trained")->capture_default_str()->group(group);
  app.add_option("--vocab", o.vocab,
                 "WordPiece vocabulary (default: one learned from the training reports)")
      ->check(CLI::ExistingFile)
      ->group(group);
  app.add_option("--pretrained,--finetune", o.pretrained,
                 "weights to start from: run or checkpoint folder, .safetensors, .pt, .pth or "
                 ".bin; what fitted and what did not is printed")
      ->group(group);
  app.add_option("--pretrained-image", o.pretrained_image,
                 "weights of a 2-D vision transformer (MAE, timm) for the visual trunk, inflated "
                 "to 3-D; --pretrained is loaded over them")
      ->check(CLI::ExistingFile)
      ->group(group);
  app.add_option("--text-model", o.text_model,
                 "Hugging Face folder of a BERT: its sizes, vocabulary and weights become those of "
                 "the text tower")
      ->check(CLI::ExistingDirectory)
      ->group(group);
  app.add_flag("--siglip", o.siglip, "sigmoid loss instead of InfoNCE")->group(group);
  app.add_flag("--dual-text", o.dual_text,
               "two outputs of the encoder: the first learns single sentences of a report, the "
               "second whole reports; prompts ask the first")
      ->group(group);
  app.add_flag("--lora-text", o.lora_text,
               "give query and value of the text transformer LoRA matrices of rank 8")
      ->group(group);
  app.add_option("--lora-text-trains", o.lora_text_trains,
                 "what of the text transformer trains with --lora-text: the matrices, or what the "
                 "published loop leaves to train, which are the LayerNorms and not the matrices")
      ->check(CLI::IsMember({"matrices", "layer-norms"}))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--lock-text", o.lock_text, "freeze the text transformer, except its LayerNorms")
      ->group(group);
  app.add_option("--lock-text-unlocked-layers", o.lock_text_unlocked_layers,
                 "last text layers that still train")
      ->check(CLI::Range(0, 1000))
      ->group(group);
  app.add_flag("--lock-text-freeze-layer-norm", o.lock_text_freeze_layer_norm,
               "freeze the LayerNorms too")
      ->group(group);
  app.add_option("--force-patch-dropout", o.force_patch_dropout,
                 "share of patch tokens left out in training")
      ->check(CLI::Range(0.0, 0.99))
      ->group(group);
  app.add_flag("--grad-checkpointing", o.grad_checkpointing,
               "recompute blocks in backward: less memory, more time")
      ->group(group);
}

/// The stage before the images, on reports alone.
inline void add_text_stage_options(CLI::App& app, HlipOptions& o, const char* group) {
  app.add_option("--text-steps", o.text_steps,
                 "steps of matching the sections of one report, 0: no text stage")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--text-batch-size", o.text_batch_size, "reports per step")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str()
      ->group(group);
  app.add_option("--text-lr", o.text_lr, "learning rate (warm-up 10 %, cosine)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
  app.add_option("--text-scale", o.text_scale, "fixed scale of the logits")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(group);
}

/// What several batches in a step mean to the loss, how often what is learned is tried out, and
/// what is said of memory.
inline void add_contrast_options(CLI::App& app, HlipOptions& o, const char* schedule,
                                 const char* loop) {
  app.get_option("--accum-freq")
      ->description(
          "batches that share one loss and one step, one at a time in memory: features of all "
          "first, then gradients; twice the forward passes");
  app.add_option("--accum-scale-gradient", o.accum_scale_gradient,
                 "what the scale of the logits learns from with --accum-freq: 'once' is the "
                 "gradient of one large batch; 'published' is that times --accum-freq, as the "
                 "published loop adds it up")
      ->check(CLI::IsMember({"once", "published"}))
      ->capture_default_str()
      ->group(schedule);
  app.add_option("--zeroshot-frequency", o.zeroshot_frequency,
                 "epochs between zero-shot evaluations, 0: only at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(loop);
  app.add_flag("--memory-report", o.memory_report,
               "after the last step: memory by category, forecast and at the peak")
      ->group(loop);
}

/// What the recipes measured on phantoms have in common, for every option that was not given.
/// @param steps of the image stage
inline void apply_recipe_of_phantoms(CLI::App& app, HlipOptions& o, std::int64_t steps) {
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  if (o.text_steps > 0)
    set("--text-batch-size", o.text_batch_size, std::min<std::int64_t>(48, o.phantom));
  set("--lr", o.lr, 2e-3);
  set("--wd", o.wd, 0.05);
  set("--warmup", o.warmup, steps * 6 / 100);
  set("--grad-clip-norm", o.grad_clip_norm, 1.0);
  set("--zeroshot-frequency", o.zeroshot_frequency, std::int64_t{0});
  set("--phantom-valid", o.phantom_valid, std::clamp<std::int64_t>(o.phantom / 4, 16, 400));
  set("--phantom-root", o.phantom_root, o.out + "/phantom");
}

/// Sets what was not given to what the model was trained with, where that was published.
template <class Options> void apply_published_recipe(CLI::App& app, Options& o) {
  const auto published = published_recipe(clip_config_named(o.model).name);
  if (!published) return;
  const auto set = [&](const char* name, auto& option, auto value) {
    recipe_default(app, name, option, value);
  };
  set("--lr", o.lr, published->lr);
  if (o.phantom > 0) return;  // the rest belongs to the data
  if (o.steps == 0) set("--epochs", o.epochs, published->epochs);
  set("--batch-size", o.batch_size, published->batch_size);
  // a twentieth of the run, as published
  set("--warmup", o.warmup,
      o.steps > 0 ? std::min(published->warmup, o.steps / 20) : published->warmup);
  set("--wd", o.wd, published->wd);
  if (!o.text_model.empty() && !o.lora_text) set("--lock-text", o.lock_text, published->lock_text);
}

/// What is wrong with the options taken together, recipes included, or nothing. A resumed run may
/// change what other options of its file went with.
inline std::string hlip_options_fault(const CLI::App& app, const HlipOptions& o) {
  if (o.lora_text && o.lock_text)
    return "--lora-text freezes the text transformer in its own way: it does not go with "
           "--lock-text";
  if (!o.text_model.empty() && !o.vocab.empty())
    return "--text-model brings its own vocabulary: it does not go with --vocab";
  if (!o.resume.empty()) return "";
  for (const auto& fault :
       {means_nothing_without(app, o.phantom > 0,
                              {"--phantom-valid", "--phantom-root", "--phantom-seed"}, "--phantom"),
        means_nothing_without(app, o.lock_text,
                              {"--lock-text-unlocked-layers", "--lock-text-freeze-layer-norm"},
                              "--lock-text"),
        means_nothing_without(app, o.lora_text, {"--lora-text-trains"}, "--lora-text"),
        means_nothing_without(app, o.accum_freq > 1, {"--accum-scale-gradient"}, "--accum-freq"),
        means_nothing_without(app, o.text_steps > 0,
                              {"--text-batch-size", "--text-lr", "--text-scale"}, "--text-steps")})
    if (!fault.empty()) return fault;
  return run_options_fault(app, o);
}

/// The configuration that --model names, with the options that change it.
inline ClipConfig model_config(const HlipOptions& o) {
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

HLIP_END
