#include <hlip/backend/cpu.hpp>
#include <hlip/data/loader.hpp>
#include <hlip/distributed/thread_group.hpp>
#include <hlip/systems/hlip/contrastive.hpp>
#include <hlip/train/trainer.hpp>

#include "../io/temp_folder.hpp"
#include "../support/synced_files.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

using namespace hlip;
using test::synced_files;

namespace {

ClipConfig tiny() {
  ClipConfig c;
  c.embed_dim = 8;
  c.vision.img_size = {4, 8, 8}, c.vision.patch_size = {2, 4, 4};
  c.vision.embed_dim = 12, c.vision.depth = 1, c.vision.num_heads = 2;
  c.vision.blocks_of_level = {{}, {}, {0}};
  // With the usual 0.02 so small a model stays at the loss of chance
  c.vision.init_std = 0.3, c.text_pooling = TextPooling::mean;
  c.text = {.vocab_size = 30,
            .hidden_size = 8,
            .num_layers = 1,
            .num_heads = 2,
            .intermediate_size = 16,
            .max_positions = 8,
            .dropout = 0.0,
            .init_std = 0.3};
  return c;
}

/// Studies that are told apart by their brightness, with one word each.
struct Shades {
  index_t size() const { return 12; }
  std::string name(index_t i) const { return "shade_" + std::to_string(i); }
  index_t get(index_t i) const { return i; }
};

struct Batch {
  Tensor<float> volumes;
  Tensor<std::int64_t> ids;
};

const auto collate = [](const std::vector<index_t>& samples) {
  Batch b{Tensor<float>::empty({static_cast<index_t>(samples.size()), 1, 1, 4, 8, 8}),
          Tensor<std::int64_t>::ones({static_cast<index_t>(samples.size()), 3})};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto at = static_cast<index_t>(i);
    for (index_t v = 0; v < 256; ++v)
      b.volumes.data()[at * 256 + v] = static_cast<float>(
          std::sin(0.1 * static_cast<double>(v * (samples[i] + 1))));
    b.ids.slice(0, at, at + 1).slice(1, 1, 2).fill(samples[i] + 2);
  }
  return b;
};

struct Options : TrainerOptions, ContrastiveSettings {};

Options options(std::int64_t steps) {
  Options o;
  o.steps = steps;
  o.schedule.lr = 5e-3;
  o.weight_decay = 0.01;
  o.seed = 5;
  o.log_every_n_steps = 1000000;
  return o;
}

std::vector<float> weights(Clip<>& model) {
  std::vector<float> all;
  each_parameter(model, [&](const std::string&, Var<float>& p) {
    const auto v = p.value().to_vector();
    all.insert(all.end(), v.begin(), v.end());
  });
  return all;
}

using Features = std::function<PairFeatures<float, Cpu>(const Batch&, const Context&)>;
template <class C> using Contrast = ContrastiveObjective<Features, 3, float, Cpu, C>;

struct Run {
  TempFolder folder;
  Clip<> model{tiny(), 3};
  CheckpointStore store{folder.string(), {"step"}};
  MetricsLog log{folder.string() + "/metrics.csv",
                 [](const std::string&, std::int64_t) { return true; }};
  ProgressLine progress;
  LoaderOptions loading;
  Features features;  // of the trainers below

  /// Trains; the loss of step s is poisoned when poison(s).
  template <class Trainer, class Poison>
  TrainOutcome train(Trainer& trainer, Poison poison, index_t batch_size = 4) {
    loading.sampler = {.batch_size = batch_size, .seed = 5};
    DataLoader loader(Shades{}, loading, collate);
    features = [&](const Batch& b, const Context& context) {
      const float factor = poison(static_cast<std::int64_t>(context.key.step))
                               ? std::numeric_limits<float>::quiet_NaN()
                               : 1.0f;
      return PairFeatures<float, Cpu>{Var<float>(model.encode_image(b.volumes, context) * factor),
                                      model.encode_text(b.ids, context)};
    };
    return trainer.run(
        loader, [](const std::string&) {}, &log, progress, [](std::int64_t) {});
  }
};

