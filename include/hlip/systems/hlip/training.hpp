// How HLIP is trained, whatever its studies are: model, weights to start from, resuming, text
// stage, image stage, dry run, report. Needs CLI11, nlohmann_json, libcsv, utf8proc and zlib.
#pragma once

#include <hlip/cli/process_time.hpp>
#include <hlip/models/memory_forecast.hpp>
#include <hlip/report/run_page.hpp>
#include <hlip/systems/hlip/contrastive.hpp>
#include <hlip/systems/hlip/encode_pairs.hpp>
#include <hlip/systems/hlip/evaluation.hpp>
#include <hlip/systems/hlip/options.hpp>
#include <hlip/systems/hlip/stages.hpp>
#include <hlip/systems/hlip/start.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/train/run.hpp>
#include <hlip/version.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// A run with its model, from its first line to its last checkpoint. Data come from the host; B
/// computes. Each of several ranks makes one and calls it alike; the first alone writes and speaks.
template <class B = Cpu, Communicator C = SingleProcess> class HlipTraining {
 public:
  Clip<3, float, B> model;

  /// Makes the model and loads what it starts from.
  /// @param o batch sizes are cut to the number of studies; must outlive this, as `folder` must
  /// @param preprocessing goes to model.json
  HlipTraining(HlipOptions& o, RunFolder& folder, const ClipConfig& config,
               std::string preprocessing, std::shared_ptr<const WordPieceTokenizer> tokenizer,
               index_t studies, const C& communicator = {})
      : o_(o),
        preprocessing_(std::move(preprocessing)),
        tokenizer_(std::move(tokenizer)),
        run_(o, folder, hlip_stages(), communicator) {
    const index_t ranks = communicator.size();
    expect(studies >= ranks, "options",
           "{} studies, expected at least one for each of {} processes", studies, ranks);
    if (o.batch_size * ranks > studies) {
      run_.say("batch size {} is more than the {} training studies; using {}\n",
               o.batch_size * ranks, studies, studies / ranks * ranks);
      o.batch_size = studies / ranks;
    }
    length_ = run_length(o, studies, communicator.size());
    if (length_.studies_per_step() > studies)
      fail("options",
           "a step takes --batch-size {} x --accum-batch {} x --accum-freq {} = {} studies, there "
           "are {}",
           o.batch_size, o.accum_batch, o.accum_freq, length_.studies_per_step(), studies);
    o.text_batch_size = std::min<std::int64_t>(o.text_batch_size, studies / ranks);
    model = Clip<3, float, B>(config, o.seed);
    agree_on_faults(communicator, [&] {
      load_weights(o, model, [this](const std::string& table) { run_.say("{}", table); });
    });
    if (o.lora_text && o.lora_text_trains == "matrices") lock_text_beside_lora(model);
    else if (o.lora_text) lock_text_tower(model);
    total_steps_ = planned_steps(o, length_);
    run_.say_long_warmup(trainer_options(o, length_));
  }

  /// Says what will be done, and finds where to go on. Nothing is written before the model and the
  /// optimiser have it.
  /// @param data "6000 training studies (6000 volumes, cached), 400 for evaluation"  @param
  /// resolved the configuration to store
  void begin(const std::string& data, const std::string& resolved) {
    run_.find_origin(resolved);
    total_steps_ = run_.steps_of(trainer_options(o_, length_));
    run_.say("{}; model {}: {:.2f} M parameters, {} word pieces; {} text steps, {} steps of {}\n",
             data, model.config.name, static_cast<double>(count_parameters(model)) / 1e6,
             tokenizer_->vocab_size(), o_.text_steps, total_steps_, length_.studies_per_step());
    run_.say_origin();
    if (run_.origin().path.empty()) return;
    agree_on_faults(run_.communicator(), [&] { expect_same_model(run_.origin().path); });
    say_position();
  }

  /// The text tower learns to match two texts about one study; nothing without --text-steps, or
  /// when the image stage has begun.
  /// @param samples as for ReportPairs
  template <class Samples> TrainOutcome text_stage(const std::shared_ptr<const Samples>& samples) {
    if (o_.text_steps == 0 || run_.is_past("text_step")) return TrainOutcome::finished;
    TrainerOptions t = trainer_options(o_, length_);
    t.stage = "text_step";
    t.steps = o_.text_steps;
    t.schedule = {.lr = o_.text_lr, .warmup = o_.text_steps / 10};
    t.length = {}, t.accum_freq = 1, t.grad_clip_norm = 1.0;
    set_requires_grad(model, false,
                      [](const std::string& name) { return name.rfind("text.", 0) != 0; });
    ContrastiveSettings settings;
    settings.weight_decay = o_.wd;
    settings.fixed_scale = o_.text_scale;
    settings.gather.gather_with_grad = true;
    const auto encode = [this](const TextPairBatch<B>& batch, const Context& context) {
      return PairFeatures<float, B>{model.encode_text(batch.first, context.child(0)),
                                    model.encode_text(batch.second, context.child(1))};
    };
    ContrastiveObjective objective(model, settings, encode, run_.communicator());
    const StepSizes sizes{.batch_size = o_.text_batch_size,
                          .scans = 0,
                          .texts = 2,
                          .text_length = model.config.context_length};
    const auto pairs = std::make_shared<const ReportPairs<Samples>>(samples, tokenizer_);
    const StageResult done = run_.stage(objective, t, pairs, o_.text_batch_size, o_.seed + 1,
                                        CollateTextPairs<B>{},
                                        hooks("text", sizes, [](std::int64_t, std::int64_t) {}));
    print_memory("text");
    run_.tell(done);
    if (done.outcome == TrainOutcome::finished)
      set_requires_grad(model, true, [](const std::string& name) {
        return name.rfind("text.", 0) != 0 && name.find("posemb") == std::string::npos;
      });
    return done.outcome;
  }

  /// Images and texts. With --model-ema-decay the model has the averaged weights afterwards.
  /// @param samples a Dataset of samples with `volume` and `ids`  @param scans of one sample
  /// @param stored_bytes of volumes kept in memory
  /// @param evaluate called after every epoch as evaluate(epochs done) -> std::vector<Evaluation>
  template <class Samples, class Evaluate>
  TrainOutcome image_stage(const std::shared_ptr<const Samples>& samples, index_t scans,
                           std::size_t stored_bytes, Evaluate evaluate) {
    if (o_.lock_text)
      lock_text_tower(model, o_.lock_text_unlocked_layers, o_.lock_text_freeze_layer_norm);
    TrainerOptions t = trainer_options(o_, length_);
    ContrastiveSettings settings;
    settings.weight_decay = o_.wd;
    settings.ema_decay = o_.model_ema_decay;
    settings.siglip = model.config.siglip;
    settings.scale_gradient = o_.accum_scale_gradient == "published" ? ScaleGradient::every_pass
                                                                     : ScaleGradient::once;
    settings.gather.gather_with_grad = true;
    const auto encode = [this](const ImageTextBatch<B>& batch, const Context& context) {
      return encode_pairs(model, batch, context);
    };
    ContrastiveObjective objective(model, settings, encode, run_.communicator());
    const index_t batch = o_.batch_size * o_.accum_batch;
    const auto end_of_epoch = [&](std::int64_t epoch, std::int64_t step) {
      try {
        for (const Evaluation& found : objective.averages().with([&] { return evaluate(epoch); })) {
          run_.note(fmt::format("epoch {}: {}", epoch, found.line));
          for (const auto& [name, value] : found.scalars) run_.log_scalar(name, value, step);
        }
      } catch (const error& e) {
        run_.note(fmt::format("warning: no evaluation after epoch {}: {}", epoch, e.what()));
      }
    };
    const StepSizes sizes{
        .batch_size = batch,
        .scans = scans,
        .texts = model.config.dual_text ? 2 : 1,
        .text_length = model.config.context_length,
        .batches = o_.accum_freq + (o_.workers > 0 ? LoaderOptions{}.prefetch_batches : 0),
        .stored_bytes = stored_bytes,
        .averaged = o_.model_ema_decay > 0};
    done_ = run_.stage(objective, t, samples, batch, o_.seed, CollateImageText<B>{},
                       hooks("image", sizes, end_of_epoch));
    print_memory("image");
    run_.tell(done_);
    if (done_.outcome == TrainOutcome::stopped) return done_.outcome;
    if (done_.skipped_steps > 0)
      run_.say("{} steps were skipped because loss or gradient was not finite\n",
               done_.skipped_steps);
    objective.averages().take();
    if (!o_.dry_run)
      run_.say("trained {} steps; checkpoint {}/step_{}\n", done_.step, o_.out, done_.step);
    return done_.outcome;
  }

  /// The zero-shot evaluation at the end of the run, on the first rank: its figures go to
  /// TensorBoard, its table to the screen and to files. The last line of the table is left to
  /// write_report: it comes last of all.
  /// @param score called as score() -> ZeroShotScores  @param left_out and the others as for
  /// report_zero_shot  @return what was scored, on the first rank
  template <class Score>
  std::optional<ZeroShotScores> evaluate_zero_shot(Score score,
                                                   const std::vector<std::string>& left_out,
                                                   const char* studies,
                                                   const std::string& prompts) {
    if (!run_.first_rank()) return {};
    ZeroShotScores scores = score();
    const ZeroShotTable table = scores.table();
    last_line_ = table.last_line() + "\n";
    for (const auto& [name, value] : zero_shot_evaluation(table).scalars)
      run_.log_scalar(name, value, done_.step);
    report_zero_shot(o_, scores, table, left_out, studies, prompts);
    return scores;
  }

  /// Writes OUT/report.html and ends with the figure of evaluate_zero_shot, on the first rank. What
  /// goes wrong is a warning: the run is done whatever becomes of its page.
  /// @param title "MODEL on DATA, …"  @param left_out as for report_zero_shot  @param add called as
  /// add(summary, fact), where fact(name, value) adds a line to the page; it may add notes and
  /// examples to `summary`, with files in OUT/report
  template <class Add>
  void write_report(const std::string& title, const std::vector<std::string>& left_out, Add add) {
    if (!run_.first_rank()) return;
    try {
      Json summary = {{"title", title},
                      {"notes", Json::array()},
                      {"environment", describe_environment(omp_get_max_threads())}};
      const auto note = [&](const std::string& text) { summary["notes"].push_back(text); };
      if (o_.phantom > 0) note(std::string(synthetic_note));
      if (o_.shuffle_reports)
        note(
            "Control run: the reports were shuffled among the studies, so chance level is "
            "expected.");
      if (o_.model_ema_decay > 0) note("Evaluated with the averaged weights.");
      std::string names;
      for (const auto& name : left_out) names += (names.empty() ? "" : ", ") + name;
      if (!names.empty())
        note(fmt::format("Not evaluated, because no or every study has them: {}.", names));
      if (done_.skipped_steps > 0)
        note(fmt::format("{} steps were skipped because loss or gradient was not finite.",
                         done_.skipped_steps));
      const auto fact = [&](const char* name, const std::string& value) {
        summary["facts"].push_back({name, value});
      };
      std::filesystem::create_directories(o_.out + "/report");
      add(summary, fact);
      fact("parameters",
           fmt::format("{:.2f} M", static_cast<double>(count_parameters(model)) / 1e6));
      fact("vocabulary", fmt::format("{} word pieces", tokenizer_->vocab_size()));
      fact("studies a step", fmt::format("{}", length_.studies_per_step()));
      fact("preprocessing", preprocessing_);
      fact("time of the last session", format_duration(seconds_since_start()));
      fact("largest resident memory",
           fmt::format("{:.2f} GiB", static_cast<double>(peak_rss_bytes()) / 0x1p30));
      fact("hlip", HLIP_VERSION);
      atomic_write(o_.out + "/report/summary.json",
                   summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
      atomic_write(o_.out + "/report.html", run_report(o_.out, stage_titles(hlip_stages())));
      fmt::print("report {}/report.html\n", o_.out);
    } catch (const std::exception& e) {
      fmt::print("warning: no report: {}\n", e.what());
    }
    fmt::print("{}", last_line_);
  }

  /// Removes what a dry run has written and says what the run will cost.
  void finish_dry_run() const { run_.end_dry_run(done_, total_steps_); }

 private:
  /// @throws hlip::error when the checkpoint to go on from is of another model, naming the options
  /// that have changed since
  void expect_same_model(const std::string& checkpoint) const {
    const std::string file = checkpoint + "/model.json";
    const Json stored = read_json(file);
    if (!stored.is_object() || !stored.contains("model"))
      fail_file(file, "", "needs the entry model");
    const Json there = model_shape(clip_config_from_json(stored["model"], file)),
               here = model_shape(model.config);
    for (const auto& [entry, value] : here.items())
      if (const Json was = there.value(entry, Json()); was != value)
        run_.misfit(
            fmt::format("{} is {} there and {} here", entry.substr(1), was.dump(), value.dump()));
    // lists of other lengths
    if (here.size() != there.size()) run_.misfit("its model.json has other entries");
    if (read_file(checkpoint + "/vocab.txt") != tokenizer_->vocabulary().to_text())
      run_.misfit(fmt::format("its vocabulary is not that of this run ({} pieces)",
                              tokenizer_->vocab_size()));
  }
  /// What weights mean, entry by entry: all of a configuration but what only training asks.
  static Json model_shape(ClipConfig config) {
    config.vision.patch_dropout = config.vision.drop_path = config.text.dropout = 0;
    config.vision.init_std = config.text.init_std = 0;
    config.vision.grad_checkpointing = false;
    config.name = config.vision.name = "";
    return to_json(config).flatten();
  }

  /// Says how much is done and how much is left, in studies seen: a step may take another number of
  /// them now.
  void say_position() const {
    const SavedPosition& saved = run_.saved();
    if (run_.resumes("text_step")) {
      run_.say("{} text steps are done, {} are left\n", saved.step,
               std::max<std::int64_t>(0, o_.text_steps - saved.step));
      return;
    }
    const std::int64_t then = saved.length.studies_per_step(), now = length_.studies_per_step(),
                       left = std::max<std::int64_t>(0, total_steps_ - saved.step);
    std::string line = fmt::format("{} steps are done, {} epochs and {} of {} studies; {} are left",
                                   saved.step, saved.at.epoch, saved.at.position, length_.studies,
                                   left);
    if (saved.length.studies > 0 && then != now)
      line += fmt::format(", of {} studies instead of {}", now, then);
    if (total_steps_ != saved.steps)
      line += fmt::format("; the run and its learning rate now end at step {} instead of {}",
                          total_steps_, saved.steps);
    if (saved.length.studies > 0 && saved.length.studies != length_.studies)
      line += fmt::format("; there were {} studies, so this epoch has another order",
                          saved.length.studies);
    run_.say("{}\n", line);
  }

  /// As Run::stage takes them.
  template <class End> struct Hooks {
    HlipTraining& training;
    const char* stage;
    StepSizes sizes;
    End end_of_epoch;
    void before_first_step() const { training.forecast_memory(stage, sizes); }
    void add_files(const std::string& checkpoint) const {
      write_model_files(checkpoint, training.model.config, training.preprocessing_,
                        training.tokenizer_->vocabulary());
    }
  };
  template <class End>
  Hooks<End> hooks(const char* stage, const StepSizes& sizes, End end_of_epoch) {
    return {*this, stage, sizes, end_of_epoch};
  }
  /// Says what the steps to come will hold at their peak, and counts anew from here.
  void forecast_memory(const char* stage, const StepSizes& step) {
    forecast_ = memory_forecast(model, step);
    run_.say("{} stage, expected peak memory {} (texts of up to {} tokens)\n", stage,
             memory_line(forecast_), step.text_length);
    memory_statistics<B>().reset_peak();
  }
  void print_memory(const char* stage) const {
    if (o_.memory_report)
      run_.say("\n{} stage, {}", stage,
               memory_table(forecast_, memory_statistics<B>().peak(), held_for_reuse(B{}),
                            peak_rss_bytes()));
  }

  HlipOptions& o_;
  std::string preprocessing_;
  std::shared_ptr<const WordPieceTokenizer> tokenizer_;
  RunLength length_;
  std::int64_t total_steps_ = 0;
  Run<C> run_;
  StageResult done_;       // of the image stage
  std::string last_line_;  // of the zero-shot table at the end, or nothing
  MemoryUse forecast_;     // of the latest stage
};

HLIP_END
