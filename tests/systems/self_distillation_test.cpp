#include "../support/gradients.hpp"

#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/distributed/thread_group.hpp>
#include <hlip/models/vit_outputs.hpp>
#include <hlip/systems/rad_dino/schedules.hpp>
#include <hlip/systems/rad_dino/self_distillation.hpp>
#include <hlip/train/trainer.hpp>

#include "../io/temp_folder.hpp"

#include <omp.h>

#include <limits>
#include <memory>
#include <thread>

using namespace test;

namespace {

/// Global crops of 4 x 4 patches, local ones of 2 x 2; width 12.
SelfDistillationConfig small(bool separate_heads) {
  SelfDistillationConfig c;
  VitConfig& v = c.backbone;
  v.img_size = 8, v.patch_size = 2, v.in_chans = 1;
  v.embed_dim = 12, v.depth = 2, v.num_heads = 2, v.mlp_ratio = 2;
  c.dino_head = {.hidden = 16, .bottleneck = 6, .prototypes = 10, .layers = 2};
  c.separate_heads = separate_heads;
  c.ibot_head = {.hidden = 8, .bottleneck = 5, .prototypes = 7, .layers = 1};
  return c;
}
SelfDistillationSettings settings(Centering centering) {
  SelfDistillationSettings s;
  s.centering = centering;
  s.masking.min_patches = 1;  // blocks of four would hardly fit
  return s;
}

template <class T> using Model = SelfDistillationModel<T, Cpu>;

/// Weights at sizes that show.
template <class T> Model<T> model_of(const SelfDistillationConfig& c) {
  Initializer init(4);
  Model<T> model(c, init);
  std::uint32_t stream = 20;
  for (auto& [name, p] : named_parameters(model))
    *p = Var<T, Cpu>(numbers(p->shape(), stream++, -0.4, 0.6).template to<T>(), true);
  return model;
}

/// Crops of pictures [first, last) of the eight that every step has.
template <class T> CropBatch<T, Cpu> crops(std::int64_t step, index_t first, index_t last) {
  const auto stream = 100 + static_cast<std::uint32_t>(step);
  const auto of = [&](const Array& x) {  // (8, crops, …)
    return crop_major(x.slice(0, first, last).template to<T>());
  };
  CropBatch<T, Cpu> batch;
  batch.global = of(numbers({8, 2, 1, 8, 8}, stream));
  batch.local = of(numbers({8, 3, 1, 4, 4}, stream + 1000));
  return batch;
}
/// The given rows of cells masked, in both global crops of each picture.
std::vector<std::uint8_t> masks(const std::vector<std::vector<index_t>>& of_pictures) {
  std::vector<std::uint8_t> list(2 * of_pictures.size() * 16);
  for (std::size_t i = 0; i < 2 * of_pictures.size(); ++i)
    for (const index_t cell : of_pictures[i % of_pictures.size()])
      list[i * 16 + static_cast<std::size_t>(cell)] = 1;
  return list;
}

TrainerOptions options(std::int64_t steps) {
  TrainerOptions o;
  o.steps = steps;
  o.schedule = {.kind = LrScheduler::constant, .lr = 1e-2};
  o.schedules = {{.name = "weight_decay", .from = 0.04, .to = 0.04},
                 {.name = "momentum", .from = 0.9, .to = 0.9},
                 {.name = "teacher_temp", .from = 0.07, .to = 0.07},
                 {.name = "last_layer", .from = 1, .to = 1}};
  // so large an eps keeps noise noise: the true gradient of key biases is zero
  o.adamw = {0.9, 0.999, 1e-2};
  o.grad_clip_norm = 3;
  o.seed = 9;
  return o;
}
StepContext step_context() {
  StepContext at;
  at.context = {true, {9, 1, 0}};
  at.shared = at.context;
  at.values = {{"teacher_temp", 0.07}, {"momentum", 0.9}};
  return at;
}

/// A run of one rank.
template <class T, class C = SingleProcess> struct Run {
  TempFolder folder;
  Model<T> model;
  SelfDistillationObjective<T, Cpu, C> objective;
  Trainer<SelfDistillationObjective<T, Cpu, C>, C> trainer;
  Run(const SelfDistillationConfig& config, const SelfDistillationSettings& s,
      const TrainerOptions& o, const C& communicator = {})
      : model(model_of<T>(config)),
        objective(model, config, s, communicator),
        trainer(objective, o, CheckpointStore(folder.string(), {"step"}), communicator) {}
  void train_to(std::int64_t end) {
    while (trainer.step() < end) trainer.train_step(std::vector{crops<T>(trainer.step(), 0, 8)});
  }
};

/// Everything that a run has learned: student, teacher, centres.
template <class Objective> std::vector<double> state_of(Objective& objective) {
  std::vector<double> all;
  const auto add = [&](const auto& tensor) {
    const auto values = tensor.to_vector();
    all.insert(all.end(), values.begin(), values.end());
  };
  for (const auto& [name, p] : named_parameters(objective.model())) add(p->value());
  for (const auto& [name, p] : named_parameters(objective.teacher())) add(p->value());
  add(objective.dino_centre()), add(objective.ibot_centre());
  return all;
}
double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

template <class Fn> void on_ranks(int size, Fn fn) {
  const ThreadGroup group(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) threads.emplace_back([&, r] { fn(group.rank(r)); });
  for (auto& t : threads) t.join();
}

/// What ranks that share the eight pictures of a step come to, with masks given for each picture or
/// with drawn ones.
struct OfRanks {
  std::vector<std::vector<double>> states;
  std::vector<double> losses;
};
OfRanks train_ranks(int size, const SelfDistillationConfig& config,
                    const SelfDistillationSettings& s, std::int64_t steps,
                    const std::vector<std::vector<index_t>>& masked = {}) {
  OfRanks result;
  result.states.resize(static_cast<std::size_t>(size));
  on_ranks(size, [&](auto c) {
    Run<double, ThreadGroup::Rank> run(config, s, options(steps), c);
    const index_t each = 8 / size, first = c.rank() * each;
    double loss = 0;
    for (std::int64_t step = 0; step < steps; ++step) {
      auto batch = crops<double>(step, first, first + each);
      if (!masked.empty())
        batch.masks = masks({masked.begin() + first, masked.begin() + first + each});
      loss = run.trainer.train_step(std::vector{batch}).loss;
      if (c.rank() == 0) result.losses.push_back(loss);
    }
    result.states[static_cast<std::size_t>(c.rank())] = state_of(run.objective);
  });
  return result;
}

}  // namespace