template <class C> struct HasContrast { Contrast<C> contrast; };
/// A trainer with its objective.
template <class C = SingleProcess>
struct ContrastiveTrainer : private HasContrast<C>, Trainer<Contrast<C>, C> {
  ContrastiveTrainer(Run& run, const Options& o, const C& communicator = {})
      : HasContrast<C>{Contrast<C>(
            run.model, o, [&run](const Batch& b, const Context& c) { return run.features(b, c); },
            communicator)},
        Trainer<Contrast<C>, C>(this->contrast, o, run.store, communicator) {}
};

const auto never = [](std::int64_t) { return false; };

}  // namespace

TEST_CASE(
    "trainer: the loss falls, the scale stays within [1, 100] and the checkpoint holds the "
    "weights") {
  Run run;
  ContrastiveTrainer<> trainer(run, options(80));
  CHECK(run.train(trainer, never) == TrainOutcome::finished);
  const SafetensorsFile saved(run.folder.string() + "/step_80/model.safetensors");
  CHECK(saved.contains("visual.trunk.blocks.0.attn.qkv.weight"));
  CHECK(saved.values<float>("logit_scale") == run.model.logit_scale.value().to_vector());
  CHECK(run.model.logit_scale.item() <= std::log(100.0f) + 1e-6f);
  const std::string csv = read_file(run.folder.string() + "/metrics.csv");
  const auto loss_of = [&](const std::string& row) {
    return std::stod(csv.substr(csv.find("\n" + row) + 1 + row.size()));
  };
  CHECK(loss_of("step,80,") < 0.5 * loss_of("step,1,"));
}

TEST_CASE("trainer: stopping anywhere and restoring gives the bits of a straight run") {
  Run straight;
  ContrastiveTrainer<> whole(straight, options(7));
  straight.train(whole, never);
  for (const std::int64_t stop : {1, 3, 6}) {
    Run first;
    Options o = options(7);
    o.save_frequency_steps = stop;
    ContrastiveTrainer<> trainer(first, o);
    first.train(trainer, never);
    Run second;
    second.model = Clip<>(tiny(), 99);  // other weights: everything must come from the checkpoint
    ContrastiveTrainer<> resumed(second, options(7));
    resumed.restore(first.folder.string() + "/step_" + std::to_string(stop));
    CHECK(resumed.step() == stop);
    second.train(resumed, never);
    CHECK(weights(second.model) == weights(straight.model));
  }
}

TEST_CASE("trainer: a step that is not finite changes nothing and is counted") {
  Run run;
  const auto before = weights(run.model);
  ContrastiveTrainer<> trainer(run, options(3));
  CHECK(run.train(trainer, [](std::int64_t) { return true; }) == TrainOutcome::finished);
  CHECK(trainer.skipped_steps() == 3);
  CHECK(weights(run.model) == before);
}

TEST_CASE(
    "trainer: three batches with accum_freq 3 are one step of one large batch, the scale "
    "included") {
  // loss, learning rate, gradient norm and scale of every step
  const auto rows = [](const Run& run) {
    std::vector<double> numbers;
    for (std::int64_t step = 1; step <= 4; ++step) {
      const std::string csv = read_file(run.folder.string() + "/metrics.csv"),
                        row = fmt::format("\nstep,{},", step);
      const char* at = csv.c_str() + csv.find(row) + row.size();
      for (int i = 0; i < 4; ++i) {
        char* end = nullptr;
        numbers.push_back(std::strtod(at, &end));
        at = end + 1;
      }
    }
    return numbers;
  };
  for (const bool siglip : {false, true}) {
    CAPTURE(siglip);
    Run whole, parts;
    ClipConfig config = tiny();
    config.siglip = siglip;
    whole.model = Clip<>(config, 3), parts.model = Clip<>(config, 3);
    Options o = options(4);
    o.siglip = siglip;
    ContrastiveTrainer<> large(whole, o);
    whole.train(large, never, 12);
    o.accum_freq = 3;
    ContrastiveTrainer<> accumulated(parts, o);
    parts.train(accumulated, never, 4);
    const auto expected = rows(whole), got = rows(parts);
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-4));
    CHECK(accumulated.position().epoch == large.position().epoch);
  }
  Run run;
  Options o = options(2);
  o.accum_freq = 4;  // an epoch has three batches
  ContrastiveTrainer<> trainer(run, o);
  CHECK_THROWS_WITH_AS(run.train(trainer, never), doctest::Contains("accum_freq 4"), error);
}

