#include "../io/temp_folder.hpp"
#include "../support/gradients.hpp"

#include <hlip/systems/rad_dino/self_distillation.hpp>
#include <hlip/systems/rad_dino/study_encoder.hpp>
#include <hlip/systems/rad_dino/study_samples.hpp>

#include <omp.h>

#include <memory>

using namespace test;

namespace {

/// Large views of 2 scans of 2 x 2 x 2 patches, small ones of one scan of a patch; slices, then
/// scans, then the study.
StudyDistillationConfig small() {
  StudyDistillationConfig c;
  HlipVitConfig& v = c.backbone;
  v.img_size = {4, 4, 4}, v.patch_size = {2, 2, 2};
  v.embed_dim = 12, v.depth = 3, v.num_heads = 2, v.mlp_ratio = 2;
  v.reg_tokens = 1, v.max_num_scans = 2;
  v.blocks_of_level = {{0}, {1}, {2}};
  c.dino_head = {.hidden = 16, .bottleneck = 6, .prototypes = 10, .layers = 2};
  return c;
}
SelfDistillationSettings settings() {
  SelfDistillationSettings s;
  s.masking.min_patches = 1;
  return s;
}
using Backbone = StudyBackbone<double, Cpu>;
using Model = StudyDistillationModel<double, Cpu>;
using Distillation = SelfDistillationObjective<double, Cpu, SingleProcess, Backbone>;

/// Weights at sizes that show; tables of positions stay.
template <class M> void fill(M& module) {
  std::uint32_t stream = 20;
  for (auto& [name, p] : named_parameters(module))
    if (p->requires_grad())
      *p = std::remove_reference_t<decltype(*p)>(
          numbers(p->shape(), stream++, -0.4, 0.6).template to<typename M::value_type>(), true);
}
Model model_of() {
  Initializer init(4);
  Model model(small(), init);
  fill(model);
  return model;
}
/// Views of three studies.
CropBatch<double, Cpu> views(std::uint32_t stream = 1) {
  CropBatch<double, Cpu> batch;
  batch.global = numbers({6, 2, 1, 4, 4, 4}, stream);
  batch.local = numbers({6, 1, 1, 2, 2, 2}, stream + 1);
  return batch;
}
StepContext step_context(std::int64_t step = 0) {
  StepContext at;
  at.context = {true, {9, 1, static_cast<std::uint64_t>(step)}};
  at.shared = at.context;
  at.values = {{"teacher_temp", 0.07}, {"momentum", 0.9}};
  return at;
}
VitInput<double, Cpu> hidden(const Array& studies, std::initializer_list<index_t> cells) {
  VitInput<double, Cpu> input{Variable(studies)};
  const index_t n = studies.dim(0);
  std::vector<std::uint8_t> masks(static_cast<std::size_t>(n * 16));
  for (const index_t cell : cells) masks[static_cast<std::size_t>(cell)] = 1;
  input.masks = Tensor<std::uint8_t, Cpu>::from_values({n, 16},
                                                       std::span<const std::uint8_t>(masks));
  return input;
}

/// Scans whose voxels say which they are: study i has i + 1 scans, of the values 10 i + scan.
struct Numbered : StudyScans {
  std::string text = "numbered";
  index_t size() const override { return 3; }
  const std::string& name(index_t) const override { return text; }
  std::size_t scans(index_t i) const override { return static_cast<std::size_t>(i) + 1; }
  const std::string& path(index_t, std::size_t) const override { return text; }
  Tensor<float, Cpu> load(index_t i, std::size_t s) const override {
    auto scan = Tensor<float, Cpu>::full({4, 4, 4},
                                         static_cast<float>(10 * i) + static_cast<float>(s));
    scan.data()[0] += 0.5f;  // one value alone is no scan
    return scan;
  }
};

}  // namespace