TEST_CASE("self-distillation: the gradient is that of the loss, for every parameter") {
  for (const Centering centering : {Centering::centering, Centering::sinkhorn_knopp}) {
    const bool separate = centering == Centering::sinkhorn_knopp;
    auto model = model_of<double>(small(separate));
    SelfDistillationObjective<double> objective(model, small(separate), settings(centering));
    const StepContext at = step_context();
    const std::vector parts{crops<double>(0, 0, 2), crops<double>(1, 0, 2)};
    const auto loss = [&] {
      zero_grad(model);
      return objective.backward(parts, at)[0].second.item();
    };
    loss();
    std::vector<std::pair<Array, Array>> checked;  // value and gradient
    for (const auto& p : named_parameters(model)) {
      REQUIRE_MESSAGE(p.second->has_grad(), p.first);
      checked.emplace_back(p.second->value(), p.second->grad().clone());
    }
    for (std::size_t i = 0; i < checked.size(); ++i) {
      auto& [value, gradient] = checked[i];
      const index_t at_element = static_cast<index_t>(i * 7) % value.numel();
      double& x = value.data()[at_element];
      const double before = x, h = 1e-6;
      x = before + h;
      const double up = loss();
      x = before - h;
      const double down = loss();
      x = before;
      CAPTURE(named_parameters(model)[i].first);
      CHECK(gradient.data()[at_element] ==
            doctest::Approx((up - down) / (2 * h)).epsilon(1e-5).scale(1e-2));
    }
  }
}