TEST_CASE("trainer: averaged weights follow, are saved, resume, and leave the model as it was") {
  Options o = options(6);
  o.ema_decay = 0.5;
  Run straight;
  ContrastiveTrainer<> trainer(straight, o);
  straight.train(trainer, never);
  const auto current = weights(straight.model);
  const auto averaged = trainer.objective().averages().with(
      [&] { return weights(straight.model); });
  CHECK(weights(straight.model) == current);
  CHECK(averaged != current);
  Clip<> loaded(tiny(), 8);
  load_state_dict(loaded,
                  SafetensorsFile(straight.folder.string() + "/step_6/model_ema.safetensors"));
  CHECK(weights(loaded) == averaged);

  Run first, second;
  o.save_frequency_steps = 2;
  ContrastiveTrainer<> begun(first, o);
  first.train(begun, never);
  second.model = Clip<>(tiny(), 99);
  ContrastiveTrainer<> resumed(second, o);
  resumed.restore(first.folder.string() + "/step_2");
  second.train(resumed, never);
  CHECK(weights(second.model) == current);
  CHECK(resumed.objective().averages().with([&] { return weights(second.model); }) == averaged);
}

TEST_CASE(
    "trainer: ten steps in a row that are not finite end the run with the names of the samples") {
  Run run;
  ContrastiveTrainer<> trainer(run, options(50));
  std::string message;
  try {
    run.train(trainer, [](std::int64_t step) { return step >= 4; });
  } catch (const error& e) {
    message = e.what();
  }
  CHECK(trainer.step() == 14);
  CHECK(message.find("10 steps in a row") != std::string::npos);
  CHECK(message.find("shade_") != std::string::npos);
}

TEST_CASE(
    "trainer: while steps are bad nothing is saved or removed, and the last checkpoint before them "
    "is named") {
  Run run;
  Options o = options(50);
  o.save_frequency_steps = 1, o.keep_checkpoints = 2;
  ContrastiveTrainer<> trainer(run, o);
  std::string message;
  try {
    run.train(trainer, [](std::int64_t step) { return step >= 4; });
  } catch (const error& e) {
    message = e.what();
  }
  const auto left = run.store.list();
  REQUIRE(left.size() == 2);
  CHECK(left[0].step == 3);
  CHECK(left[1].step == 4);
  CHECK(message.find("the last checkpoint before them is " + left[1].path) != std::string::npos);
}

TEST_CASE("trainer: a checkpoint that is due at a bad step is written after the next good one") {
  Run run;
  Options o = options(7);
  o.save_frequency_steps = 2;
  ContrastiveTrainer<> trainer(run, o);
  // the second and the third step
  run.train(trainer, [](std::int64_t step) { return step == 1 || step == 2; });
  std::vector<std::int64_t> steps;
  for (const auto& entry : run.store.list()) steps.push_back(entry.step);
  CHECK(steps == std::vector<std::int64_t>{4, 6, 7});
}

