// ContrastiveTrainer: the loop that turns batches of pairs into a model. It owns the optimiser, the schedule, what is
// written to disk, and what happens when a step goes wrong; what a batch is and how it becomes features is the caller's.
// Source: reference document HLIP §5; design decisions D9, D11.
#pragma once

#include <hlip/core/interruption.hpp>
#include <hlip/data/sampler.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/losses/contrastive.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/optim/adamw.hpp>
#include <hlip/optim/ema.hpp>
#include <hlip/optim/schedule.hpp>
#include <hlip/train/accumulation.hpp>
#include <hlip/train/checkpoint_store.hpp>
#include <hlip/train/metrics_log.hpp>
#include <hlip/train/progress.hpp>
#include <hlip/train/run_length.hpp>
#include <hlip/train/stop_signal.hpp>

#include <chrono>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

struct TrainerOptions {
  std::string stage = "step";         ///< checkpoints are <stage>_<N>
  std::int64_t steps = 0;             ///< optimiser steps of the whole run
  RunLength length;                   ///< what `steps` was counted from: for checkpoints alone
  ScheduleOptions schedule;           ///< its total is set to `steps`
  AdamWOptions adamw;
  double weight_decay = 0.2;
  double grad_clip_norm = 0;          ///< 0: off
  index_t accum_freq = 1;             ///< batches of the loader whose features share one loss and one optimiser step
  double ema_decay = 0;               ///< of a moving average of the weights, 0: none
  bool siglip = false;
  double fixed_scale = 0;             ///< scale of the logits when it is not learned; 0: the model's own
  ContrastiveOptions gather;          ///< how several processes share their features
  std::uint64_t seed = 0;
  std::int64_t save_frequency_steps = 0;  ///< 0: only at the end
  std::int64_t log_every_n_steps = 100;
  std::size_t keep_checkpoints = 0;   ///< 0: all
};

/// Where a checkpoint stands. @throws hlip::error when its state.json does not say it
HLIP_LAZY SavedPosition saved_position(const std::string& path) {
  const Json state = read_json(path + "/state.json");
  SavedPosition saved;
  try {
    saved.step = state.at("step").template get<std::int64_t>();
    saved.steps = state.at("steps").template get<std::int64_t>();
    saved.at = {state.at("sampler").at("epoch").template get<index_t>(), state.at("sampler").at("position").template get<index_t>()};
    if (state.contains("length")) {
      const Json& length = state.at("length");
      const auto number = [&](const char* name) { return length.at(name).template get<std::int64_t>(); };
      saved.length = {number("epochs"), number("studies"), number("batch"), number("accum_freq")};
    }
  } catch (const Json::exception& e) {
    fail_file(path + "/state.json", "", "{}", e.what());
  }
  return saved;
}

enum class TrainOutcome { finished, stopped };

template <int Levels = 3, class T = float, class B = Cpu, Communicator C = SingleProcess>
class ContrastiveTrainer {
 public:
  static constexpr int max_bad_steps = 10;  ///< non-finite steps in a row before the run is given up

  ContrastiveTrainer(Clip<Levels, T, B>& model, const TrainerOptions& options, const CheckpointStore& store, const C& communicator = {})
      : model_(model), options_(options), store_(store), communicator_(communicator), optimizer_(optimized_parameters(named_parameters(model), options.weight_decay), options.adamw) {
    options_.schedule.total = options_.steps;
    expect(!optimizer_.parameters().empty(), "trainer", "no parameter requires a gradient");
    expect(options.accum_freq >= 1, "trainer", "accum_freq is {}, expected at least 1", options.accum_freq);
    if (options.ema_decay > 0) averages_.emplace(trained(), options.ema_decay);
  }

  std::int64_t step() const { return step_; }
  std::int64_t skipped_steps() const { return skipped_; }
  SamplerPosition position() const { return position_; }

  /// Calls fn() while the model has the averaged weights, if there are any: for evaluations.
  template <class Fn>
  auto with_averaged_weights(Fn fn) {
    struct Swapped {
      std::optional<Ema<T, B>>& averages;
      explicit Swapped(std::optional<Ema<T, B>>& a) : averages(a) {
        if (averages) averages->swap_with_parameters();
      }
      ~Swapped() {
        if (averages) averages->swap_with_parameters();
      }
    } swapped(averages_);
    return fn();
  }

  /// Leaves the averaged weights in the model, if there are any: the end of training.
  void take_averaged_weights() {
    if (averages_) averages_->swap_with_parameters();
    averages_.reset();
  }