TEST_CASE("self-distillation: the loss is the weighted sum of its terms, and names them") {
  SelfDistillationSettings s = settings(Centering::centering);
  s.dino_weight = 0.5, s.ibot_weight = 2, s.koleo_weight = 0.3;
  Run<double> run(small(false), s, options(1));
  const StepResult r = run.trainer.train_step(std::vector{crops<double>(0, 0, 8)});
  const auto at = [&](const std::string& name) {
    for (const auto& [known, x] : r.others)
      if (known == name) return x;
    FAIL(name);
    return 0.0;
  };
  CHECK(at("dino_local") > 0);
  CHECK(at("dino_global") > 0);
  CHECK(at("ibot") > 0);
  CHECK(r.loss ==
        doctest::Approx(0.5 * (at("dino_local") + at("dino_global")) + 2 * at("ibot") + at("koleo"))
            .epsilon(1e-12));
  CHECK(at("target_entropy") > 0);
  CHECK(at("target_entropy") < 1);
  CHECK(at("feature_spread") > 0);
  CHECK(r.grad_norms.size() == 2);  // encoder and head
}

TEST_CASE(
    "self-distillation: a global crop is compared with the other one, a local crop with both, a "
    "masked patch with itself") {
  auto model = model_of<double>(small(true));
  SelfDistillationObjective<double> objective(model, small(true), settings(Centering::centering));
  for (auto& [name, p] : named_parameters(objective.teacher()))
    p->value().assign(p->value() + 0.1 * numbers(p->shape(), 7));  // another than the student
  auto batch = crops<double>(0, 0, 2);
  batch.masks = masks({{0, 1, 5}, {2}});
  const auto scalars = objective.backward(std::vector{batch}, step_context());
  const auto value = [&](const std::string& name) {
    for (const auto& [known, x] : scalars)
      if (known == name) return x.item();
    return -1.0;
  };
  NoGrad guard;
  VitInput<double, Cpu> seen{Variable(batch.global)};
  seen.masks = Tensor<std::uint8_t, Cpu>::from_values({4, 16},
                                                      std::span<const std::uint8_t>(batch.masks));
  const auto& teacher = objective.teacher();
  const auto told = vit_features(teacher.backbone, Variable(batch.global));
  const auto tokens = model.backbone({seen});
  const auto global = features_of(model.backbone.norm(tokens.x), tokens.grids[0]);
  const auto local = vit_features(model.backbone, Variable(batch.local));
  // mean over the rows
  const auto loss = [](const Variable& student_logits, const Variable& teacher_logits) {
    const Array z = student_logits.value() * (1 / 0.1),
                target = softmax(Variable(Array(teacher_logits.value() * (1 / 0.07)))).value();
    return mean(Array(logsumexp(z, {1}) - sum(Array(target * z), {1}))).item();
  };
  // of the two pictures of one pair of crops
  const auto pair = [&](const Variable& of, index_t crop, index_t view) {
    return loss(model.dino_head(slice(of, 0, 2 * crop, 2 * crop + 2)),
                teacher.dino_head(slice(told.cls, 0, 2 * view, 2 * view + 2)));
  };
  constexpr double pairs = 2 + 2 * 3;
  CHECK(value("dino_global") ==
        doctest::Approx((pair(global.cls, 0, 1) + pair(global.cls, 1, 0)) / pairs));
  double locals = 0;
  for (index_t crop = 0; crop < 3; ++crop)
    locals += pair(local.cls, crop, 0) + pair(local.cls, crop, 1);
  CHECK(value("dino_local") == doctest::Approx(locals / pairs));
  double patches = 0;
  for (index_t i = 0; i < 4; ++i)
    for (const index_t cell :
         i % 2 == 0 ? std::vector<index_t>{0, 1, 5} : std::vector<index_t>{2}) {
      const auto patch = [&](const Variable& all) { return select(select(all, 0, i), 0, cell); };
      const Variable mine = model.ibot_head(reshape(patch(global.patches), {1, 12})),
                     other = teacher.ibot_head(reshape(patch(told.patches), {1, 12}));
      patches += loss(mine, other) / (i % 2 == 0 ? 3 : 1);
    }
  CHECK(value("ibot") == doctest::Approx(patches / 4));
}