TEST_CASE(
    "trainer: a run stopped in the middle of a step, of a bad row, or of an evaluation goes on to "
    "the bits of one that was not") {
  // One function: every moment at which one run can be stopped.
  const auto poison = [](std::int64_t step) { return step == 3 || step == 4; };
  // Asked to stop at `at` in step `stop`: 0 before the images, 1 before the texts, 2 before the way
  // back; 3: in the evaluation of epoch `stop`.
  const auto train = [&](Run& run, ContrastiveTrainer<>& trainer, index_t accum_freq,
                         std::int64_t stop, int at, int& evaluations) {
    run.loading.sampler = {.batch_size = 4 / accum_freq, .seed = 5};
    DataLoader loader(Shades{}, run.loading, collate);
    run.features = [&](const Batch& b, const Context& context) {
      const auto step = static_cast<std::int64_t>(context.key.step);
      const auto ask = [&](int place) {
        if (step == stop && at == place) detail::stop_requested = 1;
      };
      ask(0);
      const float factor = poison(step) ? std::numeric_limits<float>::quiet_NaN() : 1.0f;
      const Var<float> images(run.model.encode_image(b.volumes, context) * factor);
      ask(1);
      const Var<float> texts = run.model.encode_text(b.ids, context);
      ask(2);
      return PairFeatures<float, Cpu>{images, texts};
    };
    const auto outcome = trainer.run(
        loader, [](const std::string&) {}, &run.log, run.progress,
        [&](std::int64_t epoch) {
          if (epoch == stop && at == 3) detail::stop_requested = 1;
          NoGrad guard;
          static_cast<void>(run.model.encode_text(Tensor<std::int64_t>::ones({1, 3})));
          ++evaluations;
        });
    detail::stop_requested = 0;
    return outcome;
  };
  for (const index_t accum_freq : {1, 2}) {
    Options o = options(9);
    o.accum_freq = accum_freq;
    Run straight;
    ContrastiveTrainer<> whole(straight, o);
    int evaluations = 0;
    REQUIRE(train(straight, whole, accum_freq, -1, 0, evaluations) == TrainOutcome::finished);
    CHECK(whole.skipped_steps() == 2);
    CHECK(evaluations == 2);  // between three epochs
    for (const auto& c : {std::array<int, 3>{2, 0, 2},
                          {2, 1, 2},
                          {2, 2, 2},
                          {4, 2, 3},
                          {5, 0, 3},
                          {6, 1, 6},
                          {1, 3, 3},
                          {2, 3, 6}}) {
      const int stop = c[0], at = c[1], saved = c[2];
      CAPTURE(accum_freq);
      CAPTURE(stop);
      CAPTURE(at);
      Run first, second;
      ContrastiveTrainer<> trainer(first, o);
      int made = 0;
      CHECK(train(first, trainer, accum_freq, stop, at, made) == TrainOutcome::stopped);
      const auto left = first.store.list();
      REQUIRE(left.size() == 1);
      CHECK(left[0].step == saved);
      second.model = Clip<>(tiny(), 99);
      ContrastiveTrainer<> resumed(second, o);
      resumed.restore(left[0].path);
      CHECK(train(second, resumed, accum_freq, -1, 0, made) == TrainOutcome::finished);
      CHECK(weights(second.model) == weights(straight.model));
      CHECK(resumed.skipped_steps() == 2);
      CHECK(resumed.position() == whole.position());
      CHECK(made == evaluations);  // the one that was given up is made again
    }
  }
}

TEST_CASE(
    "trainer: the rows of metrics.csv are on disk before the checkpoint that a run goes on from") {
  Run run;
  ContrastiveTrainer<> trainer(run, options(2));
  std::vector<std::string> names;
  synced_files = &names;
  run.train(trainer, never);
  synced_files = nullptr;
  const auto metrics = std::find(names.begin(), names.end(), "metrics.csv"),
             complete = std::find_if(names.begin(), names.end(),
                                     [](const auto&name) { return name.starts_with("COMPLETE"); });
  CHECK(metrics < complete);
  CHECK(complete != names.end());
}

TEST_CASE(
    "trainer: a checkpoint of parameters that are not trained any more, or were not, is refused") {
  Run run;
  ContrastiveTrainer<> trainer(run, options(2));
  run.train(trainer, never);
  const std::string all = run.folder.string() + "/step_2";
  Run locked;
  lock_text_tower(locked.model);
  ContrastiveTrainer<> fewer(locked, options(2));
  CHECK_THROWS_WITH_AS(fewer.restore(all), doctest::Contains("was trained, and is not any more"),
                       error);
  locked.train(fewer, never);
  ContrastiveTrainer<> more(run, options(2));
  CHECK_THROWS_WITH_AS(more.restore(locked.folder.string() + "/step_2"),
                       doctest::Contains("is not there, but is trained now"), error);
  Options averaged = options(2);
  averaged.ema_decay = 0.5;
  ContrastiveTrainer<> with_averages(run, averaged);
  CHECK_THROWS_WITH_AS(with_averages.restore(all),
                       doctest::Contains("model_ema.safetensors: is not there"), error);
}

