// A run: its folder, where it goes on after a stop, its log, and the stages it is made of. What a
// stage learns is an objective's. Needs nlohmann_json.
#pragma once

#include <hlip/data/loader.hpp>
#include <hlip/io/flat_toml.hpp>
#include <hlip/train/memory_report.hpp>
#include <hlip/train/run_folder.hpp>
#include <hlip/train/run_stage.hpp>
#include <hlip/train/trainer.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How long a run is by its options. @param studies of an epoch  @param world_size processes, each
/// with batches of --batch-size
inline RunLength run_length(const RunOptions& o, index_t studies, int world_size = 1) {
  return {o.steps > 0 ? 0 : o.epochs, studies, o.batch_size * o.accum_batch * world_size,
          o.accum_freq};
}

/// The steps that a run's options come to.
inline std::int64_t planned_steps(const RunOptions& o, const RunLength& length) {
  return o.steps > 0 ? o.steps : o.epochs * length.steps_of_epoch();
}

/// The trainer of a stage that takes all of a run's options.
inline TrainerOptions trainer_options(const RunOptions& o, const RunLength& length) {
  TrainerOptions t;
  t.steps = planned_steps(o, length);
  t.length = length;
  t.schedule = {.kind = lr_scheduler_named(o.lr_scheduler),
                .lr = o.lr,
                .warmup = o.warmup,
                .cooldown = o.epochs_cooldown * length.steps_of_epoch(),
                .cooldown_power = o.lr_cooldown_power,
                .cooldown_end = o.lr_cooldown_end};
  t.adamw = {o.beta1, o.beta2, o.eps};
  t.grad_clip_norm = o.grad_clip_norm;
  t.accum_freq = o.accum_freq;
  t.seed = o.seed;
  t.log_every_n_steps = o.log_every_n_steps;
  t.save_frequency_steps = o.save_frequency_steps > 0 ? o.save_frequency_steps
                                                      : o.save_frequency * length.steps_of_epoch();
  t.keep_checkpoints = o.keep_checkpoints;
  return t;
}

/// What came of a stage.
struct StageResult {
  std::string stage;
  TrainOutcome outcome = TrainOutcome::finished;
  std::int64_t step = 0, skipped_steps = 0;
  double seconds = 0;
  std::vector<BadSample> bad_samples = {};  ///< left out, with --skip-bad
};

/// What a caller of Run::stage adds to it, here nothing. Any struct with these three will do; one
/// that derives from this hides those it needs.
struct StageHooks {
  /// after everything has been found to fit
  void before_first_step() const {}
  /// beside weights, moments and state
  void add_files(const std::string& /*checkpoint*/) const {}
  /// done so far; on the first rank
  void end_of_epoch(std::int64_t /*epochs*/, std::int64_t /*steps*/) const {}
};

