// Trains HLIP on chest CT volumes and their reports, then names findings in volumes it has never seen.
//
//   train_ct_rate --data-root DIR --out runs/x        a CT-RATE tree
//   train_ct_rate --phantom 6000 --out runs/demo      synthetic volumes, drawn first
//   train_ct_rate --resume latest --out runs/x        goes on where the run stopped
//
// Read it from top to bottom: options, data, model, text stage, image stage, evaluation.
#include <hlip/hlip.hpp>

#include <hlip/data/gzip_libdeflate.hpp>
#include <hlip/data/loader.hpp>
#include <hlip/data/phantom_writer.hpp>
#include <hlip/models/hf_text_model.hpp>
#include <hlip/text/wordpiece_learn.hpp>
#include <hlip/train/command_line.hpp>
#include <hlip/train/contrastive_trainer.hpp>
#include <hlip/train/ct_rate_samples.hpp>
#include <hlip/train/memory_report.hpp>
#include <hlip/train/precision.hpp>
#include <hlip/train/process_time.hpp>
#include <hlip/train/report_examples.hpp>
#include <hlip/train/trained_model.hpp>
#include <hlip/train/zero_shot_ct.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <filesystem>
#include <optional>

using namespace hlip;

namespace {

struct Options {
  // data
  std::string data_root, train_split = "train", valid_split = "valid", train_data, cache, out, resume, phantom_root;
  std::vector<std::string> input_info = {"-1150", "350", "crop"};
  std::int64_t phantom = 0, phantom_valid = -1;
  std::uint64_t phantom_seed = 2611;
  bool already_hu = false, skip_bad = false, shuffle_reports = false;
  std::string check_volumes = "voxels";
  double cache_gib = 4;
  index_t workers = 1;
  // model
  std::string model = "vit_base_singlescan_h2_token2744", vocab, pretrained, pretrained_image, text_model, text_sampling = "whole";
  bool siglip = false, lora_text = false, lock_text = false, lock_text_freeze_layer_norm = false, grad_checkpointing = false;
  index_t lock_text_unlocked_layers = 0;
  double force_patch_dropout = -1;
  // schedule
  std::int64_t epochs = 32, steps = 0, warmup = 10000, batch_size = 64;
  double lr = 5e-4, beta1 = 0.9, beta2 = 0.98, eps = 1e-6, wd = 0.2, grad_clip_norm = 0;
  std::string lr_scheduler = "cosine";
  std::int64_t epochs_cooldown = 0;
  double lr_cooldown_end = 0, lr_cooldown_power = 1;
  // text stage
  std::int64_t text_steps = 0, text_batch_size = 48;
  double text_lr = 4e-3, text_scale = 14.3;
  // loop
  std::uint64_t seed = 0;
  int threads = 0;
  std::string precision = "fp32";
  std::int64_t save_frequency = 1, save_frequency_steps = 0, log_every_n_steps = 100, zeroshot_frequency = 2;
  std::size_t keep_checkpoints = 0;
  std::string zeroshot_template = "volume", report_to;
  std::size_t report_examples = 3;
  bool memory_report = false, dry_run = false, print_config = false;
};

void add_options(CLI::App& app, Options& o) {
  const auto data = "Data", model = "Model", schedule = "Schedule", text = "Text stage (before the images, on reports alone)", loop = "Loop";
  app.add_option("--data-root", o.data_root, "folder of a CT-RATE tree: <split>/, radiology_text_reports/, multi_abnormality_labels/, metadata/")->group(data);
  app.add_option("--phantom", o.phantom, "draw this many synthetic training studies instead, and use the phantom recipe where options are not given")->check(CLI::Range(8, 1000000))->group(data);
  app.add_option("--phantom-valid", o.phantom_valid, "synthetic held-out studies (default: a quarter of --phantom, 16 to 400)")->check(CLI::Range(2, 1000000))->group(data);
  app.add_option("--phantom-root", o.phantom_root, "where the synthetic studies are kept (default: OUT/phantom)")->group(data);
  app.add_option("--phantom-seed", o.phantom_seed, "which synthetic studies")->capture_default_str()->group(data);
  app.add_option("--train-split", o.train_split, "split to train on")->capture_default_str()->group(data);
  app.add_option("--valid-split", o.valid_split, "split to evaluate on")->capture_default_str()->group(data);
  app.add_option("--train-data", o.train_data, "training annotation JSON (default: the table of reports)")->group(data);
  app.add_option("--input-info", o.input_info, "window in HU and how volumes are fitted: LOW HIGH crop|resize")->expected(3)->capture_default_str()->group(data);
  app.add_flag("--already-hu", o.already_hu, "volumes are in HU: do not apply the table's slope and intercept")->group(data);
  app.add_flag("--skip-bad", o.skip_bad, "leave out unreadable studies, listed in OUT/skipped_SPLIT.txt (default: stop with the list)")->group(data);
  app.add_option("--check-volumes", o.check_volumes, "how closely volumes are checked before the first step")->check(CLI::IsMember({"none", "exists", "header", "voxels"}))->capture_default_str()->group(data);
  app.add_option("--cache", o.cache, "folder preprocess_ct_rate wrote: use its volumes where they are current")->check(CLI::ExistingDirectory)->group(data);
  app.add_option("--cache-gib", o.cache_gib, "keep prepared volumes in memory as float16 if all fit in this")->check(CLI::Range(0.0, 4096.0))->capture_default_str()->group(data);
  app.add_option("--workers", o.workers, "threads that load volumes")->check(CLI::Range(0, 256))->capture_default_str()->group(data);
  app.add_flag("--shuffle-reports", o.shuffle_reports, "the control: every study gets another study's report")->group(data);

  app.add_option("--model", o.model, "configuration name or JSON file")->capture_default_str()->group(model);
  app.add_option("--vocab", o.vocab, "WordPiece vocabulary (default: one learned from the training reports)")->check(CLI::ExistingFile)->group(model);
  app.add_option("--pretrained", o.pretrained, "weights to start from: run or checkpoint folder, .safetensors, .pt, .pth or .bin; what fitted and what did not is printed")->group(model);
  app.add_option("--pretrained-image", o.pretrained_image, "weights of a 2-D vision transformer (MAE, timm) for the visual trunk, inflated to 3-D; --pretrained is loaded over them")->check(CLI::ExistingFile)->group(model);
  app.add_option("--text-model", o.text_model, "Hugging Face folder of a BERT: its sizes, vocabulary and weights become those of the text tower")->check(CLI::ExistingDirectory)->group(model);
  app.add_flag("--siglip", o.siglip, "sigmoid loss instead of InfoNCE")->group(model);
  app.add_flag("--lora-text", o.lora_text, "train the text transformer through LoRA alone: rank 8 on query and value, everything else of it frozen")->group(model);
  app.add_flag("--lock-text", o.lock_text, "freeze the text transformer, except its LayerNorms")->group(model);
  app.add_option("--lock-text-unlocked-layers", o.lock_text_unlocked_layers, "last text layers that still train")->check(CLI::Range(0, 1000))->group(model);
  app.add_flag("--lock-text-freeze-layer-norm", o.lock_text_freeze_layer_norm, "freeze the LayerNorms too")->group(model);
  app.add_option("--force-patch-dropout", o.force_patch_dropout, "share of patch tokens left out in training")->check(CLI::Range(0.0, 0.99))->group(model);
  app.add_flag("--grad-checkpointing", o.grad_checkpointing, "recompute blocks in backward: less memory, more time")->group(model);

  app.add_option("--epochs", o.epochs, "times every study is seen")->check(CLI::Range(1, 1000000))->capture_default_str()->group(schedule);
  app.add_option("--steps", o.steps, "optimiser steps; decides when --epochs is given too")->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40))->group(schedule);
  app.add_option("--batch-size", o.batch_size, "studies per step")->check(CLI::Range(1, 100000))->capture_default_str()->group(schedule);
  app.add_option("--lr", o.lr, "learning rate")->check(CLI::PositiveNumber)->capture_default_str()->group(schedule);
  app.add_option("--beta1", o.beta1, "AdamW beta 1")->check(CLI::Range(0.0, 1.0))->capture_default_str()->group(schedule);
  app.add_option("--beta2", o.beta2, "AdamW beta 2")->check(CLI::Range(0.0, 1.0))->capture_default_str()->group(schedule);
  app.add_option("--eps", o.eps, "AdamW epsilon")->check(CLI::PositiveNumber)->capture_default_str()->group(schedule);
  app.add_option("--wd", o.wd, "weight decay")->check(CLI::NonNegativeNumber)->capture_default_str()->group(schedule);
  app.add_option("--warmup", o.warmup, "steps of linear warm-up")->check(CLI::NonNegativeNumber)->capture_default_str()->group(schedule);
  app.add_option("--lr-scheduler", o.lr_scheduler, "learning-rate schedule")->check(CLI::IsMember({"cosine", "const", "const-cooldown"}))->capture_default_str()->group(schedule);
  app.add_option("--epochs-cooldown", o.epochs_cooldown, "const-cooldown: epochs of cool-down at the end")->check(CLI::NonNegativeNumber)->group(schedule);
  app.add_option("--lr-cooldown-end", o.lr_cooldown_end, "const-cooldown: last learning rate")->check(CLI::NonNegativeNumber)->capture_default_str()->group(schedule);
  app.add_option("--lr-cooldown-power", o.lr_cooldown_power, "const-cooldown: power of the decay")->check(CLI::PositiveNumber)->capture_default_str()->group(schedule);
  app.add_option("--grad-clip-norm", o.grad_clip_norm, "largest global gradient norm, 0: off")->check(CLI::NonNegativeNumber)->capture_default_str()->group(schedule);

  app.add_option("--text-steps", o.text_steps, "steps of matching the sections of one report, 0: no text stage")->check(CLI::NonNegativeNumber)->capture_default_str()->group(text);
  app.add_option("--text-batch-size", o.text_batch_size, "reports per step")->check(CLI::Range(2, 100000))->capture_default_str()->group(text);
  app.add_option("--text-lr", o.text_lr, "learning rate (warm-up 10 %, cosine)")->check(CLI::PositiveNumber)->capture_default_str()->group(text);
  app.add_option("--text-scale", o.text_scale, "fixed scale of the logits")->check(CLI::PositiveNumber)->capture_default_str()->group(text);
  app.add_option("--text-sampling", o.text_sampling, "texts of the image stage: the whole report, or drawn sentences")->check(CLI::IsMember({"whole", "sentences"}))->capture_default_str()->group(text);

  app.add_option("--out", o.out, "folder of the run")->required()->group(loop);
  app.add_option("--resume", o.resume, "'latest' (afresh if there is none) or a checkpoint folder")->configurable(false)->group(loop);
  app.add_option("--seed", o.seed, "of initial weights, order and all draws")->capture_default_str()->group(loop);
  app.add_option("--threads", o.threads, "compute threads (default: all cores); results do not depend on it")->check(CLI::Range(0, 4096))->group(loop);
  app.add_option("--precision", o.precision, "what matrix products round their operands to: fp32 (nothing), bf16 (needs AVX512-BF16), auto (bf16 if this machine has it and is faster with it)")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}))
      ->capture_default_str()
      ->group(loop);
  app.add_option("--save-frequency", o.save_frequency, "epochs between checkpoints, 0: none between")->check(CLI::NonNegativeNumber)->capture_default_str()->group(loop);
  app.add_option("--save-frequency-steps", o.save_frequency_steps, "steps between checkpoints, instead")->check(CLI::NonNegativeNumber)->group(loop);
  app.add_option("--keep-checkpoints", o.keep_checkpoints, "newest checkpoints kept, 0: all")->capture_default_str()->group(loop);
  app.add_option("--log-every-n-steps", o.log_every_n_steps, "steps between progress lines")->check(CLI::Range(1, 1000000))->capture_default_str()->group(loop);
  app.add_option("--zeroshot-frequency", o.zeroshot_frequency, "epochs between zero-shot evaluations, 0: only at the end")->check(CLI::NonNegativeNumber)->capture_default_str()->group(loop);
  app.add_option("--zeroshot-template", o.zeroshot_template, "prompt template")->check(CLI::IsMember({"volume", "organ"}))->capture_default_str()->group(loop);
  app.add_option("--report-to", o.report_to, "also log to OUT/tensorboard")->check(CLI::IsMember({"tensorboard"}))->group(loop);
  app.add_option("--report-examples", o.report_examples, "volumes in OUT/report.html that show where the model looked")->check(CLI::Range(0, 100))->capture_default_str()->group(loop);
  app.add_flag("--memory-report", o.memory_report, "after the last step: memory by category, forecast and at the peak")->group(loop);
  app.add_flag("--dry-run", o.dry_run, "read everything, make two steps and a checkpoint, say what the run will cost, leave nothing")->configurable(false)->group(loop);
  app.add_flag("--print-config", o.print_config, "print all options as they stand, and stop")->configurable(false)->group(loop);
}