TEST_CASE("trainer: SigLIP and frozen parameters") {
  Run run;
  ClipConfig c = tiny();
  c.siglip = true;
  run.model = Clip<>(c, 3);
  lock_text_tower(run.model);
  const auto before = run.model.text.transformer.embeddings.word.weight.value().to_vector();
  Options o = options(4);
  o.siglip = true;
  ContrastiveTrainer<> trainer(run, o);
  CHECK(run.train(trainer, never) == TrainOutcome::finished);
  CHECK(run.model.text.transformer.embeddings.word.weight.value().to_vector() == before);
  CHECK(run.model.logit_bias.item() != -10.0f);
  set_requires_grad(run.model, false, [](const std::string&) { return true; });
  CHECK_THROWS_AS(ContrastiveTrainer<>(run, o), error);
}

TEST_CASE("trainer: a step's memory is counted by what it is for") {
  const MemoryUse before = memory_statistics<Cpu>().now();
  Run run;
  lock_text_tower(run.model);
  ContrastiveTrainer<> trainer(run, options(2));
  memory_statistics<Cpu>().reset_peak();
  run.train(trainer, never);
  const MemoryUse peak = memory_statistics<Cpu>().peak(), now = memory_statistics<Cpu>().now();
  const auto held = [&](const MemoryUse& use, MemoryCategory c) { return use[c] - before[c]; };
  const auto trainable = static_cast<std::size_t>(count_parameters(run.model, true)) *
                         sizeof(float);
  CHECK(held(now, MemoryCategory::parameters) ==
        static_cast<std::size_t>(count_parameters(run.model)) * sizeof(float));
  CHECK(held(now, MemoryCategory::optimizer) == 2 * trainable);
  CHECK(held(now, MemoryCategory::gradients) == trainable);  // until the next step
  CHECK(held(now, MemoryCategory::activations) == 0);
  CHECK(held(peak, MemoryCategory::activations) > 0);
  CHECK(held(peak, MemoryCategory::data) >= 4 * 256 * sizeof(float));  // the volumes of a batch
}

namespace {

/// `count` of the shades, from one on.
struct SomeShades {
  index_t first, count;
  index_t size() const { return count; }
  std::string name(index_t i) const { return "shade_" + std::to_string(first + i); }
  index_t get(index_t i) const { return first + i; }
};

/// Weights after three steps on these shades, all of them in every step.
template <class C>
std::vector<float> weights_after(const SomeShades& shades, const C& communicator) {
  Run run;
  Options o = options(3);
  o.gather.gather_with_grad = true;
  ContrastiveTrainer<C> trainer(run, o, communicator);
  LoaderOptions loading;
  loading.sampler = {.batch_size = shades.count, .shuffle = false};
  DataLoader loader(shades, loading, collate);
  run.features = [&](const Batch& b, const Context&) {
    return PairFeatures<float, Cpu>{run.model.encode_image(b.volumes),
                                    run.model.encode_text(b.ids)};
  };
  trainer.run(
      loader, [](const std::string&) {}, &run.log, run.progress, [](std::int64_t) {});
  return weights(run.model);
}

}  // namespace

TEST_CASE(
    "trainer: two ranks end in the same bits as each other, and where one process with their "
    "studies ends") {
  const ThreadGroup group(2);
  std::vector<std::vector<float>> ranks(2);
  {
    std::vector<std::thread> threads;
    for (int r = 0; r < 2; ++r)
      threads.emplace_back([&, r] {
        ranks[static_cast<std::size_t>(r)] = weights_after(SomeShades{3 * r, 3}, group.rank(r));
      });
    for (auto& t : threads) t.join();
  }
  CHECK(ranks[0] == ranks[1]);
  const std::vector<float> whole = weights_after(SomeShades{0, 6}, SingleProcess{});
  REQUIRE(whole.size() == ranks[0].size());
  double most = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    most = std::max(most, static_cast<double>(std::abs(whole[i] - ranks[0][i])));
  // A step is 5e-3: AdamW's first ones magnify what gradients near zero differ by
  CHECK(most < 2e-4);
}