/// A run of stages, one after the other. Each of several ranks makes one and calls it alike; the
/// first alone writes and speaks.
template <Communicator C = SingleProcess> class Run {
 public:
  /// @param o and @param folder must outlive the run
  Run(const RunOptions& o, RunFolder& folder, std::vector<RunStage> stages,
      const C& communicator = {})
      : o_(o),
        folder_(folder),
        stages_(std::move(stages)),
        communicator_(communicator),
        store_folder_(o.dry_run ? o.out + "/.dry_run" : o.out),
        store_(store_folder_, stage_names(stages_)) {}

  bool first_rank() const { return communicator_.rank() == 0; }
  const C& communicator() const { return communicator_; }
  /// The checkpoint that the run goes on from, or an empty path.
  const CheckpointEntry& origin() const { return origin_; }
  /// Where that stands.
  const SavedPosition& saved() const { return saved_; }
  /// Prints on the first rank.
  template <class... Args> void say(fmt::format_string<Args...> format, Args&&... args) const {
    if (first_rank()) fmt::print(format, std::forward<Args>(args)...);
  }
  /// A line of its own, above the progress line.
  void note(const std::string& line) {
    if (first_rank()) progress_.note(line);
  }

  /// Steps of a stage: what is planned or, where the run goes on in it and is counted in epochs,
  /// where those end now.
  std::int64_t steps_of(const TrainerOptions& planned) const {
    const bool counted_in_epochs = resumes(planned.stage) && planned.length.epochs > 0;
    return counted_in_epochs ? last_step(planned.length, saved_) : planned.steps;
  }

  /// Finds where to go on. Nothing is written before the first stage has its model and its
  /// optimiser.
  /// @param resolved the configuration, stored when the run begins
  /// @throws hlip::error when --resume names a checkpoint that is not sound, or processes find
  /// different ones
  void find_origin(const std::string& resolved) {
    resolved_ = resolved;
    agree_on_faults(communicator_, [&] { look_for_origin(); });
    const double here[] = {static_cast<double>(saved_.step),
                           static_cast<double>(number_of(origin_.prefix))};
    double sums[] = {here[0], here[1]};
    communicator_.all_reduce_sum(std::span<double>(sums));
    const double ranks = communicator_.size();
    if (on_any_rank(communicator_, sums[0] != ranks * here[0] || sums[1] != ranks * here[1]))
      fail("resume", "processes find different checkpoints: is {} the same folder for all of them?",
           o_.out);
  }
  /// Says what find_origin found.
  void say_origin() {
    if (!origin_.path.empty()) {
      say("resuming from {}\n", origin_.path);
    } else if (!o_.resume.empty()) {
      say("no checkpoint in {} yet: starting afresh\n", o_.out);
    } else if (!store_.list().empty()) {
      say("warning: {} holds checkpoints of an earlier run, which --resume latest would take for "
          "this one's (hint: another --out, or --resume latest now)\n",
          o_.out);
    }
  }
  /// Whether the run goes on from this stage, and whether from a later one.
  bool resumes(const std::string& stage) const { return origin_.prefix == stage; }
  bool is_past(const std::string& stage) const {
    return !origin_.path.empty() && number_of(stage) < number_of(origin_.prefix);
  }

  /// @throws hlip::error: the checkpoint to go on from does not fit this run; names the options
  /// that have changed since. An option that the stored configuration does not know, because there
  /// was none then, is named only if it does not stand at its default.
  [[noreturn]] void misfit(const std::string& reason) const {
    std::string changed;
    for (const std::string& name : changed_options())
      changed += (changed.empty() ? "" : ", ") + ("--" + name);
    fail("resume", "{} does not fit this run: {}; {}", origin_.path, reason,
         changed.empty() ? "the data and every option that changes the model or freezes parts of "
                           "it must be those it was made with"
                         : "changed since it was made: " + changed);
  }

  /// Says once that the warm-up of a stage outlasts it: the options alone do not tell how long an
  /// epoch is. A stage says it itself; a run that has others before may say it when it begins.
  void say_long_warmup(const TrainerOptions& planned) {
    ScheduleOptions s = planned.schedule;
    s.total = steps_of(planned);
    if (s.total < 1 || s.warmup < s.total || std::exchange(said_warmup_, true)) return;
    say("warning: the warm-up of {} steps is as long as the run of {}: the learning rate never "
        "gets past {:.2e} (hint: --warmup {})\n",
        s.warmup, s.total, learning_rate(s, s.total - 1), s.total / 20);
  }
  /// Whether an option has another value than the checkpoint to go on from was made with.
  bool has_changed(const std::string& option) const {
    const auto changed = changed_options();
    return std::find(changed.begin(), changed.end(), option) != changed.end();
  }

  /// Trains one stage to its end or to a stop signal; a dry run makes two steps of the last stage
  /// and one of those before it. From here on the files of the folder are this run's.
  /// @param options its `stage` is one of the run's  @param batch_size of one process  @param order
  /// seed of the order of the samples
  /// @param hooks what the caller adds, see StageHooks
  template <class O, class D, class Collate, class Hooks = StageHooks>
  StageResult stage(O& objective, TrainerOptions options, const std::shared_ptr<const D>& samples,
                    index_t batch_size, std::uint64_t order, Collate collate, Hooks hooks = {}) {
    const bool is_last = options.stage == stages_.back().name;
    say_long_warmup(options);
    options.steps = o_.dry_run ? (is_last ? 2 : 1) : steps_of(options);
    Trainer<O, C> trainer(objective, options, store_, communicator_);
    expect(options.steps > 0, "options",
           "the run has no steps: an epoch has {} samples, a step takes {}", options.length.studies,
           options.length.studies_per_step());
    agree_on_faults(communicator_, [&] {
      try {
        if (resumes(options.stage)) trainer.restore(origin_.path);
      } catch (const error& e) {
        misfit(e.what());
      }
    });
    agree_on_faults(communicator_, [&] { begin_writing(); });
    if (trainer.step() >= options.steps && is_last)
      note(fmt::format("nothing left to train: {} of {} steps are done (hint: {})", trainer.step(),
                       options.steps, o_.steps > 0 ? "more --steps" : "more --epochs"));
    LoaderOptions loading;
    loading.workers = o_.workers, loading.skip_bad = o_.skip_bad;
    // (nvcc 13 loses designators that skip members)
    loading.sampler.batch_size = batch_size, loading.sampler.seed = order;
    loading.sampler.rank = communicator_.rank(), loading.sampler.world_size = communicator_.size();
    DataLoader loader(samples, loading, std::move(collate));
    hooks.before_first_step();
    const auto began = std::chrono::steady_clock::now();
    StageResult result;
    result.outcome = trainer.run(
        loader, [&](const std::string& path) { hooks.add_files(path); }, log_.get(), progress_,
        [&](std::int64_t epoch) { hooks.end_of_epoch(epoch, trainer.step()); });
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    result.step = trainer.step(), result.skipped_steps = trainer.skipped_steps();
    result.bad_samples = loader.bad_samples();
    result.stage = options.stage;
    return result;
  }
  /// A run of one stage, the whole of it: trains as the options say, and tells what came of it.
  template <class O, class D, class Collate, class Hooks = StageHooks>
  StageResult train(O& objective, const std::shared_ptr<const D>& samples, Collate collate,
                    Hooks hooks = {}) {
    const RunLength length = run_length(o_, samples->size(), communicator_.size());
    TrainerOptions options = trainer_options(o_, length);
    options.stage = stages_.back().name;
    say_origin();
    const StageResult result = stage(objective, options, samples, o_.batch_size * o_.accum_batch,
                                     o_.seed, std::move(collate), std::move(hooks));
    tell(result);
    if (o_.dry_run) end_dry_run(result, planned_steps(o_, length));
    return result;
  }
  /// Says that a stage was stopped, or what was left out of it.
  void tell(const StageResult& result) {
    if (result.outcome == TrainOutcome::stopped)
      return note(fmt::format("stopped at {} {}; --resume latest goes on", words_of(result.stage),
                              result.step));
    for (const auto& bad : result.bad_samples)
      say("skipped {}: {}\n", visible_text(bad.name), bad.message);
  }

  /// A figure for TensorBoard alone, beside the last stage.
  void log_scalar(const std::string& name, double value, std::int64_t step) {
    if (log_) log_->add_scalar(name, value, step);
  }

  /// The end of a dry run: removes what it has written and says what the run will cost. @param
  /// steps of the whole run
  void end_dry_run(const StageResult& result, std::int64_t steps) const {
    if (!first_rank()) return;
    std::filesystem::remove_all(store_folder_);
    folder_.leave();
    const double seconds = result.seconds / 2;
    fmt::print("dry run done: about {:.2f} s a step, {} for {} steps; nothing was kept\n", seconds,
               format_duration(seconds * static_cast<double>(steps)), steps);
  }

 private:
  /// The options that have changed since the checkpoint to go on from was made; none where the
  /// configuration of then is not there, or damaged.
  std::vector<std::string> changed_options() const {
    const std::string config = std::filesystem::path(origin_.path).parent_path().string() +
                               "/config.toml";
    try {
      return changed_entries(read_file(config, std::size_t{1} << 24), config, resolved_,
                             o_.at_default);
    } catch (const error&) {
      return {};
    }
  }
  void look_for_origin() {
    if (o_.resume == "latest")
      origin_ = store_.latest(
          [&](const std::string& fault) { say("damaged checkpoint passed over: {}\n", fault); });
    else if (!o_.resume.empty()) {
      const std::filesystem::path given(o_.resume),
          path = given.has_filename() ? given : given.parent_path();
      if (const std::string fault = CheckpointStore::verify(path.string()); !fault.empty())
        fail("resume", "{}", fault);
      origin_ = {path.string(), stage_of(path.filename().string()), 0};
    }
    if (!origin_.path.empty()) saved_ = saved_position(origin_.path);
  }
  std::size_t number_of(const std::string& stage) const {
    std::size_t i = 0;
    while (i < stages_.size() && stages_[i].name != stage) ++i;
    return i;
  }
  /// The stage that a folder's name says, the last one if none.
  std::string stage_of(const std::string& checkpoint) const {
    for (const auto& s : stages_)
      if (checkpoint.starts_with(s.name + "_") &&
          checkpoint.find_first_not_of("0123456789", s.name.size() + 1) == std::string::npos)
        return s.name;
    return stages_.back().name;
  }
  static std::string words_of(std::string stage) {
    for (char& c : stage) c = c == '_' ? ' ' : c;
    return stage;
  }

  /// From here on the files of the run are this one's.
  void begin_writing() {
    if (std::exchange(begun_, true) || !first_rank()) return;
    folder_.begin();
    if (!o_.dry_run) atomic_write(o_.out + "/config.toml", resolved_);
    std::filesystem::create_directories(store_folder_);
    // Rows of stages that are over stay, those of the stage gone on with up to its step, later ones
    // go.
    const auto kept = [this](std::size_t stage) -> std::int64_t {
      if (origin_.path.empty() || stage > number_of(origin_.prefix)) return 0;
      return stage < number_of(origin_.prefix) ? INT64_MAX : saved_.step;
    };
    log_ = std::make_unique<MetricsLog>(store_folder_ + "/metrics.csv",
                                        [&](const std::string& stage, std::int64_t step) {
                                          return step <= kept(number_of(stage));
                                        });
    if (o_.report_to != "tensorboard" || o_.dry_run) return;
    std::vector<EventStage> events;
    for (std::size_t i = 0; i < stages_.size(); ++i)
      events.push_back({stages_[i].name, stages_[i].events, stages_[i].group,
                        kept(i) == INT64_MAX ? 0 : kept(i) + 1});
    log_->report_to_tensorboard(o_.out + "/tensorboard", events);
  }

  const RunOptions& o_;
  RunFolder& folder_;
  std::vector<RunStage> stages_;
  C communicator_;
  std::string store_folder_, resolved_;
  CheckpointStore store_;
  CheckpointEntry origin_;
  SavedPosition saved_;
  bool begun_ = false, said_warmup_ = false;
  std::unique_ptr<MetricsLog> log_;  // of the first rank
  ProgressLine progress_;
};

HLIP_END
