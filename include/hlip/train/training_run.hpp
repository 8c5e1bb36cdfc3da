// What a training program does between its data and its last evaluation, whatever its studies are: model, weights to start from, resuming,
// text stage, image stage, dry run. Needs CLI11, nlohmann_json, utf8proc and zlib.
#pragma once

#include <hlip/data/loader.hpp>
#include <hlip/data/problems.hpp>
#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/io/folder_lock.hpp>
#include <hlip/io/weights_file.hpp>
#include <hlip/models/load_weights.hpp>
#include <hlip/models/memory_forecast.hpp>
#include <hlip/train/batches.hpp>
#include <hlip/train/contrastive_trainer.hpp>
#include <hlip/train/encode_pairs.hpp>
#include <hlip/train/memory_report.hpp>
#include <hlip/train/process_time.hpp>
#include <hlip/train/report_tokenizer.hpp>
#include <hlip/train/run_options.hpp>
#include <hlip/train/run_report.hpp>
#include <hlip/train/trained_model.hpp>
#include <hlip/train/zero_shot.hpp>
#include <hlip/version.hpp>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// The folder of a run, made if it is not there, and locked: while one lives no other process gets in. What is to be written about the run
/// waits until it begins, so that one that cannot leaves the files of an earlier one as they are.
class RunFolder {
 public:
  /// @throws hlip::error when it cannot be made, or when another run is in it, naming host and process
  explicit RunFolder(const RunOptions& o) : path_(o.out), dry_run_(o.dry_run) {
    std::error_code code;
    std::filesystem::create_directories(path_, code);
    if (code) fail_file(path_, "", "cannot make the folder: {}", code.message());
    lock_.emplace(path_);
    if (!lock_->held()) fmt::print(stderr, "warning: {}: the file system has no locks, so nothing keeps a second run out\n", path_);
  }
  const std::string& path() const { return path_; }
  /// A file of the folder, written when the run begins; never by a dry run.
  void add(const std::string& name, std::string text) { waiting_.emplace_back(path_ + "/" + name, std::move(text)); }
  void begin() {
    if (!dry_run_)
      for (const auto& [file, text] : waiting_) atomic_write(file, text);
    waiting_.clear();
  }
  /// Removes the folder if nothing is in it.
  void leave() {
    lock_.reset();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

 private:
  std::string path_;
  bool dry_run_;
  std::optional<FolderLock> lock_;
  std::vector<std::pair<std::string, std::string>> waiting_;
};

/// Draws phantoms below a progress line. @param write called as write(progress), where progress(done, all) may throw
/// @return false when a stop signal came; the same command goes on
template <class Write>
bool draw_phantoms(Write write) {
  ProgressLine drawing;
  const StopAwaited awaited;
  try {
    write([&](index_t done, index_t all) {
      drawing.show(fmt::format("drawing synthetic studies {}/{}", done, all), done % 1000 == 0 || done == all);
      if (stop_requested()) fail("phantoms", "stopped");
    });
  } catch (const error&) {
    if (!stop_requested()) throw;
    drawing.note("stopped while drawing studies; the same command goes on");
    return false;
  }
  drawing.finish();
  return true;
}

/// Lists faulty studies in OUT/skipped_SPLIT.txt and says so; without --skip-bad they end the run before it begins.
inline void report_problems(const RunOptions& o, RunFolder& folder, const Problems& problems, const std::string& root, const std::string& split) {
  if (!o.skip_bad) expect_no_problems(problems, root, split);
  if (problems.empty()) return;
  std::string list;
  for (const auto& p : problems) list += p + "\n";
  folder.add("skipped_" + split + ".txt", list);
  fmt::print("{}: {} faulty studies or rows are left out{}\n", split, problems.count(), o.dry_run ? "" : fmt::format(", listed in {}/skipped_{}.txt", o.out, split));
}

/// The tokenizer of --vocab or --text-model, or one learned from the reports. The model gets room for its pieces.
/// @param studies each with a `report`, a list of texts
template <class Studies>
std::shared_ptr<const WordPieceTokenizer> make_tokenizer(const RunOptions& o, const Studies& studies, ClipConfig& config) {
  const auto made = [&](WordPieceTokenizer tokenizer) {
    if (o.text_model.empty()) config.text.vocab_size = tokenizer.vocab_size();
    else if (tokenizer.vocab_size() > config.text.vocab_size) fail_file(o.text_model, "vocab.txt", "has {} pieces, config.json says {}", tokenizer.vocab_size(), config.text.vocab_size);
    return std::make_shared<const WordPieceTokenizer>(std::move(tokenizer));
  };
  return made(report_tokenizer(o.text_model.empty() ? o.vocab : HfTextModel(o.text_model).vocab_path(), studies));
}

/// Weights to start from: those of the towers, and over them those of a whole model. What became of every tensor is printed.
template <class B>
void load_weights(const RunOptions& o, Clip<3, float, B>& model) {
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
    load(folder ? find_checkpoint(o.pretrained, {"model.safetensors"}) + "/model.safetensors" : o.pretrained, [&](NamedWeights& weights) { return load_clip_weights(model, weights); });
  }
}