TEST_CASE("study backbone: rows of class tokens and patches, of crops of two sizes") {
  const Model model = model_of();
  const Backbone& encoder = model.backbone;
  const NoGrad guard;
  const auto batch = views();
  const auto tokens = encoder({Variable(batch.global), Variable(batch.local)});
  REQUIRE(tokens.grids.size() == 2);
  for (std::size_t g = 0; g < 2; ++g) {
    const Array x = g == 0 ? batch.global : batch.local;
    const HlipVit<3, double, Cpu>& plain = encoder;
    const Array features = plain(Variable(x)).value();
    for (index_t n = 0; n < 6; ++n) {
      const index_t row = tokens.grids[g].cls(n);
      CHECK(same_bits(encoder.norm(slice(tokens.x, 0, row, row + 1)).value(),
                      features.slice(0, n, n + 1).contiguous()));
    }
  }
  // what a patch hides is seen at its own row most of all
  encoder.mask_token.value().assign(Array::full({1, 12}, 1e4));
  const auto seen = encoder({hidden(batch.global, {16 + 11})});
  const Array change = abs(
      Array(seen.x.value() - tokens.x.value().slice(0, 0, seen.x.dim(0)).contiguous()));
  for (index_t n = 0; n < 6; ++n)
    for (index_t p = 0; p < 16; ++p) {
      const index_t row = seen.grids[0].patch(n, p);
      CHECK((max(change.slice(0, row, row + 1).contiguous(), {}).item() > 5e3) ==
            (n == 1 && p == 11));
    }
}

TEST_CASE("study backbone: hidden voxels change nothing; masks are drawn scan by scan") {
  const Model model = model_of();
  const Array studies = views().global;
  const auto pass = [&](const Array& x, std::initializer_list<index_t> cells) {
    return model.backbone({hidden(x, cells)}).x.value();
  };
  Array other = studies.clone();
  other.data()[0] += 1;  // voxel 0 is in patch 0 of study 0
  CHECK(same_bits(pass(studies, {0, 5}), pass(other, {0, 5})));
  CHECK_FALSE(same_bits(pass(studies, {5}), pass(other, {5})));
  const CropGrid grid = mask_grid(model.backbone, studies.shape());
  CHECK(grid.crops == 6);
  CHECK(grid.parts == 2);
  CHECK(grid.part.cells() == 8);
  CHECK(error_of([&] {
          mask_grid(model.backbone, {6, 1, 4, 4});
        }).find("hlip_vit") != std::string::npos);
  auto wrong = hidden(studies, {});
  wrong.masks = Tensor<std::uint8_t, Cpu>::zeros({6, 8});
  CHECK(error_of([&] { model.backbone({wrong}); }) == "custom: masks are (6, 8) for 96 patches");
}

TEST_CASE(
    "self-distillation of studies: the gradient is that of the loss, for what is before the "
    "blocks, "
    "in them and behind") {
  Model model = model_of();
  Distillation objective(model, small(), settings());
  const std::vector parts{views()};
  const auto loss = [&] {
    zero_grad(model);
    return objective.backward(parts, step_context())[0].second.item();
  };
  loss();
  std::vector<std::pair<Array, Array>> checked;  // value and gradient
  std::vector<std::string> names;
  for (const auto& parameter : named_parameters(model)) {
    const std::string& name = parameter.first;
    const auto* p = parameter.second;
    if (!p->requires_grad()) continue;
    REQUIRE_MESSAGE(p->has_grad(), name);
    if (name.find("blocks.") != name.npos && !name.ends_with("attn.proj.weight")) continue;
    if (name.starts_with("dino_head") && !name.ends_with("weight_v")) continue;
    checked.emplace_back(p->value(), p->grad().clone());
    names.push_back(name);
  }
  for (std::size_t i = 0; i < checked.size(); ++i) {
    auto& [value, gradient] = checked[i];
    const index_t element = static_cast<index_t>(i * 7) % value.numel();
    double& x = value.data()[element];
    const double before = x, h = 1e-6;
    x = before + h;
    const double up = loss();
    x = before - h;
    const double down = loss();
    x = before;
    CAPTURE(names[i]);
    CHECK(gradient.data()[element] ==
          doctest::Approx((up - down) / (2 * h)).epsilon(1e-5).scale(1e-2));
  }
}

