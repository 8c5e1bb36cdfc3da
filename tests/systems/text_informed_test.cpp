#include "../support/errors.hpp"
#include "../support/gradients.hpp"

#include <hlip/distributed/thread_group.hpp>
#include <hlip/models/resnet3d.hpp>
#include <hlip/systems/t3d/text_informed.hpp>
#include <hlip/train/trainer.hpp>

#include <map>
#include <thread>

using namespace test;

namespace {

using Visual = ResNet3d<double, Cpu>;
using Model = TextInformedModel<Visual, double, Cpu>;
using Pairs = SubVolumePairs<double, Cpu>;
using Ids = Tensor<std::int64_t, Cpu>;
template <class C = SingleProcess>
using TextInformed = TextInformedObjective<Visual, double, Cpu, C>;

/// A residual network of two maps, reports of six tokens; gates open.
/// @param groups of its norms, 0: batch norms
Model model_of(index_t groups) {
  ResNet3dConfig c;
  c.name = "tiny";
  c.stem_width = 4, c.stem_kernel = 3, c.stem_pool = false, c.norm_groups = groups;
  c.layers = {{2, 1, 2}};
  Initializer init(7);
  TextInformedConfig config;
  config.fusion_heads = 2, config.embed_dim = 5, config.decoder_widths = {3};
  Model model(Visual(c, init), ReportTower<double, Cpu>(11, 6, 4, init), config, 1, init);
  model.fusion.gate.value().fill(0.5);
  model.fusion.gate_m.value().fill(0.4);
  for (const auto& [name, p] : named_parameters(model))
    if (name.starts_with("fusion.") && name.ends_with("weight") && p->rank() == 2)
      p->value().assign(numbers(p->shape(), 90, -0.6, 0.6));
  return model;
}

/// Sub-volumes of studies [first, last) of the four that a step has; reports of their own.
Pairs pairs(std::int64_t step, index_t first, index_t last) {
  const auto stream = 50 + 10 * static_cast<std::uint32_t>(step);
  const auto volumes = [&](std::uint32_t which) {
    return numbers({4, 1, 8, 8, 8}, stream + which, 0, 1).slice(0, first, last).contiguous();
  };
  Pairs p;
  p.view_a = volumes(0), p.view_b = volumes(1), p.corrupt_a = volumes(2), p.corrupt_b = volumes(3);
  p.ids = Ids::from_values(
              {4, 6}, {1, 2, 3, 0, 0, 0, 4, 5, 0, 0, 0, 0, 6, 7, 8, 9, 10, 0, 3, 3, 1, 2, 0, 0})
              .slice(0, first, last)
              .contiguous();
  p.studies = Ids::arange(last - first, first);
  return p;
}

TextInformedSettings settings() {
  TextInformedSettings s;
  s.text_dropout = 0;
  return s;
}
StepContext step_context() {
  StepContext at;
  at.context = {true, {9, 1, 0}};
  at.shared = at.context;
  return at;
}

/// Gradients of all that is trained, by name.
std::map<std::string, Array> gradients_of(Model& model) {
  std::map<std::string, Array> all;
  for (const auto& [name, p] : named_parameters(model))
    if (p->requires_grad() && p->has_grad()) all[name] = p->grad().clone();
  return all;
}
void check_alike(const std::map<std::string, Array>& a, const std::map<std::string, Array>& b) {
  REQUIRE(a.size() == b.size());
  for (const auto& item : a) {
    REQUIRE_MESSAGE(b.contains(item.first), item.first);
    CHECK_MESSAGE(largest_difference(item.second, b.at(item.first)) < 1e-12, item.first);
  }
}

}  // namespace

TEST_CASE("text-informed: the gradient is that of contrast plus restoration, everywhere") {
  Model model = model_of(1);
  TextInformedSettings s = settings();
  s.restoration_weight = 0.7;
  TextInformed<> objective(model, s);
  const std::vector<Pairs> parts{pairs(0, 0, 4)};
  const auto total = [&] {
    zero_grad(model);
    return objective.backward(parts, step_context())[0].second.item();
  };
  total();
  std::vector<std::pair<std::string, Var<double, Cpu>*>> trained;
  for (const auto& p : named_parameters(model))
    if (p.second->requires_grad()) trained.push_back(p);
  const auto gradients = gradients_of(model);
  for (std::size_t i = 0; i < trained.size(); ++i) {
    const std::string& name = trained[i].first;
    REQUIRE_MESSAGE(gradients.contains(name), name);
    const Array value = trained[i].second->value();
    const index_t element = static_cast<index_t>(i * 7) % value.numel();
    double& x = value.data()[element];
    const double before = x, h = 1e-6;
    x = before + h;
    const double up = total();
    x = before - h;
    const double down = total();
    x = before;
    CHECK_MESSAGE(gradients.at(name).data()[element] ==
                      doctest::Approx((up - down) / (2 * h)).epsilon(1e-5).scale(1e-3),
                  name);
  }
}