/// Sets what matrix products round to. The stored configuration says what was chosen: a resumed run does not measure again.
void apply_precision(CLI::App& app, Options& o) {
  if (o.precision == "auto") {
    o.precision = bfloat16_is_faster() ? "bf16" : "fp32";
    CLI::Option* option = app.get_option("--precision");
    option->clear();
    option->add_result(o.precision);
  }
  if (o.precision == "bf16") set_matrix_precision(Cpu{}, MatrixPrecision::bfloat16);
}

/// The recipe measured on phantoms, for every option that was not given.
void apply_phantom_recipe(CLI::App& app, Options& o) {
  const auto set = [&](const char* name, auto& option, auto value) {
    if (app.count(name) > 0) return;
    option = value;
    app.get_option(name)->default_val(value);  // so that the stored configuration says it
  };
  set("--model", o.model, "phantom");
  set("--text-sampling", o.text_sampling, "sentences");
  set("--batch-size", o.batch_size, std::min<std::int64_t>(32, o.phantom / 2));
  if (app.count("--epochs") == 0) set("--steps", o.steps, std::min<std::int64_t>(2600, std::max<std::int64_t>(1, o.phantom * 14 / o.batch_size)));
  // First the text tower, on reports alone, then the images with the text tower locked. Measured on 400 held-out studies, text and
  // image steps: 562 + 1687 macro AUC 0.854, 580 + 2800 0.876, 1000 + 2600 0.889.
  const std::int64_t steps = o.steps > 0 ? o.steps : o.epochs * (o.phantom / o.batch_size);
  set("--text-steps", o.text_steps, o.text_model.empty() ? steps * 5 / 13 : 0);  // one from a folder can read
  set("--text-batch-size", o.text_batch_size, std::min<std::int64_t>(48, o.phantom));
  set("--lock-text", o.lock_text, !o.lora_text && (o.text_steps > 0 || !o.text_model.empty()));
  set("--lr", o.lr, 2e-3);
  set("--wd", o.wd, 0.05);
  set("--warmup", o.warmup, steps * 6 / 100);
  set("--grad-clip-norm", o.grad_clip_norm, 1.0);
  set("--zeroshot-frequency", o.zeroshot_frequency, std::int64_t{0});
  set("--check-volumes", o.check_volumes, "header");  // just written, with checksums
  set("--phantom-valid", o.phantom_valid, std::clamp<std::int64_t>(o.phantom / 4, 16, 400));
  set("--phantom-root", o.phantom_root, o.out + "/phantom");
}