  /// Goes on from a checkpoint of this stage.
  /// @throws hlip::error if it is not one of this model, with these parameters trained; the model may then have weights of it
  void restore(const std::string& path) {
    const SafetensorsFile weights(path + "/model.safetensors"), moments(path + "/optimizer.safetensors");
    std::size_t states = 0;
    optimizer_.each_state([&](const std::string& name, const Tensor<T, B>& state) {
      if (!moments.contains(name)) fail_file(moments.path(), name, "is not there, but is trained now");
      if (!(moments.info(name).shape == state.shape())) fail_file(moments.path(), name, "is {}, expected {}", to_string(moments.info(name).shape), to_string(state.shape()));
      ++states;
    });
    if (states < moments.names().size()) {
      std::vector<std::string> frozen = moments.names();
      optimizer_.each_state([&](const std::string& name, const Tensor<T, B>&) { std::erase(frozen, name); });
      fail_file(moments.path(), frozen.front(), "was trained, and is not any more; so {} of {} moments", frozen.size(), moments.names().size());
    }
    if (averages_) {
      if (!is_file(path + "/model_ema.safetensors")) fail_file(path + "/model_ema.safetensors", "", "is not there: no averages were kept");
      with_averaged_weights([&] { load_state_dict(model_, SafetensorsFile(path + "/model_ema.safetensors")); });
    }
    load_state_dict(model_, weights);
    optimizer_.each_state([&](const std::string& name, const Tensor<T, B>& state) { state.assign(moments.template tensor<T, B>(name)); });
    const Json state = read_json(path + "/state.json");
    try {
      optimizer_.set_steps(state.at("optimizer_steps").template get<std::int64_t>());
      skipped_ = state.at("skipped_steps").template get<std::int64_t>();
    } catch (const Json::exception& e) {
      fail_file(path + "/state.json", "", "{}", e.what());
    }
    const SavedPosition saved = saved_position(path);
    step_ = saved.step;
    position_ = saved.at;
    saved_at_ = step_;
    saved_path_ = path;
  }

  /// Writes a checkpoint now. `write_extra(path)` adds the caller's files (configuration, vocabulary).
  template <class WriteExtra>
  std::string save(WriteExtra write_extra) {
    return store_.save(options_.stage, step_, [&](const std::string& path) {
      write_weights(path + "/model.safetensors");
      if (averages_) with_averaged_weights([&] { write_weights(path + "/model_ema.safetensors"); });
      SafetensorsWriter moments;
      optimizer_.each_state([&](const std::string& name, const Tensor<T, B>& state) { moments.add(name, state); });
      moments.write(path + "/optimizer.safetensors");
      Json state;
      state["format"] = 1;
      state["stage"] = options_.stage;
      state["step"] = step_;
      state["optimizer_steps"] = optimizer_.steps();
      state["skipped_steps"] = skipped_;
      state["seed"] = options_.seed;  // every draw is a function of seed, stage and step: no generator state to keep
      state["sampler"] = {{"epoch", position_.epoch}, {"position", position_.position}};
      state["steps"] = options_.steps;
      state["length"] = {{"epochs", options_.length.epochs}, {"studies", options_.length.studies}, {"batch", options_.length.batch}, {"accum_freq", options_.length.accum_freq}};
      atomic_write(path + "/state.json", state.dump(2) + "\n");
      write_extra(path);
    });
  }