/// What is said of every result on phantoms.
inline constexpr std::string_view synthetic_note = "The data are synthetic: geometric bodies and template sentences. The figures say nothing about patients.";

/// What an evaluation between two epochs found: a line to print, and figures to log.
struct Evaluation {
  std::string line;
  std::vector<std::pair<std::string, double>> scalars;
};

/// A zero-shot table between epochs.
inline Evaluation zero_shot_evaluation(const ZeroShotTable& table) {
  Evaluation found{"zero-shot " + table.last_line(), {}};
  for (const auto& [name, value] : table.scalars()) found.scalars.emplace_back("val/" + name, value);
  return found;
}

/// Prints the table of a run and writes OUT/zero_shot.csv and OUT/zero_shot_scores.csv. The caller prints its last line, last of all.
/// @param left_out names of findings that cannot be evaluated  @param studies what was scored, in the plural  @param prompts how it was asked
inline void report_zero_shot(const RunOptions& o, const ZeroShotScores& scores, const ZeroShotTable& table, const std::vector<std::string>& left_out, const char* studies, const std::string& prompts) {
  fmt::print("\nzero-shot findings on {} held-out {} ({}){}\n{}", table.studies(), o.phantom > 0 ? "synthetic studies" : studies, prompts,
             o.phantom > 0 ? "\n" + std::string(synthetic_note) : "", table.to_text());
  std::string names;
  for (const auto& name : left_out) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) fmt::print("not evaluated, because no or every study has them: {}\n", names);
  if (o.shuffle_reports) fmt::print("control run: the reports were shuffled among the studies, so chance level is expected\n");
  if (o.model_ema_decay > 0) fmt::print("evaluated with the averaged weights\n");
  atomic_write(o.out + "/zero_shot.csv", table.to_csv());
  atomic_write(o.out + "/zero_shot_scores.csv", scores_to_csv(scores.findings, scores.volumes, scores.scores, scores.labels));
}

/// A run with its model, from its first line to its last checkpoint. Data come from the host; B computes.
template <class B = Cpu>
class TrainingRun {
 public:
  Clip<3, float, B> model;

  /// Makes the model and loads what it starts from.
  /// @param o batch sizes are cut to the number of studies; must outlive the run, as `folder` must  @param preprocessing goes to model.json
  TrainingRun(RunOptions& o, RunFolder& folder, const ClipConfig& config, std::string preprocessing, std::shared_ptr<const WordPieceTokenizer> tokenizer, index_t studies)
      : o_(o), folder_(folder), preprocessing_(std::move(preprocessing)), tokenizer_(std::move(tokenizer)), store_folder_(o.dry_run ? o.out + "/.dry_run" : o.out), store_(store_folder_, checkpoint_stages()) {
    if (o.batch_size > studies) {
      fmt::print("batch size {} is more than the {} training studies; using {}\n", o.batch_size, studies, studies);
      o.batch_size = studies;
    }
    length_ = {o.steps > 0 ? 0 : o.epochs, studies, o.batch_size * o.accum_batch, o.accum_freq};
    if (length_.studies_per_step() > studies)
      fail("options", "a step takes --batch-size {} x --accum-batch {} x --accum-freq {} = {} studies, there are {}", o.batch_size, o.accum_batch, o.accum_freq, length_.studies_per_step(), studies);
    o.text_batch_size = std::min<std::int64_t>(o.text_batch_size, studies);
    model = Clip<3, float, B>(config, o.seed);
    load_weights(o, model);
    if (o.lora_text && o.lora_text_trains == "matrices") lock_text_beside_lora(model);
    else if (o.lora_text) lock_text_tower(model);
    total_steps_ = o.steps > 0 ? o.steps : o.epochs * length_.steps_of_epoch();
    if (o.warmup >= total_steps_ && total_steps_ > 0)
      fmt::print("warning: the warm-up of {} steps is as long as the run of {}: the learning rate never gets past {:.2e} (hint: --warmup {})\n", o.warmup, total_steps_,
                 learning_rate({.lr = o.lr, .warmup = o.warmup, .total = total_steps_}, total_steps_ - 1), total_steps_ / 20);
  }