/// What is wrong with the options taken together, or nothing. A resumed run reads defaults back as if they were given.
std::string usage_fault(const CLI::App& app, const Options& o) {
  const auto names = clip_config_names();
  if (!o.model.ends_with(".json") && std::find(names.begin(), names.end(), o.model) == names.end()) {
    const auto nearest = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) { return edit_distance(a, o.model) < edit_distance(b, o.model); });
    return fmt::format("--model {} is not known; did you mean {}? (or a JSON file)", o.model, *nearest);
  }
  try {
    parse_ct_preset(fmt::format("window_hu={},{} mode={}", o.input_info[0], o.input_info[1], o.input_info[2]));
  } catch (const error& e) {
    return fmt::format("--input-info: {}", e.what());
  }
  if (o.lora_text && o.lock_text) return "--lora-text freezes the text transformer in its own way: it does not go with --lock-text";
  if (!o.text_model.empty() && !o.vocab.empty()) return "--text-model brings its own vocabulary: it does not go with --vocab";
  if (!o.resume.empty()) return "";
  const auto only_with = [&](bool allowed, std::initializer_list<const char*> options, const char* wanted) -> std::string {
    for (const char* name : options)
      if (!allowed && app.count(name) > 0) return fmt::format("{} means nothing without {}", name, wanted);
    return "";
  };
  for (const auto& fault : {only_with(o.phantom > 0, {"--phantom-valid", "--phantom-root", "--phantom-seed"}, "--phantom"),
                            only_with(o.lock_text || o.phantom > 0, {"--lock-text-unlocked-layers", "--lock-text-freeze-layer-norm"}, "--lock-text"),
                            only_with(o.lr_scheduler == "const-cooldown", {"--epochs-cooldown", "--lr-cooldown-end", "--lr-cooldown-power"}, "--lr-scheduler const-cooldown")})
    if (!fault.empty()) return fault;
  return "";
}