TEST_CASE("self-distillation: the teacher starts as the student, does not train, and follows") {
  Run<double> run(small(true), settings(Centering::centering), options(1));
  const auto mine = named_parameters(run.model), slow = named_parameters(run.objective.teacher());
  REQUIRE(mine.size() == slow.size());
  std::vector<Array> before;
  for (std::size_t i = 0; i < mine.size(); ++i) {
    CHECK(mine[i].first == slow[i].first);
    CHECK(same_bits(mine[i].second->value(), slow[i].second->value()));
    CHECK_FALSE(mine[i].second->value().shares_storage(slow[i].second->value()));
    CHECK_FALSE(slow[i].second->requires_grad());
    before.push_back(slow[i].second->value().clone());
  }
  run.train_to(1);
  for (std::size_t i = 0; i < mine.size(); ++i)
    CHECK(test::largest_difference(slow[i].second->value(),
                                   Array(before[i] * 0.9 + mine[i].second->value() * 0.1)) < 1e-15);
  CHECK(max(Array(abs(run.objective.dino_centre())), {}).item() > 0);
  CHECK(max(Array(abs(run.objective.ibot_centre())), {}).item() > 0);
}

TEST_CASE(
    "self-distillation: two and four ranks learn what one does with their pictures, masks and "
    "neighbours of KoLeo included") {
  for (const Centering centering : {Centering::centering, Centering::sinkhorn_knopp})
    for (const bool separate : {false, true}) {
      const OfRanks one = train_ranks(1, small(separate), settings(centering), 3);
      for (const int size : {2, 4}) {
        CAPTURE(size);
        const OfRanks several = train_ranks(size, small(separate), settings(centering), 3);
        for (const auto& state : several.states) {
          CHECK(state == several.states[0]);
          CHECK(largest_difference(state, one.states[0]) < 1e-9);
        }
        CHECK(largest_difference(several.losses, one.losses) < 1e-10);
      }
    }
}

TEST_CASE("self-distillation: ranks without masked patches, and a step without any, are fine") {
  for (const Centering centering : {Centering::centering, Centering::sinkhorn_knopp}) {
    const std::vector<std::vector<index_t>> some{{0, 1, 5}, {}, {7}, {}, {}, {}, {}, {}}, none(8);
    for (const auto& masked : {some, none}) {
      const OfRanks one = train_ranks(1, small(true), settings(centering), 2, masked),
                    two = train_ranks(2, small(true), settings(centering), 2, masked);
      CHECK(two.states[0] == two.states[1]);
      CHECK(largest_difference(two.states[0], one.states[0]) < 1e-9);
      CHECK(largest_difference(two.losses, one.losses) < 1e-10);
    }
  }
}