  /// Says what will be done, and finds where to go on. Nothing is written before the model and the optimiser have it.
  /// @param data "6000 training studies (6000 volumes, cached), 400 for evaluation"  @param resolved the configuration to store
  void begin(const std::string& data, const std::string& resolved) {
    resolved_ = resolved;
    if (o_.resume == "latest") from_ = store_.latest([](const std::string& fault) { fmt::print("damaged checkpoint passed over: {}\n", fault); });
    else if (!o_.resume.empty()) {
      const std::filesystem::path path = std::filesystem::path(o_.resume).has_filename() ? std::filesystem::path(o_.resume) : std::filesystem::path(o_.resume).parent_path();
      if (const std::string fault = CheckpointStore::verify(path.string()); !fault.empty()) fail("resume", "{}", fault);
      from_ = {path.string(), path.filename().string().rfind("text_step_", 0) == 0 ? "text_step" : "step", 0};
    }
    if (!from_.path.empty()) saved_ = saved_position(from_.path);
    if (from_.prefix == "step" && o_.steps == 0) total_steps_ = last_step(length_, saved_);
    fmt::print("{}; model {}: {:.2f} M parameters, {} word pieces; {} text steps, {} steps of {}\n", data, model.config.name, static_cast<double>(count_parameters(model)) / 1e6, tokenizer_->vocab_size(),
               o_.text_steps, total_steps_, length_.studies_per_step());
    if (!from_.path.empty()) {
      fmt::print("resuming from {}\n", from_.path);
      expect_same_model();
      say_position();
    } else if (!o_.resume.empty()) {
      fmt::print("no checkpoint in {} yet: starting afresh\n", o_.out);
    } else if (!store_.list().empty()) {
      fmt::print("warning: {} holds checkpoints of an earlier run, which --resume latest would take for this one's (hint: another --out, or --resume latest now)\n", o_.out);
    }
  }

  /// The text tower learns to match two texts about one study; nothing without --text-steps, or when the image stage has begun.
  /// @param samples as for ReportPairs
  template <class Samples>
  TrainOutcome text_stage(const std::shared_ptr<const Samples>& samples) {
    if (o_.text_steps == 0 || from_.prefix == "step") return TrainOutcome::finished;
    TrainerOptions t = trainer_options();
    t.stage = "text_step";
    t.steps = o_.dry_run ? 1 : o_.text_steps;
    t.schedule = {.lr = o_.text_lr, .warmup = o_.text_steps / 10};
    t.grad_clip_norm = 1.0;
    t.fixed_scale = o_.text_scale;
    set_requires_grad(model, false, [](const std::string& name) { return name.rfind("text.", 0) != 0; });
    ContrastiveTrainer<3, float, B> trainer(model, t, store_);
    if (from_.prefix == "text_step") restore(trainer);
    begin_writing();
    LoaderOptions loading = loader_options();
    loading.sampler = {.batch_size = o_.text_batch_size, .seed = o_.seed + 1};
    DataLoader loader(ReportPairs<Samples>(samples, tokenizer_), loading, CollateTextPairs<B>{});
    const auto features = [&](const TextPairBatch<B>& batch, const Context& context) {
      return PairFeatures<float, B>{model.encode_text(batch.first, context.child(0)), model.encode_text(batch.second, context.child(1))};
    };
    const MemoryUse forecast = forecast_memory("text", {.batch_size = o_.text_batch_size, .scans = 0, .texts = 2, .text_length = model.config.context_length});
    const TrainOutcome outcome = trainer.run(loader, features, [this](const std::string& path) { write_extra(path); }, *log_, progress_, [](std::int64_t) {});
    print_memory("text", forecast);
    if (outcome == TrainOutcome::stopped) progress_.note(fmt::format("stopped at text step {}; --resume latest goes on", trainer.step()));
    else set_requires_grad(model, true, [](const std::string& name) { return name.rfind("text.", 0) != 0 && name.find("posemb") == std::string::npos; });
    return outcome;
  }