CtPreset preprocessing(const Options& o, const ClipConfig& config) {
  CtPreset preset = parse_ct_preset(fmt::format("window_hu={},{} mode={}", o.input_info[0], o.input_info[1], o.input_info[2]));
  if (o.phantom > 0) preset.spacing = {9, 5, 5};
  for (int d = 0; d < 3; ++d) preset.size[static_cast<std::size_t>(d)] = config.vision.img_size[d];
  preset.already_hu = o.already_hu;
  return preset;
}

ClipConfig model_config(const Options& o) {
  ClipConfig config = clip_config_named(o.model);
  config.siglip = config.siglip || o.siglip;
  if (o.force_patch_dropout >= 0) config.vision.patch_dropout = o.force_patch_dropout;
  config.vision.grad_checkpointing = config.vision.grad_checkpointing || o.grad_checkpointing;
  if (!o.text_model.empty()) config.text = HfTextModel(o.text_model).config();
  config.context_length = std::min(config.context_length, config.text.max_positions);
  if (o.lora_text) config.text.lora_rank = 8, config.text.lora_alpha = 8;
  return config;
}

/// Weights to start from: those of the towers, and over them those of a whole model. What became of every tensor is printed.
void load_weights(const Options& o, Clip<>& model) {
  if (!o.text_model.empty()) fmt::print("{}", HfTextModel(o.text_model).load(model.text.transformer));
  const auto load = [](const std::string& path, auto load_into_model) {
    NamedWeights weights(open_weights(path));
    const LoadReport report = load_into_model(weights);
    expect_some_loaded(weights, report);
    fmt::print("{}", weights_table(weights, report));
  };
  if (!o.pretrained_image.empty()) load(o.pretrained_image, [&](NamedWeights& weights) { return load_image_weights(model.visual.trunk, weights); });
  if (!o.pretrained.empty()) {
    const bool folder = std::filesystem::is_directory(o.pretrained);
    load(folder ? load_trained_model(o.pretrained).path + "/model.safetensors" : o.pretrained, [&](NamedWeights& weights) { return load_clip_weights(model, weights); });
  }
}