TEST_CASE("text-informed: the numbers of a step are its two losses and what they are made of") {
  Model model = model_of(0);
  TextInformedSettings s = settings();
  s.contrast_weight = 0.5, s.restoration_weight = 3;
  TextInformed<> objective(model, s);
  std::map<std::string, double> of;
  for (const auto& [name, x] : objective.backward({pairs(0, 0, 4)}, step_context()))
    of[name] = x.item();
  CHECK(of.at("loss") == doctest::Approx(0.5 * of.at("contrast") + 3 * of.at("restoration")));
  CHECK(of.at("restoration") > 0);
  CHECK(of.at("logit_scale") == doctest::Approx(1 / 0.07));
  const double quarters = 4 * of.at("pair_accuracy");
  CHECK(quarters == std::round(quarters));
}

TEST_CASE("text-informed: a batch in parts has the gradient of the whole") {
  Model model = model_of(1);
  const auto gradients = [&](const TextInformedSettings& s, const std::vector<Pairs>& parts) {
    zero_grad(model);
    TextInformed<> objective(model, s);
    objective.backward(parts, step_context());
    return gradients_of(model);
  };
  check_alike(gradients(settings(), {pairs(0, 0, 4)}),
              gradients(settings(), {pairs(0, 0, 2), pairs(0, 2, 4)}));
  TextInformedSettings contrast = settings();
  contrast.restoration_weight = 0;  // whose mean is that of the parts, which here are uneven
  check_alike(gradients(contrast, {pairs(0, 0, 4)}),
              gradients(contrast, {pairs(0, 0, 1), pairs(0, 1, 3), pairs(0, 3, 4)}));
}

TEST_CASE("text-informed: running moments move once a pass, however many parts a step has") {
  Model whole = model_of(0), parted = model_of(0);
  TextInformed<> one(whole, settings()), two(parted, settings());
  const auto moments = running_moments(parted);
  one.backward({pairs(0, 0, 2)}, step_context());
  const auto after_one_pass = running_moments(whole);
  two.backward({pairs(0, 0, 2), pairs(0, 0, 2)}, step_context());
  one.backward({pairs(0, 0, 2)}, step_context());
  for (std::size_t i = 0; i < moments.size(); ++i)
    CHECK(largest_difference(moments[i], after_one_pass[i]) < 1e-12);
}

TEST_CASE("text-informed: without a report the embedding is the visual one, and nothing asks") {
  Model model = model_of(1);
  const Pairs p = pairs(0, 0, 2);
  const auto tokens = Model::tokens_of(model.visual(Variable(p.view_a)).back());
  const auto nothing = Tensor<std::uint8_t, Cpu>::zeros({2, 6});
  CHECK(same_bits(model.fusion(tokens, model.text(p.ids), nothing).value(), tokens.value()));
  TextInformedSettings s = settings();
  s.text_dropout = 1;
  TextInformed<> objective(model, s);
  objective.backward({p}, step_context());
  for (const auto& [name, gradient] : gradients_of(model))
    if (name.starts_with("text.") || name.starts_with("fusion."))
      CHECK(Array(sum(Array(abs(gradient)))).item() == 0);
}

TEST_CASE("text-informed: a BERT and studies without a word have gradients that are numbers") {
  Model model = model_of(1);
  Initializer init(8);
  BertConfig bert;
  bert.vocab_size = 11, bert.hidden_size = 4, bert.num_layers = 1, bert.num_heads = 2;
  bert.intermediate_size = 8, bert.max_positions = 6, bert.dropout = 0.5;
  model.text = ReportTower<double, Cpu>(Bert<double, Cpu>(bert, init));
  Pairs p = pairs(0, 0, 4);
  p.ids = p.ids.clone();
  p.ids.slice(0, 1, 3).fill(0);
  const auto finite = [&] {
    for (const auto& [name, gradient] : gradients_of(model))
      for (const double g : gradient.to_vector()) CHECK(std::isfinite(g));
  };
  TextInformed<> objective(model, settings());
  objective.backward({p}, step_context());
  finite();
  CHECK(model.text.transformer.embeddings.word.weight.has_grad());
  // frozen: no gradient, and no dropout
  set_requires_grad(model.text, false, [](const std::string&) { return true; });
  zero_grad(model);
  TextInformed<> frozen(model, settings());
  const double loss = frozen.backward({p}, step_context())[0].second.item();
  finite();
  CHECK_FALSE(model.text.transformer.embeddings.word.weight.has_grad());
  bert.dropout = 0;
  model.text.transformer.config.dropout = 0;
  CHECK(frozen.backward({p}, step_context())[0].second.item() == loss);
}