TEST_CASE("trainer: a step that is bad on one rank is skipped by all") {
  const ThreadGroup group(2);
  std::array<std::vector<float>, 2> left;
  std::array<std::int64_t, 2> skipped{};
  std::vector<std::thread> threads;
  for (int r = 0; r < 2; ++r)
    threads.emplace_back([&, r] {
      const auto at = static_cast<std::size_t>(r);
      Run run;
      ContrastiveTrainer<ThreadGroup::Rank> trainer(run, options(4), group.rank(r));
      run.train(trainer, [r](std::int64_t step) { return r == 1 && step == 2; });
      left[at] = weights(run.model), skipped[at] = trainer.skipped_steps();
    });
  for (auto& t : threads) t.join();
  CHECK(skipped == std::array<std::int64_t, 2>{1, 1});
  CHECK(left[0] == left[1]);
}

namespace {

/// Two numbers that the loss pulls with slopes of 100 and 1, each with its learning rate, decay and
/// clip group.
struct Pair {
  using value_type = float;
  using backend = Cpu;
  Var<float> a{Tensor<float>::ones({1}), true}, b{Tensor<float>::ones({1}), true};
  template <class V> void visit(V&& v) {
    v("a", a);
    v("b", b);
  }
};
struct PullPair {
  using value_type = float;
  using backend = Cpu;
  Pair pair;
  std::vector<double> seen;  // values of the schedule "pull"
  Pair& model() { return pair; }
  std::vector<OptimizedParameter<float, Cpu>> parameter_groups() {
    return {{"a", pair.a, 0.5, 1, 0}, {"b", pair.b, 0, 0.5, 1}};
  }
  template <class Batch>
  StepScalars<float, Cpu> backward(const std::vector<Batch>&, const StepContext& at) {
    seen.push_back(at.value("pull"));
    const Var<float> loss = sum(pair.a * 100.0 + pair.b) * at.value("pull");
    loss.backward();
    return {{"loss", loss.value()}, {"slope", Tensor<float>::scalar(100)}};
  }
  void after_step(const StepContext&) {}
  template <class Visit> void each_state(Visit&&) {}
};

}  // namespace

TEST_CASE(
    "trainer: named schedules reach the objective and the weight decay, and every clip group is "
    "clipped by its own norm") {
  PullPair objective;
  TrainerOptions o;
  o.steps = 2;
  o.schedule = {.kind = LrScheduler::constant, .lr = 0.1};
  o.schedules = {{.name = "pull", .from = 2, .to = 1, .total = 2},
                 {.name = "weight_decay", .from = 3, .to = 3}};
  // Without moments and with so large an epsilon a step is lr * gradient / eps
  o.adamw = {0, 0, 1e4};
  o.grad_clip_norm = 0.5;
  Trainer trainer(objective, o, CheckpointStore("", {"step"}));
  const StepResult first = trainer.train_step(std::vector<int>{0});
  CHECK(first.grad_norm == doctest::Approx(std::sqrt(200.0 * 200 + 2 * 2)));
  REQUIRE(first.grad_norms.size() == 2);  // before clipping
  CHECK(first.grad_norms[0] == doctest::Approx(200));
  CHECK(first.grad_norms[1] == doctest::Approx(2));
  REQUIRE(first.others.size() == 3);
  CHECK(first.others[0] == std::pair<std::string, double>{"slope", 100});
  CHECK(first.others[1] == std::pair<std::string, double>{"pull", 2});
  CHECK(first.others[2] == std::pair<std::string, double>{"weight_decay", 3});
  // Both gradients are clipped to 0.5, each in its group; b has half of the learning rate, a decays
  // by 0.1 * 0.5 * 3.
  CHECK(objective.pair.a.item() == doctest::Approx(1 - 0.15 - 0.1 * 0.5 / 1e4).epsilon(1e-6));
  CHECK(1 - objective.pair.b.item() == doctest::Approx(0.05 * 0.5 / 1e4).epsilon(0.05));
  trainer.train_step(std::vector<int>{0});
  CHECK(objective.seen == std::vector<double>{2, 1.5});
}

namespace {

/// One that looks at every step, and gives up at the third.
struct WatchedPair : PullPair {
  std::vector<RandomKey> own, shared;
  template <class Batch>
  StepScalars<float, Cpu> backward(const std::vector<Batch>& parts, const StepContext& at) {
    own.push_back(at.context.key), shared.push_back(at.shared.key);
    return PullPair::backward(parts, at);
  }
  void check(const StepResult& result, const StepContext& at) const {
    if (at.step == 2) fail("watch", "slope {} at step {}", result.others.at(0).second, at.step);
  }
};

}  // namespace