/// Reads a split; with --skip-bad faulty studies are listed in a file, without it they end the run before it begins.
CtRateDataset read_split(const Options& o, const std::string& split, bool training) {
  CtRateOptions reading;
  reading.already_hu = o.already_hu;
  reading.need_reports = training;
  reading.need_labels = !training;
  if (training) reading.annotation = o.train_data;
  reading.check = o.check_volumes == "none" ? VolumeCheck::none : o.check_volumes == "exists" ? VolumeCheck::exists : o.check_volumes == "header" ? VolumeCheck::header : VolumeCheck::voxels;
  CtRateDataset data = read_ct_rate(o.data_root, split, reading);
  if (!o.skip_bad) expect_no_problems(data);
  if (!data.problems.empty()) {
    std::string list;
    for (const auto& p : data.problems) list += p + "\n";
    atomic_write(o.out + "/skipped_" + split + ".txt", list);
    fmt::print("{}: {} faulty studies or rows are left out, listed in {}/skipped_{}.txt\n", split, data.problems.size(), o.out, split);
  }
  if (data.studies.empty()) fail_file(o.data_root, split, "holds no usable study");
  return data;
}

std::shared_ptr<const WordPieceTokenizer> make_tokenizer(const Options& o, const std::vector<CtRateStudy>& studies) {
  const std::string vocab = o.text_model.empty() ? o.vocab : HfTextModel(o.text_model).vocab_path();
  if (!vocab.empty()) return std::make_shared<const WordPieceTokenizer>(WordPieceTokenizer::load(vocab));
  std::vector<std::string> texts;
  for (const auto& s : studies)
    for (const auto& part : s.report) texts.push_back(clean_report(part));
  return std::make_shared<const WordPieceTokenizer>(WordPieceTokenizer(learn_wordpiece(texts, {.max_size = 30522})));
}

void print_table(const ZeroShotTable& table, const std::vector<std::string>& left_out, const Options& o) {
  fmt::print("\nzero-shot findings on {} held-out {} (template '{}'){}\n{}", table.studies(), o.phantom > 0 ? "synthetic studies" : "volumes", o.zeroshot_template,
             o.phantom > 0 ? "\nThe data are synthetic: geometric bodies and template sentences. The figures say nothing about patients." : "", table.to_text());
  if (!left_out.empty()) fmt::print("not evaluated, because no or every volume has them: {}\n", fmt::join(left_out, ", "));
  if (o.shuffle_reports) fmt::print("control run: the reports were shuffled among the studies, so chance level is expected\n");
}

/// Says what the steps to come will hold at their peak, and counts anew from here.
MemoryUse forecast_memory(const char* stage, Clip<>& model, const StepSizes& step) {
  const MemoryUse forecast = memory_forecast(model, step);
  fmt::print("{} stage, expected peak memory {} (texts of up to {} tokens)\n", stage, memory_line(forecast), step.text_length);
  memory_statistics<Cpu>().reset_peak();
  return forecast;
}

void print_memory(const Options& o, const char* stage, const MemoryUse& forecast) {
  if (o.memory_report) fmt::print("\n{} stage, {}", stage, memory_table(forecast, memory_statistics<Cpu>().peak(), held_for_reuse(Cpu{}), peak_rss_bytes()));
}