TEST_CASE("text-informed: one task alone leaves the other's parts untouched") {
  for (const bool contrast : {true, false}) {
    Model model = model_of(1);
    TextInformedSettings s = settings();
    (contrast ? s.restoration_weight : s.contrast_weight) = 0;
    TextInformed<> objective(model, s);
    objective.backward({pairs(0, 0, 4)}, step_context());
    const auto gradients = gradients_of(model);
    CHECK(gradients.contains("decoder.last.weight") == !contrast);
    CHECK(gradients.contains("project.0.weight") == contrast);
    CHECK(gradients.contains("text.words.weight"));
    CHECK(gradients.contains("visual.conv1.weight"));
  }
  Model model = model_of(1);
  TextInformedSettings s = settings();
  s.contrast_weight = s.restoration_weight = 0;
  CHECK(error_of([&] { TextInformed<> objective(model, s); }).find("expected one above 0") !=
        std::string::npos);
}

TEST_CASE("text-informed: two ranks that share the studies of a step train as one process does") {
  TrainerOptions o;
  o.steps = 3;
  o.schedule = {.lr = 1e-2, .warmup = 2, .cosine_from_start = true};
  o.adamw = {0.9, 0.999, 1e-2};  // so large an eps keeps noise noise
  o.grad_clip_norm = 1;
  const auto train = [&](const auto& c) {
    using C = std::decay_t<decltype(c)>;
    Model model = model_of(1);
    TextInformed<C> objective(model, settings(), c);
    Trainer<TextInformed<C>, C> trainer(objective, o, CheckpointStore("", {"step"}), c);
    const index_t rows = 4 / c.size(), first = c.rank() * rows;
    for (int step = 0; step < 3; ++step)
      trainer.train_step(std::vector{pairs(step, first, first + rows)});
    std::vector<Array> weights;
    for (const auto& p : named_parameters(model)) weights.push_back(p.second->value().clone());
    return weights;
  };
  const auto alone = train(SingleProcess{});
  std::vector<std::vector<Array>> shared(2);
  const ThreadGroup group(2);
  std::vector<std::thread> threads;
  for (int r = 0; r < 2; ++r)
    threads.emplace_back([&, r] { shared[static_cast<std::size_t>(r)] = train(group.rank(r)); });
  for (auto& t : threads) t.join();
  for (std::size_t i = 0; i < alone.size(); ++i) {
    CHECK(largest_difference(alone[i], shared[0][i]) < 1e-9);
    CHECK(same_bits(shared[0][i], shared[1][i]));
  }
}

TEST_CASE("text-informed: the learning rate is the warm-up's share of a cosine over all steps") {
  const ScheduleOptions o{.lr = 1e-3, .warmup = 3, .total = 8, .cosine_from_start = true};
  for (int t = 0; t < 8; ++t)
    CHECK(learning_rate(o, t) == doctest::Approx(1e-3 * std::min(1.0, (t + 1) / 3.0) * 0.5 *
                                                 (1 + std::cos(std::numbers::pi * t / 8))));
}

TEST_CASE("text-informed: sub-volumes of different sizes are refused") {
  Model model = model_of(1);
  TextInformed<> objective(model, settings());
  Pairs p = pairs(0, 0, 2);
  p.corrupt_b = p.corrupt_b.slice(2, 0, 4).contiguous();
  CHECK(error_of([&] { objective.backward({p}, step_context()); }).find("(2, 1, 4, 8, 8) beside") !=
        std::string::npos);
}

TEST_CASE("RestorationDecoder: strides that are no powers of two are undone as well") {
  Initializer init(1);
  const RestorationDecoder<double, Cpu> decoder(5, {6, 4, 1}, {3}, 2, init);
  CHECK(decoder(Variable(numbers({1, 5, 2, 1, 3}, 1))).shape() == Shape{1, 2, 12, 4, 3});
}