  /// Images and texts.
  /// @param samples a Dataset of samples with `volume` and `ids`  @param scans of one sample  @param stored_bytes of volumes kept in memory
  /// With --model-ema-decay the model has the averaged weights afterwards.
  /// @param evaluate called after every epoch as evaluate(epochs done) -> std::vector<Evaluation>
  template <class Samples, class Evaluate>
  TrainOutcome image_stage(const std::shared_ptr<const Samples>& samples, index_t scans, std::size_t stored_bytes, Evaluate evaluate) {
    if (o_.lock_text) lock_text_tower(model, o_.lock_text_unlocked_layers, o_.lock_text_freeze_layer_norm);
    TrainerOptions options = trainer_options();
    options.steps = o_.dry_run ? 2 : total_steps_;
    options.schedule = {.kind = lr_scheduler_named(o_.lr_scheduler), .lr = o_.lr, .warmup = o_.warmup, .cooldown = o_.epochs_cooldown * length_.steps_of_epoch(), .cooldown_power = o_.lr_cooldown_power, .cooldown_end = o_.lr_cooldown_end};
    options.grad_clip_norm = o_.grad_clip_norm;
    options.siglip = model.config.siglip;
    options.length = length_;
    options.accum_freq = o_.accum_freq;
    options.ema_decay = o_.model_ema_decay;
    ContrastiveTrainer<3, float, B> trainer(model, options, store_);
    if (from_.prefix == "step") restore(trainer);
    begin_writing();
    if (trainer.step() >= options.steps)
      progress_.note(fmt::format("nothing left to train: {} of {} steps are done (hint: {})", trainer.step(), options.steps, o_.steps > 0 ? "more --steps" : "more --epochs"));
    LoaderOptions loading = loader_options();
    loading.sampler = {.batch_size = o_.batch_size * o_.accum_batch, .seed = o_.seed};
    DataLoader loader(samples, loading, CollateImageText<B>{});
    const auto features = [&](const ImageTextBatch<B>& batch, const Context& context) { return encode_pairs(model, batch, context); };
    const auto end_of_epoch = [&](std::int64_t epoch) {
      try {
        for (const Evaluation& found : trainer.with_averaged_weights([&] { return evaluate(epoch); })) {
          progress_.note(fmt::format("epoch {}: {}", epoch, found.line));
          for (const auto& [name, value] : found.scalars) log_->add_scalar(name, value, trainer.step());
        }
      } catch (const error& e) {
        progress_.note(fmt::format("warning: no evaluation after epoch {}: {}", epoch, e.what()));
      }
    };
    const MemoryUse forecast = forecast_memory("image", {.batch_size = o_.batch_size * o_.accum_batch,
                                                         .scans = scans,
                                                         .texts = model.config.dual_text ? 2 : 1,
                                                         .text_length = model.config.context_length,
                                                         .batches = o_.accum_freq + (o_.workers > 0 ? loading.prefetch_batches : 0),
                                                         .stored_bytes = stored_bytes,
                                                         .averaged = o_.model_ema_decay > 0});
    const auto began = std::chrono::steady_clock::now();
    const TrainOutcome outcome = trainer.run(loader, features, [this](const std::string& path) { write_extra(path); }, *log_, progress_, end_of_epoch);
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    print_memory("image", forecast);
    if (outcome == TrainOutcome::stopped) {
      progress_.note(fmt::format("stopped at step {}; --resume latest goes on", trainer.step()));
      return outcome;
    }
    for (const auto& bad : loader.bad_samples()) fmt::print("skipped {}: {}\n", visible_text(bad.name), bad.message);
    if (trainer.skipped_steps() > 0) fmt::print("{} steps were skipped because loss or gradient was not finite\n", trainer.skipped_steps());
    skipped_steps_ = trainer.skipped_steps();
    last_step_ = trainer.step();
    trainer.take_averaged_weights();
    if (!o_.dry_run) fmt::print("trained {} steps; checkpoint {}/step_{}\n", trainer.step(), o_.out, trainer.step());
    return outcome;
  }

  /// Figures of the end of the run, for TensorBoard.
  void log_scalars(const std::vector<std::pair<std::string, double>>& scalars) {
    for (const auto& [name, value] : scalars) log_->add_scalar(name, value, last_step_);
  }