TEST_CASE(
    "self-distillation: batches that share a step are, but for KoLeo, one large batch, also with "
    "different numbers of masked patches") {
  SelfDistillationSettings s = settings(Centering::centering);
  s.koleo_weight = 0;
  const std::vector<std::vector<index_t>> masked{{0, 1, 5}, {2}, {3, 4}, {}};
  auto whole = crops<double>(0, 0, 4), first = crops<double>(0, 0, 2),
       second = crops<double>(0, 2, 4);
  whole.masks = masks(masked);
  first.masks = masks({masked.begin(), masked.begin() + 2});
  second.masks = masks({masked.begin() + 2, masked.end()});
  Run<double> large(small(true), s, options(1)), parts(small(true), s, options(1));
  const StepResult a = large.trainer.train_step(std::vector{whole}),
                   b = parts.trainer.train_step(std::vector{first, second});
  CHECK(b.loss == doctest::Approx(a.loss).epsilon(1e-12));
  CHECK(largest_difference(b.grad_norms, a.grad_norms) < 1e-10);
  CHECK(largest_difference(state_of(parts.objective), state_of(large.objective)) < 1e-9);

  // a part without masked patches does not pull the centre towards zero
  first.masks = masks({{0, 1}, {2}}), second.masks = masks({{}, {}});
  Run<double> alone(small(true), s, options(1)), beside(small(true), s, options(1));
  alone.trainer.train_step(std::vector{first});
  beside.trainer.train_step(std::vector{first, second});
  CHECK(test::largest_difference(alone.objective.ibot_centre(), beside.objective.ibot_centre()) <
        1e-14);
}

TEST_CASE(
    "self-distillation: a step that is not finite leaves student, teacher and centres alone") {
  for (const Centering centering : {Centering::centering, Centering::sinkhorn_knopp}) {
    Run<float> run(small(false), settings(centering), options(3));
    run.train_to(1);
    const auto before = state_of(run.objective);
    auto poisoned = crops<float>(1, 0, 8);
    poisoned.global.slice(0, 3, 4).fill(std::numeric_limits<float>::quiet_NaN());
    const StepResult r = run.trainer.train_step(std::vector{poisoned});
    CHECK_FALSE(r.finite);
    CHECK(run.trainer.skipped_steps() == 1);
    CHECK(state_of(run.objective) == before);
    CHECK(run.trainer.train_step(std::vector{crops<float>(2, 0, 8)}).finite);
    const auto after = state_of(run.objective);
    CHECK(after != before);
    for (const double x : after) CHECK(std::isfinite(x));
  }
}

TEST_CASE(
    "self-distillation: a run that goes on from a checkpoint has the bits of one that did not "
    "stop") {
  for (const Centering centering : {Centering::centering, Centering::sinkhorn_knopp}) {
    SelfDistillationConfig config = small(centering == Centering::sinkhorn_knopp);
    config.backbone.drop_path = 0.3;
    Run<float> straight(config, settings(centering), options(4)),
        first(config, settings(centering), options(4)),
        second(config, settings(centering), options(4));
    straight.train_to(4);
    first.train_to(2);
    const std::string path = first.trainer.save([](const std::string&) {});
    for (auto& [name, p] : named_parameters(second.model)) p->value().fill(0.5f);
    second.trainer.restore(path);
    CHECK(second.trainer.step() == 2);
    CHECK(state_of(second.objective) == state_of(first.objective));
    second.train_to(4);
    CHECK(state_of(second.objective) == state_of(straight.objective));
    const SafetensorsFile teacher(path + "/teacher.safetensors");
    CHECK(teacher.contains("backbone.blocks.0.attn.qkv.weight"));
    CHECK(is_file(path + "/centres.safetensors") == (centering == Centering::centering));
  }
}

TEST_CASE("self-distillation: one, two and four threads learn the same bits") {
  const int before = omp_get_max_threads();
  std::vector<double> one;
  for (const int threads : {1, 2, 4}) {
    omp_set_num_threads(threads);
    SelfDistillationConfig config = small(false);
    config.backbone.drop_path = 0.3;
    Run<float> run(config, settings(Centering::sinkhorn_knopp), options(2));
    run.train_to(2);
    if (threads == 1) one = state_of(run.objective);
    CHECK(state_of(run.objective) == one);
  }
  omp_set_num_threads(before);
}