TEST_CASE(
    "self-distillation of studies: the loss falls, and is the same to the bit on one and on two "
    "threads") {
  const auto train = [](int threads) {
    omp_set_num_threads(threads);
    Model model = model_of();
    Distillation objective(model, small(), settings());
    std::vector<double> losses;
    for (std::int64_t step = 0; step < 20; ++step) {
      zero_grad(model);
      losses.push_back(objective.backward(std::vector{views()}, step_context())[0].second.item());
      for (auto& [name, p] : named_parameters(model))
        if (p->requires_grad()) p->value().assign(Array(p->value() - p->grad() * 0.5));
      objective.after_step(step_context(step));
    }
    return losses;
  };
  const int before = omp_get_max_threads();
  const auto one = train(1), two = train(2);
  omp_set_num_threads(before);
  CHECK(one == two);
  CHECK(one.back() < one.front() - 0.02);
}

TEST_CASE(
    "study encoder: what is left behind is a trunk of HLIP's, without the mask token, and a start "
    "for another run") {
  const TempFolder folder;
  Initializer init(1);
  HlipVitConfig config = small().backbone;
  StudyBackbone<float> written(config, init), start(config, init);
  fill(written);
  write_study_encoder(folder / "encoder", written, "spacing=3,1,1");
  NamedWeights weights(open_weights(folder / "encoder/model.safetensors"));
  weights.select("visual.trunk.");
  HlipVit<3, float> trunk(config, init);
  const LoadReport report = load_state_dict(trunk, weights);  // strict
  CHECK(report.ok());
  const auto studies = Var<float>(views().global.to<float>());
  const NoGrad guard;
  const auto features = [&](const HlipVit<3, float>& encoder) { return encoder(studies).value(); };
  CHECK(same_bits(features(trunk), features(written)));
  CHECK(load_pretrained_encoder(start, folder / "encoder").find("missing") != std::string::npos);
  CHECK(same_bits(features(start), features(written)));
  const Json j = read_json(folder / "encoder/model.json");
  CHECK(clip_config_from_json(j["model"], "").vision.blocks_of_level == config.blocks_of_level);
  CHECK(j["preprocessing"] == "spacing=3,1,1");
  config.embed_dim = 24;
  StudyBackbone<float> wider(config, init);
  CHECK(error_of([&] {
          load_pretrained_encoder(wider, folder / "encoder");
        }).find("is not of the encoder custom") != std::string::npos);
}

TEST_CASE("study views: scans are drawn with the key, in memory or not, and repeated where few") {
  VolumeViewOptions o;
  o.global_size = {4, 4, 4}, o.local_size = {2, 2, 2};
  o.local_count = 2, o.jitter = 0;
  const auto studies = std::make_shared<const Numbered>();
  const StudyViews plain(studies, o, 2, false), cached(studies, o, 2, true);
  CHECK(plain.size() == 3);
  std::set<float> seen;
  for (std::uint64_t draw = 0; draw < 20; ++draw) {
    const RandomKey key = sample_key(draw, 0, 2);
    const MultiCropViews a = plain.get(2, key), b = cached.get(2, key);
    CHECK(a.global.shape() == Shape{2, 2, 1, 4, 4, 4});
    CHECK(a.local.shape() == Shape{2, 1, 1, 2, 2, 2});
    CHECK(same_bits(a.global, b.global));
    CHECK(same_bits(a.local, b.local));
    const auto values = a.global.to_vector();
    const float first = std::floor(values[63]), second = std::floor(values[127]);
    CHECK(first != second);  // two of three scans
    seen.insert({first, second});
  }
  CHECK(seen == std::set<float>{20, 21, 22});
  const auto repeated = plain.get(0, {}).global.to_vector();
  CHECK(std::floor(repeated[63]) == std::floor(repeated[127]));
  CHECK(error_of([&] { StudyViews(studies, o, 0, false); }) ==
        "study views: num_scans 0, expected at least 1");
}