TEST_CASE("trainer: an objective that checks a step can end the run before anything moves") {
  WatchedPair objective;
  TrainerOptions o;
  o.steps = 9;
  o.schedule = {.kind = LrScheduler::constant, .lr = 0.1};
  o.schedules = {{.name = "pull", .from = 1, .to = 1}};
  Trainer trainer(objective, o, CheckpointStore("", {"step"}));
  for (int step = 0; step < 2; ++step) trainer.train_step(std::vector<int>{0});
  const float a = objective.pair.a.item();
  CHECK_THROWS_WITH_AS(trainer.train_step(std::vector<int>{0}), "watch: slope 100 at step 2",
                       error);
  CHECK(objective.pair.a.item() == a);
  CHECK(trainer.step() == 2);
}

namespace {

/// One that counts its steps, of which the fourth is bad and, the first time, the last before a
/// stop.
struct CountingPair : PullPair {
  std::int64_t steps = 0;
  bool stops = false;
  template <class Batch>
  StepScalars<float, Cpu> backward(const std::vector<Batch>& parts, const StepContext& at) {
    auto scalars = PullPair::backward(parts, at);
    if (at.step != 3) return scalars;
    scalars[0].second = Tensor<float>::scalar(std::numeric_limits<float>::infinity());
    if (stops) detail::stop_requested = 1;
    return scalars;
  }
  void check(const StepResult&, const StepContext&) { ++steps; }
  template <class Visit> void each_count(Visit&& visit) { visit("steps", steps); }
};

}  // namespace

TEST_CASE("trainer: what an objective counts is kept, as it was where the weights are") {
  TrainerOptions o;
  o.steps = 6;
  o.schedule = {.kind = LrScheduler::constant, .lr = 0.1};
  o.schedules = {{.name = "pull", .from = 1, .to = 1}};
  CountingPair first, second;
  first.stops = true;
  Run run;
  run.loading.sampler = {.batch_size = 2, .seed = 5};
  const auto train = [&](CountingPair& objective, const std::string& from) {
    Trainer trainer(objective, o, run.store);
    if (!from.empty()) trainer.restore(from);
    CHECK(objective.steps == trainer.step());
    DataLoader loader(Shades{}, run.loading, [](const std::vector<index_t>&) { return 0; });
    const auto outcome = trainer.run(
        loader, [](const std::string&) {}, &run.log, run.progress, [](std::int64_t) {});
    detail::stop_requested = 0;
    return outcome;
  };
  CHECK(train(first, "") == TrainOutcome::stopped);
  CHECK(first.steps == 3);
  CHECK(train(second, run.folder.string() + "/step_3") == TrainOutcome::finished);
  CHECK(second.steps == 6);
}

TEST_CASE("trainer: ranks draw apart, and have a key that all of them have alike") {
  const ThreadGroup group(2);
  std::array<WatchedPair, 2> objectives;
  std::vector<std::thread> threads;
  for (int r = 0; r < 2; ++r)
    threads.emplace_back([&, r] {
      TrainerOptions o;
      o.steps = 2, o.seed = 3;
      o.schedule = {.kind = LrScheduler::constant, .lr = 0.1};
      o.schedules = {{.name = "pull", .from = 1, .to = 1}};
      auto& objective = objectives[static_cast<std::size_t>(r)];
      Trainer trainer(objective, o, CheckpointStore("", {"step"}), group.rank(r));
      for (int step = 0; step < 2; ++step) trainer.train_step(std::vector<int>{0});
    });
  for (auto& t : threads) t.join();
  const auto draw = [](const RandomKey& key) { return uniform_at(key, 0); };
  for (std::size_t step = 0; step < 2; ++step) {
    CHECK(draw(objectives[0].shared[step]) == draw(objectives[1].shared[step]));
    CHECK(draw(objectives[0].own[step]) != draw(objectives[1].own[step]));
    CHECK(draw(objectives[0].own[step]) == draw(objectives[0].shared[step]));
  }
  CHECK(draw(objectives[0].shared[0]) != draw(objectives[0].shared[1]));
}