  /// Trains until `steps` or until a stop signal, which also ends a step half-way: what it has computed is dropped, and the resumed run makes
  /// it again, with the same draws.
  ///
  /// A step whose loss or gradient is not finite changes nothing. While steps are of that kind nothing is saved or removed either, so that a
  /// run that diverges keeps the checkpoints from before.
  /// @param loader a DataLoader; started at position()  @param features called as features(batch, Context) -> PairFeatures
  /// @param write_extra adds files to checkpoints  @param end_of_epoch called as end_of_epoch(epochs done) between epochs
  /// @throws hlip::error after max_bad_steps non-finite steps in a row, naming the samples and the last checkpoint before them
  template <class Loader, class Features, class WriteExtra, class EndOfEpoch>
  TrainOutcome run(Loader& loader, Features features, WriteExtra write_extra, MetricsLog& log, ProgressLine& progress, EndOfEpoch end_of_epoch) {
    const auto began = std::chrono::steady_clock::now();
    const double waited_before = loader.statistics().seconds_waited;
    const std::int64_t first_step = step_;
    loader.start(position_);
    std::vector<typename Loader::Loaded> parts;  // of the next step
    std::int64_t epoch_began = position_.position == 0 ? step_ : -1;
    int bad_in_a_row = 0;
    Standing good = standing();  // behind the last step that was finite, where weights and moments still are
    bool log_failed = false, due = false;
    std::int64_t samples = 0;
    const auto logged = [&](auto write) {
      try {
        write();
      } catch (const error& e) {  // a full disk ends no run
        if (!log_failed) progress.note(fmt::format("warning: {} (training goes on)", e.what()));
        log_failed = true;
      }
    };
    const auto checkpoint = [&](bool must) {
      try {
        logged([&] { log.sync(); });  // before the checkpoint: what is resumed from has its rows
        saved_path_ = save(write_extra);
        saved_at_ = step_;
        if (bad_in_a_row == 0) store_.keep_newest(options_.stage, options_.keep_checkpoints, step_);
      } catch (const error& e) {
        if (must) throw;
        progress.note(fmt::format("warning: no checkpoint at step {}: {} (training goes on; earlier checkpoints are untouched)", step_, e.what()));
      }
    };
    const StopAwaited awaited;
    try {
      const Interruptible within_steps(communicator_.size() == 1 ? stop_requested : nullptr);  // others would wait for this rank
      while (step_ < options_.steps) {
        auto batch = loader.next();
        if (!batch) {  // the epoch is over; batches too few for a step are dropped
          expect(step_ != epoch_began, "trainer", "an epoch has {} batches, too few for one step with accum_freq {}", parts.size(), options_.accum_freq);
          parts.clear();
          end_of_epoch(position_.epoch + 1);
          position_ = {position_.epoch + 1, 0};
          if (bad_in_a_row == 0) good = standing();
          epoch_began = step_;
          loader.start(position_);
          continue;
        }
        parts.push_back(std::move(*batch));
        if (static_cast<index_t>(parts.size()) < options_.accum_freq) continue;
        const StepResult result = train_step(parts, features);
        position_ = loader.position();
        for (const auto& part : parts) samples += static_cast<std::int64_t>(part.indices.size());
        ++step_;
        bad_in_a_row = result.finite ? 0 : bad_in_a_row + 1;
        if (result.finite) good = standing();

        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        const double wait = (loader.statistics().seconds_waited - waited_before) / std::max(seconds, 1e-9), rate = static_cast<double>(samples) / std::max(seconds, 1e-9);
        logged([&] { log.add({options_.stage, step_, result.loss, result.lr, result.grad_norm, result.scale, rate, wait, !result.finite}); });
        const double left = seconds / static_cast<double>(step_ - first_step) * static_cast<double>(options_.steps - step_);
        const bool milestone = step_ % options_.log_every_n_steps == 0 || step_ == options_.steps;
        if (progress.wants(milestone))
          progress.show(fmt::format("{} {}/{}  loss {:.4f}  lr {:.2e}  scale {:.1f}  {:.3g} samples/s  data wait {:.0f} %  ETA {}", options_.stage, step_, options_.steps, result.loss, result.lr,
                                    result.scale, rate, 100 * wait, format_duration(left)),
                        milestone);
        if (!result.finite) {
          std::string names;
          for (const auto& part : parts)
            for (const index_t i : part.indices) names += (names.empty() ? "" : ", ") + loader.dataset().name(i);
          if (bad_in_a_row >= max_bad_steps)
            fail("trainer", "{} steps in a row gave a loss or gradient that is not finite, the last with loss {} on samples {}; {} (hint: lower --lr, or set --grad-clip-norm 1)", bad_in_a_row,
                 result.loss, names, saved_path_.empty() ? "no checkpoint was written before them" : "the last checkpoint before them is " + saved_path_);
          progress.note(fmt::format("warning: step {} skipped, its loss ({}) or gradient norm ({}) is not finite; samples {}", step_, result.loss, result.grad_norm, names));
        }
        parts.clear();
        due = due || (options_.save_frequency_steps > 0 && step_ % options_.save_frequency_steps == 0 && step_ < options_.steps);
        if (due && bad_in_a_row == 0) {
          checkpoint(false);
          due = false;
        }
        if (stop_requested()) throw interrupted();
      }
    } catch (const interrupted&) {
      optimizer_.zero_grad();
      stand_at(good);  // bad steps are made again when the run goes on, and count in the same row
      bad_in_a_row = 0;
      if (saved_at_ != step_ && step_ > 0) checkpoint(true);  // a stage that has not begun begins anew
      return TrainOutcome::stopped;
    }
    progress.finish();
    if (saved_at_ != step_) checkpoint(true);
    return TrainOutcome::finished;
  }

 private:
  struct StepResult {
    double loss = 0, lr = 0, grad_norm = 0, scale = 0;
    bool finite = true;
  };
  /// Where the run is; weights and moments apart.
  struct Standing {
    std::int64_t step = 0, skipped = 0;
    SamplerPosition position;
  };
  Standing standing() const { return {step_, skipped_, position_}; }
  void stand_at(const Standing& at) { step_ = at.step, skipped_ = at.skipped, position_ = at.position; }