  /// Writes OUT/report.html. What goes wrong is a warning: the run is done whatever becomes of its page.
  /// @param title "MODEL on DATA, …"  @param left_out as for report_zero_shot  @param add called as add(summary, fact), where fact(name, value)
  ///        adds a line to the page; it may add notes and examples to `summary`, with files in OUT/report
  template <class Add>
  void write_report(const std::string& title, const std::vector<std::string>& left_out, Add add) {
    try {
      Json summary = {{"title", title}, {"notes", Json::array()}, {"environment", describe_environment(omp_get_max_threads())}};
      const auto note = [&](const std::string& text) { summary["notes"].push_back(text); };
      if (o_.phantom > 0) note(std::string(synthetic_note));
      if (o_.shuffle_reports) note("Control run: the reports were shuffled among the studies, so chance level is expected.");
      if (o_.model_ema_decay > 0) note("Evaluated with the averaged weights.");
      std::string names;
      for (const auto& name : left_out) names += (names.empty() ? "" : ", ") + name;
      if (!names.empty()) note(fmt::format("Not evaluated, because no or every study has them: {}.", names));
      if (skipped_steps_ > 0) note(fmt::format("{} steps were skipped because loss or gradient was not finite.", skipped_steps_));
      const auto fact = [&](const char* name, const std::string& value) { summary["facts"].push_back({name, value}); };
      std::filesystem::create_directories(o_.out + "/report");
      add(summary, fact);
      fact("parameters", fmt::format("{:.2f} M", static_cast<double>(count_parameters(model)) / 1e6));
      fact("vocabulary", fmt::format("{} word pieces", tokenizer_->vocab_size()));
      fact("studies a step", fmt::format("{}", length_.studies_per_step()));
      fact("preprocessing", preprocessing_);
      fact("time of the last session", format_duration(seconds_since_start()));
      fact("largest resident memory", fmt::format("{:.2f} GiB", static_cast<double>(peak_rss_bytes()) / 0x1p30));
      fact("hlip", HLIP_VERSION);
      atomic_write(o_.out + "/report/summary.json", summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
      atomic_write(o_.out + "/report.html", run_report(o_.out));
      fmt::print("report {}/report.html\n", o_.out);
    } catch (const std::exception& e) {
      fmt::print("warning: no report: {}\n", e.what());
    }
  }

  /// Removes what a dry run has written and says what the run will cost.
  void finish_dry_run() const {
    std::filesystem::remove_all(store_folder_);
    folder_.leave();
    fmt::print("dry run done: about {:.2f} s a step, {} for {} steps; nothing was kept\n", seconds_ / 2, format_duration(seconds_ / 2 * static_cast<double>(total_steps_)), total_steps_);
  }

 private:
  /// @throws hlip::error when the checkpoint to go on from is of another model, naming the options that have changed since
  void expect_same_model() const {
    const std::string file = from_.path + "/model.json";
    const Json stored = read_json(file);
    if (!stored.is_object() || !stored.contains("model")) fail_file(file, "", "needs the entry model");
    const Json there = model_shape(clip_config_from_json(stored["model"], file)), here = model_shape(model.config);
    for (const auto& [entry, value] : here.items())
      if (const Json was = there.value(entry, Json()); was != value) misfit(fmt::format("{} is {} there and {} here", entry.substr(1), was.dump(), value.dump()));
    if (here.size() != there.size()) misfit("its model.json has other entries");  // lists of other lengths
    if (read_file(from_.path + "/vocab.txt") != tokenizer_->vocabulary().to_text()) misfit(fmt::format("its vocabulary is not that of this run ({} pieces)", tokenizer_->vocab_size()));
  }
  /// What weights mean, entry by entry: all of a configuration but what only training asks.
  static Json model_shape(ClipConfig config) {
    config.vision.patch_dropout = config.vision.drop_path = config.text.dropout = 0;
    config.vision.init_std = config.text.init_std = 0;
    config.vision.grad_checkpointing = false;
    config.name = config.vision.name = "";
    return to_json(config).flatten();
  }
  [[noreturn]] void misfit(const std::string& reason) const {
    std::string changed;
    const std::string config = std::filesystem::path(from_.path).parent_path().string() + "/config.toml";
    try {
      for (const std::string& name : changed_entries(read_file(config, std::size_t{1} << 24), config, resolved_)) changed += (changed.empty() ? "" : ", ") + ("--" + name);
    } catch (const error&) {  // it is not there, or damaged: the reason alone is said
    }
    fail("resume", "{} does not fit this run: {}; {}", from_.path, reason,
         changed.empty() ? "the data, --model, --vocab and whatever changes the model or freezes parts of it must be those it was made with" : "changed since it was made: " + changed);
  }
  template <class Trainer>
  void restore(Trainer& trainer) {
    try {
      trainer.restore(from_.path);
    } catch (const error& e) {
      misfit(e.what());
    }
  }

  /// Says how much is done and how much is left, in studies seen: a step may take another number of them now.
  void say_position() const {
    if (from_.prefix == "text_step") {
      fmt::print("{} text steps are done, {} are left\n", saved_.step, std::max<std::int64_t>(0, o_.text_steps - saved_.step));
      return;
    }
    const std::int64_t then = saved_.length.studies_per_step(), now = length_.studies_per_step(), left = std::max<std::int64_t>(0, total_steps_ - saved_.step);
    fmt::print("{} steps are done, {} epochs and {} of {} studies; {} are left", saved_.step, saved_.at.epoch, saved_.at.position, length_.studies, left);
    if (saved_.length.studies > 0 && then != now) fmt::print(", of {} studies instead of {}", now, then);
    if (total_steps_ != saved_.steps) fmt::print("; the run and its learning rate now end at step {} instead of {}", total_steps_, saved_.steps);
    if (saved_.length.studies > 0 && saved_.length.studies != length_.studies) fmt::print("; there were {} studies, so this epoch has another order", saved_.length.studies);
    fmt::print("\n");
  }

  /// From here on the files of the run are this one's.
  void begin_writing() {
    if (log_) return;
    folder_.begin();
    if (!o_.dry_run) atomic_write(o_.out + "/config.toml", resolved_);
    std::filesystem::create_directories(store_folder_);
    std::int64_t kept_text = -1, kept_image = -1;  // rows of metrics.csv up to these steps stay
    if (!from_.path.empty()) {
      kept_text = from_.prefix == "text_step" ? saved_.step : INT64_MAX;
      kept_image = from_.prefix == "step" ? saved_.step : -1;
    }
    log_ = std::make_unique<MetricsLog>(store_folder_ + "/metrics.csv", [=](const std::string& stage, std::int64_t step) { return step <= (stage == "text_step" ? kept_text : kept_image); });
    if (o_.report_to == "tensorboard" && !o_.dry_run)
      log_->report_to_tensorboard(o_.out + "/tensorboard", from_.prefix == "step" ? 0 : std::max<std::int64_t>(1, kept_text + 1), std::max<std::int64_t>(1, kept_image + 1));
  }

  TrainerOptions trainer_options() const {
    TrainerOptions options;
    options.adamw = {o_.beta1, o_.beta2, o_.eps};
    options.weight_decay = o_.wd;
    options.seed = o_.seed;
    options.log_every_n_steps = o_.log_every_n_steps;
    options.save_frequency_steps = o_.save_frequency_steps > 0 ? o_.save_frequency_steps : o_.save_frequency * length_.steps_of_epoch();
    options.keep_checkpoints = o_.keep_checkpoints;
    return options;
  }
  LoaderOptions loader_options() const {
    LoaderOptions loading;
    loading.workers = o_.workers;
    loading.skip_bad = o_.skip_bad;
    return loading;
  }
  void write_extra(const std::string& path) const { write_model_files(path, model.config, preprocessing_, tokenizer_->vocabulary()); }
  /// Says what the steps to come will hold at their peak, and counts anew from here.
  MemoryUse forecast_memory(const char* stage, const StepSizes& step) {
    const MemoryUse forecast = memory_forecast(model, step);
    fmt::print("{} stage, expected peak memory {} (texts of up to {} tokens)\n", stage, memory_line(forecast), step.text_length);
    memory_statistics<B>().reset_peak();
    return forecast;
  }
  void print_memory(const char* stage, const MemoryUse& forecast) const {
    if (o_.memory_report) fmt::print("\n{} stage, {}", stage, memory_table(forecast, memory_statistics<B>().peak(), held_for_reuse(B{}), peak_rss_bytes()));
  }

  RunOptions& o_;
  RunFolder& folder_;
  std::string preprocessing_, resolved_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  RunLength length_;
  std::int64_t total_steps_ = 0;
  std::string store_folder_;
  CheckpointStore store_;
  CheckpointEntry from_;
  SavedPosition saved_;  // of from_
  std::unique_ptr<MetricsLog> log_;
  ProgressLine progress_;
  double seconds_ = 0;
  std::int64_t skipped_steps_ = 0, last_step_ = 0;
};

HLIP_END