int train(CLI::App& app, Options& o) {
  // ---- options ------------------------------------------------------------------------------
  if ((o.phantom > 0) == !o.data_root.empty()) {
    fmt::print(stderr, "train_ct_rate: give either --data-root DIR or --phantom N\n");
    return 2;
  }
  if (const std::string fault = usage_fault(app, o); !fault.empty()) {
    fmt::print(stderr, "train_ct_rate: {}\n", fault);
    return 2;
  }
  if (o.phantom > 0) apply_phantom_recipe(app, o);
  apply_precision(app, o);
  const std::string resolved = config_text(app);
  if (o.print_config) {
    fmt::print("{}", resolved);
    return 0;
  }
  if (o.threads > 0) omp_set_num_threads(o.threads);
  install_stop_signals();
  ClipConfig config = model_config(o);
  const CtPreset preset = preprocessing(o, config);

  // ---- data ---------------------------------------------------------------------------------
  std::error_code code;
  std::filesystem::create_directories(o.out, code);
  if (code) fail_file(o.out, "", "cannot make the folder: {}", code.message());
  if (o.phantom > 0) {
    ProgressLine drawing;
    const int cores = o.threads > 0 ? o.threads : omp_get_num_procs();
    PhantomDataset written;
    try {
      written = write_phantom_dataset(o.phantom_root, {}, o.phantom_seed, o.phantom, o.phantom_valid, cores, [&](index_t done, index_t all) {
        drawing.show(fmt::format("drawing synthetic studies {}/{}", done, all), done % 1000 == 0 || done == all);
        if (stop_requested()) fail("train_ct_rate", "stopped");
      });
    } catch (const error&) {
      if (!stop_requested()) throw;
      drawing.note("stopped while drawing studies; the same command goes on");
      return 0;
    }
    drawing.finish();
    o.data_root = written.dataset;
    if (o.train_data.empty()) o.train_split = "train";
  }
  const CtRateDataset train_set = read_split(o, o.train_split, true);
  const auto tokenizer = make_tokenizer(o, train_set.studies);
  if (o.text_model.empty()) config.text.vocab_size = tokenizer->vocab_size();
  else if (tokenizer->vocab_size() > config.text.vocab_size) fail_file(o.text_model, "vocab.txt", "has {} pieces, config.json says {}", tokenizer->vocab_size(), config.text.vocab_size);
  const auto has_split = [&](const std::string& split) { return std::filesystem::exists(o.data_root + "/" + split) || std::filesystem::exists(o.data_root + "/" + split + "_fixed"); };
  if (!has_split(o.valid_split) && o.valid_split != "valid") fail_file(o.data_root, o.valid_split, "there is no such split to evaluate on");
  std::shared_ptr<CtRateVolumes> valid;
  std::vector<ZeroShotClass> findings;
  std::vector<std::string> left_out;
  if (has_split(o.valid_split) && std::filesystem::exists(o.data_root + "/multi_abnormality_labels")) {
    const auto studies = read_split(o, o.valid_split, false).studies;
    valid = std::make_shared<CtRateVolumes>(studies, cached_files(o.cache, o.valid_split, preset, studies), preset);
    findings = evaluable_findings(*valid, prompt_template(o.zeroshot_template), left_out);
  }

  CtRateSamples::Options sampling{preset, o.text_sampling == "whole" ? ReportSampling::whole : ReportSampling::sentences, config.context_length, false, o.shuffle_reports, o.seed};
  std::size_t volumes = 0;
  for (const auto& s : train_set.studies) volumes += s.recons.size();
  sampling.cache = static_cast<double>(volumes) * static_cast<double>(preset.size[0] * preset.size[1] * preset.size[2]) * 2 <= o.cache_gib * 0x1p30;
  const auto cached = cached_files(o.cache, o.train_split, preset, train_set.studies);
  if (!o.cache.empty()) fmt::print("cache {}: {} of {} training volumes are there and current\n", o.cache, volumes - static_cast<std::size_t>(std::count(cached.begin(), cached.end(), "")), volumes);
  const auto samples = std::make_shared<const CtRateSamples>(train_set.studies, cached, tokenizer, sampling);
  if (o.batch_size > samples->size()) {
    fmt::print("batch size {} is more than the {} training studies; using {}\n", o.batch_size, samples->size(), samples->size());
    o.batch_size = samples->size();
  }
  o.text_batch_size = std::min<std::int64_t>(o.text_batch_size, samples->size());
  const ReportLengths lengths = report_lengths(*samples, *tokenizer);
  fmt::print("{}\n", to_string(lengths));

  // ---- model --------------------------------------------------------------------------------
  Clip<> model(config, o.seed);
  load_weights(o, model);
  if (o.lora_text) lock_text_beside_lora(model);
  const std::int64_t steps_per_epoch = samples->size() / o.batch_size, total_steps = o.steps > 0 ? o.steps : o.epochs * steps_per_epoch;
  fmt::print("{} training studies ({} volumes{}), {} for evaluation; model {}: {:.2f} M parameters, {} word pieces; {} text steps, {} steps of {}\n", samples->size(), volumes,
             sampling.cache ? ", cached" : "", valid ? valid->size() : 0, config.name, static_cast<double>(count_parameters(model)) / 1e6, tokenizer->vocab_size(), o.text_steps, total_steps, o.batch_size);

  const std::string store_folder = o.dry_run ? o.out + "/.dry_run" : o.out;
  const CheckpointStore store(store_folder, checkpoint_stages());
  CheckpointEntry from;
  if (o.resume == "latest") from = store.latest([](const std::string& fault) { fmt::print("damaged checkpoint passed over: {}\n", fault); });
  else if (!o.resume.empty()) {
    const std::filesystem::path path = std::filesystem::path(o.resume).has_filename() ? std::filesystem::path(o.resume) : std::filesystem::path(o.resume).parent_path();
    if (const std::string fault = CheckpointStore::verify(path.string()); !fault.empty()) fail("resume", "{}", fault);
    from = {path.string(), path.filename().string().rfind("text_step_", 0) == 0 ? "text_step" : "step", 0};
  }
  if (!from.path.empty()) fmt::print("resuming from {}\n", from.path);
  else if (!o.resume.empty()) fmt::print("no checkpoint in {} yet: starting afresh\n", o.out);
  else if (!store.list().empty()) fmt::print("warning: {} holds checkpoints of an earlier run, which --resume latest would take for this one's (hint: another --out, or --resume latest now)\n", o.out);
  if (!o.dry_run) atomic_write(o.out + "/config.toml", resolved);

  const auto write_extra = [&](const std::string& path) { write_model_files(path, config, preset, tokenizer->vocabulary()); };
  std::filesystem::create_directories(store_folder);
  std::int64_t kept_text = -1, kept_image = -1;  // rows of metrics.csv up to these steps stay
  if (!from.path.empty()) {
    const std::int64_t at = read_json(from.path + "/state.json").value("step", std::int64_t{0});
    kept_text = from.prefix == "text_step" ? at : INT64_MAX;
    kept_image = from.prefix == "step" ? at : -1;
  }
  MetricsLog log(store_folder + "/metrics.csv", [&](const std::string& stage, std::int64_t step) { return step <= (stage == "text_step" ? kept_text : kept_image); });
  if (o.report_to == "tensorboard" && !o.dry_run)
    log.report_to_tensorboard(o.out + "/tensorboard", from.prefix == "step" ? 0 : std::max<std::int64_t>(1, kept_text + 1), std::max<std::int64_t>(1, kept_image + 1));
  ProgressLine progress;
  LoaderOptions loading;
  loading.workers = o.workers;
  loading.skip_bad = o.skip_bad;

  TrainerOptions options;
  options.adamw = {o.beta1, o.beta2, o.eps};
  options.weight_decay = o.wd;
  options.seed = o.seed;
  options.log_every_n_steps = o.log_every_n_steps;
  options.save_frequency_steps = o.save_frequency_steps > 0 ? o.save_frequency_steps : o.save_frequency * steps_per_epoch;
  options.keep_checkpoints = o.keep_checkpoints;

  // ---- text stage: the text tower learns to match the sections of one report -----------------
  if (o.text_steps > 0 && from.prefix != "step") {
    TrainerOptions t = options;
    t.stage = "text_step";
    t.steps = o.dry_run ? 1 : o.text_steps;
    t.schedule = {.lr = o.text_lr, .warmup = o.text_steps / 10};
    t.grad_clip_norm = 1.0;
    t.fixed_scale = o.text_scale;
    set_requires_grad(model, false, [](const std::string& name) { return name.rfind("text.", 0) != 0; });
    ContrastiveTrainer<> trainer(model, t, store);
    if (from.prefix == "text_step") trainer.restore(from.path);
    loading.sampler = {.batch_size = o.text_batch_size, .seed = o.seed + 1};
    DataLoader loader(ReportSections(*samples, tokenizer), loading, CollateSections{});
    const auto features = [&](const SectionBatch& batch, const Context& context) {
      return PairFeatures<float, Cpu>{model.encode_text(batch.first, context.child(0)), model.encode_text(batch.second, context.child(1))};
    };
    const MemoryUse forecast = forecast_memory("text", model, {.batch_size = o.text_batch_size, .scans = 0, .texts = 2, .text_length = config.context_length});
    const TrainOutcome outcome = trainer.run(loader, features, write_extra, log, progress, [](std::int64_t) {});
    print_memory(o, "text", forecast);
    if (outcome == TrainOutcome::stopped) {
      progress.note(fmt::format("stopped at text step {}; --resume latest goes on", trainer.step()));
      return 0;
    }
    set_requires_grad(model, true, [](const std::string& name) { return name.rfind("text.", 0) != 0 && name.find("posemb") == std::string::npos; });
  }

  // ---- image stage --------------------------------------------------------------------------
  if (o.lock_text) lock_text_tower(model, o.lock_text_unlocked_layers, o.lock_text_freeze_layer_norm);
  options.steps = o.dry_run ? 2 : total_steps;
  options.schedule = {.kind = lr_scheduler_named(o.lr_scheduler), .lr = o.lr, .warmup = o.warmup, .cooldown = o.epochs_cooldown * steps_per_epoch, .cooldown_power = o.lr_cooldown_power, .cooldown_end = o.lr_cooldown_end};
  options.grad_clip_norm = o.grad_clip_norm;
  options.siglip = config.siglip;
  ContrastiveTrainer<> trainer(model, options, store);
  if (from.prefix == "step") trainer.restore(from.path);
  loading.sampler = {.batch_size = o.batch_size, .seed = o.seed};
  DataLoader loader(samples, loading, CollateCt{});
  const auto features = [&](const CtBatch& batch, const Context& context) {
    return PairFeatures<float, Cpu>{model.encode_image(batch.volumes, context), model.encode_text(batch.ids, context)};
  };
  const auto score = [&] { return score_zero_shot(model, *tokenizer, *valid, findings, {16, o.workers}); };
  const auto log_table = [&](const ZeroShotTable& table) {
    for (const auto& [name, value] : table.scalars()) log.add_scalar("val/" + name, value, trainer.step());
    return table;
  };
  const auto end_of_epoch = [&](std::int64_t epoch) {
    if (findings.empty() || o.zeroshot_frequency == 0 || epoch % o.zeroshot_frequency != 0) return;
    try {
      progress.note(fmt::format("epoch {}: zero-shot {}", epoch, log_table(score().table()).last_line()));
    } catch (const error& e) {
      progress.note(fmt::format("warning: no zero-shot evaluation after epoch {}: {}", epoch, e.what()));
    }
  };
  const std::size_t voxels = volumes * static_cast<std::size_t>(preset.size[0] * preset.size[1] * preset.size[2]);
  const MemoryUse forecast = forecast_memory("image", model, {.batch_size = o.batch_size,
                                                              .text_length = config.context_length,
                                                              .batches = o.workers > 0 ? 1 + loading.prefetch_batches : 1,
                                                              .stored_bytes = sampling.cache ? voxels * sizeof(float16) : 0});
  const auto began = std::chrono::steady_clock::now();
  const TrainOutcome outcome = trainer.run(loader, features, write_extra, log, progress, end_of_epoch);
  print_memory(o, "image", forecast);
  if (outcome == TrainOutcome::stopped) {
    progress.note(fmt::format("stopped at step {}; --resume latest goes on", trainer.step()));
    return 0;
  }
  for (const auto& bad : loader.bad_samples()) fmt::print("skipped {}: {}\n", bad.name, bad.message);
  if (trainer.skipped_steps() > 0) fmt::print("{} steps were skipped because loss or gradient was not finite\n", trainer.skipped_steps());
  if (o.dry_run) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() / 2;
    std::filesystem::remove_all(store_folder);
    std::filesystem::remove(o.out, code);  // only if nothing else is in it
    fmt::print("dry run done: about {:.2f} s a step, {} for {} steps; nothing was kept\n", seconds, format_duration(seconds * static_cast<double>(total_steps)), total_steps);
    return 0;
  }
  fmt::print("trained {} steps; checkpoint {}/step_{}\n", trainer.step(), o.out, trainer.step());

  // ---- evaluation ---------------------------------------------------------------------------
  std::optional<ZeroShotScores> scores;
  if (!valid) {
    fmt::print("no zero-shot evaluation: {} has no labelled split '{}'\n", o.data_root, o.valid_split);
  } else if (findings.empty()) {
    fmt::print("no zero-shot evaluation: no finding has both a positive and a negative among the {} volumes of '{}'\n", valid->size(), o.valid_split);
  } else {
    scores = score();
    print_table(log_table(scores->table()), left_out, o);
    atomic_write(o.out + "/zero_shot.csv", scores->table().to_csv());
    atomic_write(o.out + "/zero_shot_scores.csv", scores_to_csv(scores->findings, scores->volumes, scores->scores, scores->labels));
  }

  // ---- report -------------------------------------------------------------------------------
  try {
    Json summary = {{"title", fmt::format("{} on {}, {} training studies", config.name, o.phantom > 0 ? "synthetic chest CTs" : o.train_split, samples->size())}, {"notes", Json::array()}, {"environment", describe_environment(omp_get_max_threads())}};
    if (o.phantom > 0) summary["notes"].push_back("The data are synthetic: geometric bodies and template sentences. The figures say nothing about patients.");
    if (o.shuffle_reports) summary["notes"].push_back("Control run: the reports were shuffled among the studies, so chance level is expected.");
    if (lengths.cut > 0) summary["notes"].push_back(to_string(lengths));
    if (!left_out.empty()) summary["notes"].push_back(fmt::format("Not evaluated, because no or every volume has them: {}.", fmt::join(left_out, ", ")));
    if (trainer.skipped_steps() > 0) summary["notes"].push_back(fmt::format("{} steps were skipped because loss or gradient was not finite.", trainer.skipped_steps()));
    const auto fact = [&](const char* name, const std::string& value) { summary["facts"].push_back({name, value}); };
    fact("training", fmt::format("{} studies, {} volumes", samples->size(), volumes));
    fact("evaluation", fmt::format("{} volumes", valid ? valid->size() : 0));
    fact("parameters", fmt::format("{:.2f} M", static_cast<double>(count_parameters(model)) / 1e6));
    fact("vocabulary", fmt::format("{} word pieces", tokenizer->vocab_size()));
    fact("texts", to_string(lengths));
    fact("preprocessing", to_string(preset));
    fact("time of the last session", format_duration(seconds_since_start()));
    fact("largest resident memory", fmt::format("{:.2f} GiB", static_cast<double>(peak_rss_bytes()) / 0x1p30));
    fact("hlip", HLIP_VERSION);
    std::filesystem::create_directories(o.out + "/report");
    if (scores) {
      write_embeddings(o.out + "/report/embeddings.safetensors", model, *tokenizer, *valid, *scores);
      summary["examples"] = write_examples(o.out + "/report", model, zero_shot_classifier(model, *tokenizer, findings), *valid, *scores, preset, o.report_examples);
    }
    atomic_write(o.out + "/report/summary.json", summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    atomic_write(o.out + "/report.html", run_report(o.out));
    fmt::print("report {}/report.html\n", o.out);
  } catch (const std::exception& e) {  // the run is done whatever becomes of its page
    fmt::print("warning: no report: {}\n", e.what());
  }
  if (scores) fmt::print("{}\n", scores->table().last_line());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  hlip::let_waiting_threads_sleep(argv);
  CLI::App app("Train HLIP on chest CT volumes and reports (CT-RATE layout, or synthetic phantoms).", "train_ct_rate");
  Options o;
  add_options(app, o);
  // A resumed run starts from the options it was started with; the command line may change them.
  std::string stored;
  bool resuming = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    const std::string out = word == "--out" ? next : word.rfind("--out=", 0) == 0 ? word.substr(6) : "";
    if (!out.empty()) stored = out + "/config.toml";
    resuming = resuming || word.rfind("--resume", 0) == 0;
  }
  app.set_config("--config", resuming && is_file(stored) ? stored : "", "read options from a file as --print-config writes it");
  return run_program(app, argc, argv, [&] { return train(app, o); });
}
