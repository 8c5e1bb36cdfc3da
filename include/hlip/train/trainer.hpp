// Trainer: the loop that carries out a run, whatever is learned. It owns the optimiser, the
// schedules, what is written to disk, and what happens when a step goes wrong; the objective says
// what a step is.
// Source: reference document HLIP §5; design decisions D9, D11, D22.
#pragma once

#include <hlip/core/interruption.hpp>
#include <hlip/data/sampler.hpp>
#include <hlip/distributed/agreement.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/optim/adamw.hpp>
#include <hlip/optim/schedule.hpp>
#include <hlip/train/checkpoint_store.hpp>
#include <hlip/train/metrics_log.hpp>
#include <hlip/train/objective.hpp>
#include <hlip/train/progress.hpp>
#include <hlip/train/run_length.hpp>
#include <hlip/train/running_moments.hpp>
#include <hlip/train/stop_signal.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

struct TrainerOptions {
  std::string stage = "step";  ///< checkpoints are <stage>_<N>
  std::int64_t steps = 0;      ///< optimiser steps of the whole run
  RunLength length;            ///< what `steps` was counted from, for when the run goes on
  ScheduleOptions schedule;    ///< of the learning rate; its total is set to `steps`
  /// Others: the objective reads them by name, metrics.csv has a column for each. One called
  /// "weight_decay" multiplies the weight decay of every parameter.
  std::vector<NamedSchedule> schedules;
  AdamWOptions adamw;
  double grad_clip_norm = 0;  ///< of every clip group, 0: off
  index_t accum_freq = 1;     ///< batches of the loader that share one optimiser step
  std::uint64_t seed = 0;
  std::int64_t save_frequency_steps = 0;  ///< 0: only at the end
  std::int64_t log_every_n_steps = 100;
  std::size_t keep_checkpoints = 0;  ///< 0: all
};

/// Where a checkpoint stands. @throws hlip::error when its state.json does not say it
HLIP_LAZY SavedPosition saved_position(const std::string& path) {
  const Json state = read_json(path + "/state.json");
  SavedPosition saved;
  try {
    saved.step = state.at("step").template get<std::int64_t>();
    saved.steps = state.at("steps").template get<std::int64_t>();
    saved.at = {state.at("sampler").at("epoch").template get<index_t>(),
                state.at("sampler").at("position").template get<index_t>()};
    if (state.contains("length")) {
      const Json& length = state.at("length");
      const auto number = [&](const char* name) {
        return length.at(name).template get<std::int64_t>();
      };
      saved.length = {number("epochs"), number("studies"), number("batch"), number("accum_freq")};
    }
  } catch (const Json::exception& e) {
    fail_file(path + "/state.json", "", "{}", e.what());
  }
  return saved;
}

enum class TrainOutcome { finished, stopped };

/// What came of a step, as the host reads it.
struct StepResult {
  double loss = 0, lr = 0, grad_norm = 0;
  std::vector<double> grad_norms;  ///< of each clip group, before clipping
  /// what else the objective named, then the schedules
  std::vector<std::pair<std::string, double>> others;
  /// loss and gradients are; otherwise the step changed nothing
  bool finite = true;
};