TEST_CASE("self-distillation: a run that has collapsed ends before it moves anything") {
  SelfDistillationSettings s = settings(Centering::centering);
  s.collapse = {.min_entropy = 1.5, .max_entropy = 2, .after = 0.1, .patience = 2};
  Run<float> run(small(false), s, options(9));
  run.train_to(2);  // step 1 is the first outside
  const auto before = state_of(run.objective);
  CHECK_THROWS_WITH_AS(run.train_to(3), doctest::Contains("self_distillation: collapsed: "), error);
  CHECK(state_of(run.objective) == before);
}

TEST_CASE(
    "self-distillation: a run that has collapsed ends at the same step however often it was "
    "stopped") {
  SelfDistillationSettings s = settings(Centering::centering);
  s.collapse = {.min_entropy = 1.5, .max_entropy = 2, .after = 0.1, .patience = 3};
  std::string path;
  // Goes on for one step, from the checkpoint there is
  const auto one_step = [&](Run<float>& run) {
    if (!path.empty()) run.trainer.restore(path);
    return error_of([&] {
      run.train_to(run.trainer.step() + 1);
      path = run.trainer.save([](const std::string&) {});
    });
  };
  std::vector<std::unique_ptr<Run<float>>> runs;  // with their folders
  std::string message = "no error";
  while (message == "no error" && runs.size() < 9)
    message = one_step(
        *runs.emplace_back(std::make_unique<Run<float>>(small(false), s, options(9))));
  CHECK(message.find("self_distillation: collapsed: ") == 0);
  CHECK(message.find("3 steps in a row") != std::string::npos);
  CHECK(runs.back()->trainer.step() == 3);  // steps 1, 2 and 3 are outside
  // One from before this was counted goes on, and counts from there
  Json state = read_json(path + "/state.json");
  CHECK(state.at("counts").at("steps_of_collapse") == 2);
  state.erase("counts");
  atomic_write(path + "/state.json", state.dump());
  Run<float> older(small(false), s, options(9));
  older.trainer.restore(path);
  older.train_to(5);
  CHECK_THROWS_WITH_AS(older.train_to(6), doctest::Contains("3 steps in a row"), error);
  state["counts"] = {{"steps_of_collapse", "two"}};
  atomic_write(path + "/state.json", state.dump());
  CHECK_THROWS_WITH_AS(older.trainer.restore(path), doctest::Contains("state.json: "), error);
}

TEST_CASE("self-distillation: batches that make no sense are named") {
  Run<float> run(small(false), settings(Centering::centering), options(9));
  const auto message = [&](const CropBatch<float, Cpu>& batch) {
    return error_of([&] { run.trainer.train_step(std::vector{batch}); });
  };
  auto odd = crops<float>(0, 0, 2);
  odd.global = odd.global.slice(0, 0, 3).clone();
  CHECK(message(odd) == "self_distillation: 3 global crops, expected two each");
  auto locals = crops<float>(0, 0, 2);
  locals.local = locals.local.slice(0, 0, 5).clone();
  CHECK(message(locals) == "self_distillation: 5 local crops of 2 pictures");
  auto masked = crops<float>(0, 0, 2);
  masked.masks.resize(63);
  CHECK(message(masked) == "self_distillation: 63 mask entries, expected 4 x 16");
  CHECK(message(crops<float>(0, 0, 1)).find("koleo: 1 rows, a neighbour needs two") !=
        std::string::npos);
  auto channels = crops<float>(0, 0, 2);
  channels.global = Tensor<float>::ones({4, 3, 8, 8});
  CHECK(message(channels) ==
        "self_distillation: global is (4, 3, 8, 8), expected (2B, in_chans = 1, H, W)");
}

TEST_CASE("self-distillation: without local crops and without KoLeo") {
  SelfDistillationSettings s = settings(Centering::centering);
  s.koleo_weight = 0;
  Run<float> run(small(false), s, options(2));
  auto batch = crops<float>(0, 0, 1);
  batch.local = {};
  const StepResult r = run.trainer.train_step(std::vector{batch});
  CHECK(r.finite);
  for (const auto& [name, x] : r.others)
    if (name == "dino_local" || name == "koleo") CHECK(x == 0);
}