  /// Parameters the optimiser moves, by name.
  auto trained() {
    auto named = named_parameters(model_);
    std::erase_if(named, [](const auto& p) { return !p.second->requires_grad(); });
    return named;
  }

  void write_weights(const std::string& path) {
    SafetensorsWriter weights;
    for (const auto& [name, var] : named_parameters(model_)) weights.add(name, var->value());
    weights.metadata("format", "pt");
    weights.write(path);
  }

  template <class Part, class Features>
  StepResult train_step(const std::vector<Part>& parts, Features& features) {
    const MemoryScope scope(MemoryCategory::activations);
    StepResult r;
    r.lr = learning_rate(options_.schedule, step_);
    optimizer_.zero_grad();
    const Context context{true, {options_.seed, 1, static_cast<std::uint64_t>(step_)}};
    const auto n = static_cast<index_t>(parts.size());
    const auto encode = [&](index_t j, AccumulationPass) -> PairFeatures<T, B> {
      return features(parts[static_cast<std::size_t>(j)].data, n == 1 ? context : context.child(static_cast<std::uint64_t>(j)));
    };
    Tensor<T, B> scale_used;
    const auto losses = accumulate_gradients(n, encode, [&](const PairFeatures<T, B>& pairs) {
      const Var<T, B> scale = options_.fixed_scale > 0 ? Var<T, B>(Tensor<T, B>::scalar(static_cast<T>(options_.fixed_scale))) : Var<T, B>(exp(model_.logit_scale));
      scale_used = scale.value();
      return mean_over_targets(pairs.image, pairs.text, pairs.targets, [&](const Var<T, B>& image, const Var<T, B>& text) {
        return options_.siglip ? siglip_loss(image, text, scale, model_.logit_bias, communicator_) : clip_loss(image, text, scale, Var<T, B>(), communicator_, options_.gather);
      });
    });
    // Scale and bias got the gradient of the whole loss in every pass, the towers only once: one step of one large batch is meant.
    if (n > 1)
      for (const auto* s : {&model_.logit_scale, &model_.logit_bias})  // (pointers: nvcc 13 mistakes the braces of a Var<T, B>)
        if (s->has_grad()) s->grad().assign(s->grad() * (1.0 / static_cast<double>(n)));
    average_gradients();
    // All that the host wants to know of a step is read here, at once: the only time it waits for a device.
    const auto known = static_cast<index_t>(optimizer_.parameters().size());
    const auto numbers = Tensor<T, B>::empty({known + 2});
    sums_of_squares(optimizer_.parameters(), numbers.slice(0, 0, known));
    numbers.select(0, known).assign(losses.front().reshape(Shape{}));
    numbers.select(0, known + 1).assign(scale_used.reshape(Shape{}));
    const std::vector<T> read = numbers.to_vector();
    r.grad_norm = norm_of_sums(std::span<const T>(read).first(static_cast<std::size_t>(known)));
    r.loss = static_cast<double>(read[static_cast<std::size_t>(known)]);
    r.scale = static_cast<double>(read.back());
    r.finite = std::isfinite(r.loss) && std::isfinite(r.grad_norm);
    if (!r.finite) {
      ++skipped_;
      return r;
    }
    const Interruptible wholly(nullptr);
    optimizer_.step(r.lr, clip_scale(r.grad_norm, options_.grad_clip_norm));
    if (model_.logit_scale.requires_grad()) {
      const Tensor<T, B> s = model_.logit_scale.value();
      s.assign(clamp(s, 0.0, std::log(100.0)));
    }
    if (averages_) averages_->update();
    return r;
  }

  void average_gradients() {
    if (communicator_.size() == 1) return;
    for (const auto& p : optimizer_.parameters()) {
      if (!p.var.has_grad()) continue;
      std::vector<T> sums = p.var.grad().to_vector();  // through the host: a communicator knows no backend
      communicator_.all_reduce_sum(std::span<T>(sums));
      p.var.grad().assign(Tensor<T, B>::from_values(p.var.grad().shape(), std::span<const T>(sums)) * (1.0 / communicator_.size()));
    }
  }

  Clip<Levels, T, B>& model_;
  TrainerOptions options_;
  CheckpointStore store_;
  C communicator_;
  AdamW<T, B> optimizer_;
  std::optional<Ema<T, B>> averages_;
  std::int64_t step_ = 0, skipped_ = 0, saved_at_ = -1;
  std::string saved_path_;  // of the newest checkpoint: written, or gone on from
  SamplerPosition position_;
};

HLIP_END