/// @tparam O see Objective
template <class O, Communicator C = SingleProcess> class Trainer {
 public:
  using T = typename O::value_type;
  using B = typename O::backend;
  /// non-finite steps in a row before the run is given up
  static constexpr int max_bad_steps = 10;

  /// @param objective must outlive the trainer; what it trains is fixed here
  Trainer(O& objective, const TrainerOptions& options, const CheckpointStore& store,
          const C& communicator = {})
      : objective_(objective),
        options_(options),
        store_(store),
        communicator_(communicator),
        optimizer_(objective.parameter_groups(), options.adamw),
        moments_(running_moments(objective.model())) {
    options_.schedule.total = options_.steps;
    expect(!optimizer_.parameters().empty(), "trainer", "no parameter requires a gradient");
    expect(options.accum_freq >= 1, "trainer", "accum_freq is {}, expected at least 1",
           options.accum_freq);
  }

  O& objective() { return objective_; }
  const AdamW<T, B>& optimizer() const { return optimizer_; }
  std::int64_t step() const { return step_; }
  std::int64_t skipped_steps() const { return skipped_; }
  SamplerPosition position() const { return position_; }

  /// Goes on from a checkpoint of this stage.
  /// @throws hlip::error if it is not one of this model, with these parameters trained; the model
  /// may then have weights of it
  void restore(const std::string& path) {
    const SafetensorsFile moments(path + "/optimizer.safetensors");
    std::size_t states = 0;
    optimizer_.each_state([&](const std::string& name, const Tensor<T, B>& state) {
      if (!moments.contains(name))
        fail_file(moments.path(), name, "is not there, but is trained now");
      if (!(moments.info(name).shape == state.shape()))
        fail_file(moments.path(), name, "is {}, expected {}", to_string(moments.info(name).shape),
                  to_string(state.shape()));
      ++states;
    });
    if (states < moments.names().size()) {
      std::vector<std::string> frozen = moments.names();
      optimizer_.each_state(
          [&](const std::string& name, const Tensor<T, B>&) { std::erase(frozen, name); });
      fail_file(moments.path(), frozen.front(),
                "was trained, and is not any more; so {} of {} moments", frozen.size(),
                moments.names().size());
    }
    each_file_of_state([&](const std::string& file, const std::vector<NamedState>& tensors) {
      if (!is_file(path + "/" + file))
        fail_file(path + "/" + file, "", "is not there: it was not kept then");
      const SafetensorsFile stored(path + "/" + file);
      if (stored.names().size() > tensors.size())
        fail_file(stored.path(), "", "has {} tensors, expected {}", stored.names().size(),
                  tensors.size());
      for (const auto& [name, tensor] : tensors) {
        if (!stored.contains(name)) fail_file(stored.path(), name, "is not there");
        if (!(stored.info(name).shape == tensor.shape()))
          fail_file(stored.path(), name, "is {}, expected {}", to_string(stored.info(name).shape),
                    to_string(tensor.shape()));
        tensor.assign(stored.template tensor<T, B>(name));
      }
    });
    optimizer_.each_state([&](const std::string& name, const Tensor<T, B>& state) {
      state.assign(moments.template tensor<T, B>(name));
    });
    const Json state = read_json(path + "/state.json");
    try {
      optimizer_.set_steps(state.at("optimizer_steps").template get<std::int64_t>());
      skipped_ = state.at("skipped_steps").template get<std::int64_t>();
      const Json counts = state.value("counts", Json::object());
      each_count([&](const char* name, std::int64_t& count) { count = counts.value(name, count); });
    } catch (const Json::exception& e) {
      fail_file(path + "/state.json", "", "{}", e.what());
    }
    const SavedPosition saved = saved_position(path);
    step_ = saved.step;
    if (saved.at.position % communicator_.size() != 0)
      fail_file(path + "/state.json", "sampler",
                "{} studies of an epoch are done, which {} processes cannot share",
                saved.at.position, communicator_.size());
    position_ = {saved.at.epoch, saved.at.position / communicator_.size()};
    saved_at_ = step_;
    saved_path_ = path;
  }

  /// Writes a checkpoint now. `write_extra(path)` adds the caller's files (configuration,
  /// vocabulary).
  template <class WriteExtra> std::string save(WriteExtra write_extra) {
    return store_.save(options_.stage, step_, [&](const std::string& path) {
      each_file_of_state([&](const std::string& file, const std::vector<NamedState>& tensors) {
        SafetensorsWriter writer;
        for (const auto& [name, tensor] : tensors) writer.add(name, tensor);
        writer.metadata("format", "pt");
        writer.write(path + "/" + file);
      });
      SafetensorsWriter moments;
      optimizer_.each_state(
          [&](const std::string& name, const Tensor<T, B>& state) { moments.add(name, state); });
      moments.write(path + "/optimizer.safetensors");
      Json state;
      state["format"] = 1;
      state["stage"] = options_.stage;
      state["step"] = step_;
      state["optimizer_steps"] = optimizer_.steps();
      state["skipped_steps"] = skipped_;
      each_count([&](const char* name, std::int64_t& count) { state["counts"][name] = count; });
      // Every draw is a function of seed, stage and step: no generator state to keep
      state["seed"] = options_.seed;
      // of all ranks
      state["sampler"] = {{"epoch", position_.epoch},
                          {"position", position_.position * communicator_.size()}};
      state["steps"] = options_.steps;
      state["length"] = {{"epochs", options_.length.epochs},
                         {"studies", options_.length.studies},
                         {"batch", options_.length.batch},
                         {"accum_freq", options_.length.accum_freq}};
      atomic_write(path + "/state.json", state.dump(2) + "\n");
      write_extra(path);
    });
  }

  /// Trains until `steps` or until a stop signal, which also ends a step half-way: what it has
  /// computed is dropped, and the resumed run makes it again, with the same draws. Of several
  /// ranks, which begin with the same weights, each takes part in every call; the first alone
  /// writes and speaks. What one of them cannot do - load a batch, write a checkpoint - ends or
  /// warns all.
  ///
  /// A step whose loss or gradient is not finite changes nothing. While steps are of that kind
  /// nothing is saved or removed either, so that a run that diverges keeps the checkpoints from
  /// before.
  /// @param loader a DataLoader of this rank; started at position()  @param write_extra adds files
  /// to checkpoints
  /// @param log of the first rank, otherwise unused  @param end_of_epoch called on the first rank
  /// as end_of_epoch(epochs done)
  /// @throws hlip::error after max_bad_steps non-finite steps in a row, naming the samples and the
  /// last checkpoint before them
  template <class Loader, class WriteExtra, class EndOfEpoch>
  TrainOutcome run(Loader& loader, WriteExtra write_extra, MetricsLog* log, ProgressLine& progress,
                   EndOfEpoch end_of_epoch) {
    // One function: the loop of training, and what has to be in order whenever it is left.
    const index_t batch_size = loader.sampler().options().batch_size;
    expect(communicator_.size() == 1 || position_.position % batch_size == 0, "trainer",
           "{} samples of the epoch are done, which is no multiple of a batch of {}",
           position_.position, batch_size);
    Pace pace{loader.statistics().seconds_waited, step_};
    loader.start(position_);
    std::vector<typename Loader::Batch> parts;  // of the next step
    std::vector<index_t> samples;               // in them
    std::int64_t epoch_began = position_.position == 0 ? step_ : -1;
    int bad_in_a_row = 0;
    // behind the last step that was finite, where weights and moments still are
    Standing good = standing();
    bool due = false;
    const auto checkpoint = [&](bool must) {
      save_or_warn(write_extra, log, progress, must, bad_in_a_row == 0);
    };
    const StopAwaited awaited;
    try {
      // Others would wait for this rank
      const Interruptible within_steps(communicator_.size() == 1 ? stop_requested : nullptr);
      while (step_ < options_.steps) {
        auto batch = next_batch(loader);
        if (!batch) {  // the epoch is over; batches too few for a step are dropped
          expect(step_ != epoch_began, "trainer",
                 "an epoch has {} batches, too few for one step with accum_freq {}", parts.size(),
                 options_.accum_freq);
          parts.clear(), samples.clear();
          agree_on_faults(communicator_, [&] {
            if (first_rank()) end_of_epoch(position_.epoch + 1);
          });
          position_ = {position_.epoch + 1, 0};
          if (bad_in_a_row == 0) good = standing();
          epoch_began = step_;
          loader.start(position_);
          continue;
        }
        parts.push_back(std::move(batch->data));
        samples.insert(samples.end(), batch->indices.begin(), batch->indices.end());
        if (static_cast<index_t>(parts.size()) < options_.accum_freq) continue;
        const StepResult result = train_step(parts);
        position_ = loader.position();
        bad_in_a_row = result.finite ? 0 : bad_in_a_row + 1;
        if (result.finite) good = standing();
        pace.samples += static_cast<std::int64_t>(samples.size()) * communicator_.size();
        if (first_rank()) tell(result, pace, loader.statistics().seconds_waited, log, progress);
        if (!result.finite) tell_bad(result, bad_in_a_row, samples, loader.dataset(), progress);
        parts.clear(), samples.clear();
        due = due || (options_.save_frequency_steps > 0 &&
                      step_ % options_.save_frequency_steps == 0 && step_ < options_.steps);
        if (due && bad_in_a_row == 0) {
          checkpoint(false);
          due = false;
        }
        if (anywhere(stop_requested())) throw interrupted();
      }
    } catch (const interrupted&) {
      optimizer_.zero_grad();
      stand_at(good);  // bad steps are made again when the run goes on, and count in the same row
      bad_in_a_row = 0;
      // A stage that has not begun begins anew
      if (saved_at_ != step_ && step_ > 0) checkpoint(true);
      return TrainOutcome::stopped;
    }
    progress.finish();
    if (saved_at_ != step_) checkpoint(true);
    return TrainOutcome::finished;
  }

  /// One step of the optimiser; `run` makes these and does the rest.
  /// @param parts the batches that share the step, as Objective::backward takes them
  template <class Batch>
  requires Objective<O, Batch> StepResult train_step(const std::vector<Batch>& parts) {
    const MemoryScope scope(MemoryCategory::activations);
    StepResult r;
    r.lr = learning_rate(options_.schedule, step_);
    StepContext at{
        step_, options_.steps, {true, {options_.seed, 1, static_cast<std::uint64_t>(step_)}}};
    at.shared = at.context;
    // masks of its own
    if (!first_rank())
      at.context = at.context.child(static_cast<std::uint32_t>(communicator_.rank()));
    at.values.emplace_back("lr", r.lr);
    double decay_factor = 1;
    for (const auto& s : options_.schedules) {
      at.values.emplace_back(s.name, s.value(step_));
      if (s.name == "weight_decay") decay_factor = at.values.back().second;
    }
    optimizer_.zero_grad();
    MomentsOfStep<T, B> moments(moments_);
    const StepScalars<T, B> scalars = objective_.backward(parts, at);
    average_gradients();
    const std::vector<double> norms = read_numbers(scalars, r);
    r.grad_norms = norms;
    if constexpr (requires { objective_.check(r, at); }) objective_.check(r, at);
    r.others.insert(r.others.end(), at.values.begin() + 1, at.values.end());
    r.finite = !anywhere(!(std::isfinite(r.loss) && std::isfinite(r.grad_norm)));
    ++step_;
    if (!r.finite) {
      ++skipped_;
      return r;
    }
    const Interruptible wholly(nullptr);
    moments.keep();
    AdamWStep step{r.lr, decay_factor, {}, at.values};
    for (const double norm : norms)
      step.grad_scales.push_back(clip_scale(norm, options_.grad_clip_norm));
    optimizer_.step(step);
    objective_.after_step(at);
    return r;
  }

 private:
  using NamedState = std::pair<std::string, Tensor<T, B>>;
  /// Where the run is; weights and moments apart.
  struct Standing {
    std::int64_t step = 0, skipped = 0;
    SamplerPosition position;
    std::vector<std::int64_t> counts;  // the objective's
  };
  /// What the progress line counts from.
  struct Pace {
    double waited_before = 0;
    std::int64_t first_step = 0, samples = 0;
    std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  };
  Standing standing() const {
    Standing now{step_, skipped_, position_, {}};
    each_count([&](const char*, std::int64_t& count) { now.counts.push_back(count); });
    return now;
  }
  void stand_at(const Standing& at) {
    step_ = at.step, skipped_ = at.skipped, position_ = at.position;
    std::size_t next = 0;
    each_count([&](const char*, std::int64_t& count) { count = at.counts[next++]; });
  }
  /// Calls fn(name, count) for all that the objective counts.
  template <class Fn> void each_count(Fn fn) const {
    if constexpr (requires { objective_.each_count(fn); }) objective_.each_count(fn);
  }
  bool first_rank() const { return communicator_.rank() == 0; }
  /// Whether it is so on any rank: all of them go the same way.
  bool anywhere(bool here) const { return on_any_rank(communicator_, here); }

  /// The next batch of this rank, or nothing at the end of the epoch, which comes for all at once.
  /// When one rank cannot load its batch, all fail.
  template <class Loader> auto next_batch(Loader& loader) {
    if (communicator_.size() == 1) return loader.next();
    decltype(loader.next()) batch;
    agree_on_faults(communicator_, [&] { batch = loader.next(); });
    if (anywhere(!batch.has_value()) && batch)
      fail("trainer", "the epoch of another process has ended before this one's");
    return batch;
  }

  /// Calls fn(file, tensors) for the weights and for every file of the objective's own state.
  template <class Fn> void each_file_of_state(Fn fn) {
    std::vector<NamedState> weights;
    for (const auto& [name, var] : named_parameters(objective_.model()))
      weights.emplace_back(name, var->value());
    std::map<std::string, std::vector<NamedState>> others;
    objective_.each_state(
        [&](const std::string& file, const std::string& name, const Tensor<T, B>& state) {
          others[file].emplace_back(name, state);
        });
    for (const auto& [file, tensors] : others) fn(file, tensors);
    fn("model.safetensors", weights);
  }

  /// Writes a checkpoint on the first rank. @param must whether failing ends the run  @param tidy
  /// whether older ones may go
  template <class WriteExtra>
  void save_or_warn(WriteExtra& write_extra, MetricsLog* log, ProgressLine& progress, bool must,
                    bool tidy) {
    try {
      agree_on_faults(communicator_, [&] {
        if (!first_rank()) return;
        // Before the checkpoint: what is resumed from has its rows
        if (log) logged(progress, [&] { log->sync(); });
        saved_path_ = save(write_extra);
      });
      saved_at_ = step_;
      agree_on_faults(communicator_, [&] {
        if (first_rank() && tidy)
          store_.keep_newest(options_.stage, options_.keep_checkpoints, step_);
      });
    } catch (const error& e) {
      if (must) throw;
      if (first_rank())
        progress.note(
            fmt::format("warning: no checkpoint at step {}: {} (training goes on; earlier "
                        "checkpoints are untouched)",
                        step_, e.what()));
    }
  }

  /// Calls write(); a full disk ends no run.
  template <class Write> void logged(ProgressLine& progress, Write write) {
    try {
      write();
    } catch (const error& e) {
      if (!log_failed_) progress.note(fmt::format("warning: {} (training goes on)", e.what()));
      log_failed_ = true;
    }
  }

  /// A row of the log, and the progress line.
  void tell(const StepResult& r, const Pace& pace, double waited, MetricsLog* log,
            ProgressLine& progress) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                                         pace.began)
                               .count(),
                 safe = std::max(seconds, 1e-9);
    const double wait = (waited - pace.waited_before) / safe,
                 rate = static_cast<double>(pace.samples) / safe;
    if (log)
      logged(progress, [&] {
        log->add(
            {options_.stage, step_, r.loss, r.lr, r.grad_norm, r.others, rate, wait, !r.finite});
      });
    const bool milestone = step_ % options_.log_every_n_steps == 0 || step_ == options_.steps;
    if (!progress.wants(milestone)) return;
    const double left = seconds / static_cast<double>(step_ - pace.first_step) *
                        static_cast<double>(options_.steps - step_);
    std::string others;
    for (const auto& [name, value] : r.others) others += fmt::format("  {} {:.3g}", name, value);
    progress.show(
        fmt::format(
            "{} {}/{}  loss {:.4f}  lr {:.2e}{}  {:.3g} samples/s  data wait {:.0f} %  ETA {}",
            options_.stage, step_, options_.steps, r.loss, r.lr, others, rate, 100 * wait,
            format_duration(left)),
        milestone);
  }

  /// Says that a step was skipped. @throws hlip::error when there were too many in a row
  template <class Data>
  void tell_bad(const StepResult& r, int in_a_row, const std::vector<index_t>& samples,
                const Data& data, ProgressLine& progress) const {
    std::string names;
    for (const index_t i : samples) names += (names.empty() ? "" : ", ") + data.name(i);
    if (in_a_row >= max_bad_steps)
      fail("trainer",
           "{} steps in a row gave a loss or gradient that is not finite, the last with loss {} on "
           "samples {}; {} (hint: lower --lr, or set --grad-clip-norm 1)",
           in_a_row, r.loss, names,
           saved_path_.empty() ? "no checkpoint was written before them"
                               : "the last checkpoint before them is " + saved_path_);
    if (first_rank())
      progress.note(fmt::format(
          "warning: step {} skipped, its loss ({}) or gradient norm ({}) is not finite; samples {}",
          step_, r.loss, r.grad_norm, names));
  }

  /// Reads all that the host wants to know of a step, at once: the only time it waits for a device.
  /// @return gradient norms by clip group
  std::vector<double> read_numbers(const StepScalars<T, B>& scalars, StepResult& r) const {
    expect(!scalars.empty() && scalars.front().first == "loss", "trainer",
           "the first scalar of a step must be its loss");
    const auto known = static_cast<index_t>(optimizer_.parameters().size());
    const auto numbers = Tensor<T, B>::empty({known + static_cast<index_t>(scalars.size())});
    sums_of_squares(optimizer_.parameters(), numbers.slice(0, 0, known));
    for (std::size_t i = 0; i < scalars.size(); ++i)
      numbers.select(0, known + static_cast<index_t>(i)).assign(scalars[i].second.reshape(Shape{}));
    std::vector<T> read = numbers.to_vector();
    if (communicator_.size() > 1) {  // what is logged is the mean over the ranks
      const auto named = std::span<T>(read).last(scalars.size());
      communicator_.all_reduce_sum(named);
      for (T& value : named) value /= static_cast<T>(communicator_.size());
    }
    const auto squares = std::span<const T>(read).first(static_cast<std::size_t>(known));
    r.grad_norm = norm_of_sums(squares);
    for (std::size_t i = 0; i < scalars.size(); ++i) {
      const auto value = static_cast<double>(read[squares.size() + i]);
      if (i == 0) r.loss = value;
      else r.others.emplace_back(scalars[i].first, value);
    }
    return clip_group_norms(optimizer_.parameters(), squares);
  }

  void average_gradients() {
    if (communicator_.size() == 1) return;
    const auto& parameters = optimizer_.parameters();
    std::vector<double> ranks(parameters.size());  // that have a gradient of it
    for (std::size_t i = 0; i < ranks.size(); ++i) ranks[i] = parameters[i].var.has_grad() ? 1 : 0;
    communicator_.all_reduce_sum(std::span<double>(ranks));
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] == 0) continue;
      Var<T, B> var = parameters[i].var;
      if (!var.has_grad()) var.set_grad(Tensor<T, B>::zeros(var.shape()));
      // Through the host: a communicator knows no backend
      std::vector<T> sums = var.grad().to_vector();
      communicator_.all_reduce_sum(std::span<T>(sums));
      var.grad().assign(Tensor<T, B>::from_values(var.shape(), std::span<const T>(sums)) *
                        (1.0 / communicator_.size()));
    }
  }

  O& objective_;
  TrainerOptions options_;
  CheckpointStore store_;
  C communicator_;
  AdamW<T, B> optimizer_;
  const std::vector<Tensor<T, B>> moments_;  // of batch norms
  std::int64_t step_ = 0, skipped_ = 0, saved_at_ = -1;
  std::string saved_path_;  // of the newest checkpoint: written, or gone on from
  bool log_failed_ = false;
  SamplerPosition position_;
};

HLIP_END
