// Encoders of radiographs: a step of self-distillation as train_rad_dino makes it, and features of
// pictures.
#pragma once

#include "options.hpp"

#include <hlip/models/vit_configs.hpp>
#include <hlip/models/vit_outputs.hpp>
#include <hlip/systems/rad_dino/schedules.hpp>
#include <hlip/systems/rad_dino/self_distillation.hpp>
#include <hlip/train/trainer.hpp>

#include <memory>
#include <string>
#include <vector>

namespace bench {

struct PictureOptions : RunOptions {
  std::string model = "vit_base_patch14_dinov2";
  index_t batch = 1, size = 518, warmup = 1;
};

inline void add_picture_options(CLI::App* app, PictureOptions& o, const char* size_help) {
  app->add_option("--model", o.model, "encoder by name")
      ->check(CLI::IsMember(vit_config_names()))
      ->capture_default_str();
  add_count(app, "--batch", o.batch, "pictures");
  add_count(app, "--size", o.size, size_help);
  add_run_options(app, o, 3);
  add_device(app, o);
  add_count(app, "--warmup", o.warmup, "steps before the timed ones", 0);
}

struct SelfDistillationOptions : PictureOptions {
  index_t local_size = 98, local_crops = 8, prototypes = 65536;
  double drop_path = 0.3;
  std::string centering = "centering";

  Json json() const {
    return {{"model", model},
            {"batch", batch},
            {"size", size},
            {"local_size", local_size},
            {"local_crops", local_crops},
            {"prototypes", prototypes},
            {"drop_path", drop_path},
            {"centering", centering}};
  }
  SelfDistillationConfig config() const {
    SelfDistillationConfig c;
    c.backbone = vit_config(model);
    c.backbone.drop_path = drop_path;
    c.dino_head.prototypes = prototypes;
    return c;
  }
  SelfDistillationSettings settings() const {
    SelfDistillationSettings s;
    if (centering != "centering") s.centering = Centering::sinkhorn_knopp;
    s.collapse.patience = most;  // noise has no features to keep apart
    return s;
  }
};

/// Model, objective and trainer of train_rad_dino, and crops of noise for them.
template <class B> class SelfDistillationBench {
 public:
  explicit SelfDistillationBench(const SelfDistillationOptions& o)
      : init_(1),
        model_(o.config(), init_),
        objective_(model_, o.config(), o.settings()),
        trainer_(objective_, trainer_options(o), CheckpointStore("", {"step"})) {
    const MemoryScope scope(MemoryCategory::data);
    const index_t channels = o.config().backbone.in_chans;
    parts_[0].global = random_tensor<B>({2 * o.batch, channels, o.size, o.size}, 2);
    if (o.local_crops > 0)
      parts_[0].local = random_tensor<B>(
          {o.local_crops * o.batch, channels, o.local_size, o.local_size}, 3);
  }

  /// Masks are drawn, the teacher's answers, loss, backward, clipping, AdamW, the teacher moves;
  /// waits for the device.
  void step() {
    const StepResult result = trainer_.train_step(parts_);
    expect(result.finite, "hlip_bench", "the loss is {}, the gradient norm {}", result.loss,
           result.grad_norm);
    wait_for<B>();
  }

 private:
  static TrainerOptions trainer_options(const SelfDistillationOptions& o) {
    SelfDistillationSchedule schedule;
    schedule.batch = o.batch;
    schedule.freeze_last_layer = 0;
    TrainerOptions t;
    t.steps = schedule.steps;
    t.schedule = learning_rate_of(schedule);
    t.schedules = schedules_of(schedule);
    t.adamw = {0.9, 0.999, 1e-8};
    t.grad_clip_norm = 3;
    t.seed = 1;
    return t;
  }

  Initializer init_;
  SelfDistillationModel<float, B> model_;
  SelfDistillationObjective<float, B> objective_;
  Trainer<SelfDistillationObjective<float, B>> trainer_;
  std::vector<CropBatch<float, B>> parts_{1};
};

/// What tensors held when they held most, by category.
template <class B> Json tensor_bytes() {
  Json bytes;
  const MemoryUse peak = memory_statistics<B>().peak();
  for (std::size_t i = 0; i < peak.bytes.size(); ++i)
    if (peak.bytes[i] > 0) bytes[std::string(memory_category_names[i])] = peak.bytes[i];
  return {{"tensor_bytes", bytes}};
}

inline void add_self_distillation(CLI::App& root, Subjects& subjects) {
  auto o = std::make_shared<SelfDistillationOptions>();
  o->batch = 4, o->size = 224;
  auto* app = root.add_subcommand(
      "self-distillation",
      "one training step of RAD-DINO's self-distillation: two large and "
      "several small crops of every picture");
  add_picture_options(app, *o, "side of the large crops");
  add_count(app, "--local-size", o->local_size, "side of the small crops");
  add_count(app, "--local-crops", o->local_crops, "small crops of a picture", 0);
  add_count(app, "--prototypes", o->prototypes, "outputs of the head", 2);
  app->add_option("--drop-path", o->drop_path, "rate of stochastic depth, by subsets")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  app->add_option("--centering", o->centering, "of the teacher's answers")
      ->check(CLI::IsMember({"centering", "sinkhorn_knopp"}))
      ->capture_default_str();
  subjects.emplace_back(app, [o] {
    on_device(o->device, [&](auto device) {
      using B = decltype(device);
      SelfDistillationBench<B> b(*o);
      for (const int threads : o->threads) {
        set_threads(threads);
        const Seconds seconds = seconds_of_steps(
            o->steps, [&] { b.step(); }, o->warmup);
        print<B>("self-distillation", o->json(), threads, o->steps, seconds, tensor_bytes<B>());
      }
    });
  });
}

inline void add_encode(CLI::App& root, Subjects& subjects) {
  auto o = std::make_shared<PictureOptions>();
  auto* app = root.add_subcommand("encode",
                                  "class and patch tokens of prepared pictures, without gradients");
  add_picture_options(app, *o, "side of a picture");
  subjects.emplace_back(app, [o] {
    on_device(o->device, [&](auto device) {
      using B = decltype(device);
      Initializer init(1);
      const Vit<float, B> vit(vit_config(o->model), init);
      const Var<float, B> pictures(
          random_tensor<B>({o->batch, vit.config.in_chans, o->size, o->size}, 2));
      const NoGrad guard;
      const MemoryScope scope(MemoryCategory::activations);
      for (const int threads : o->threads) {
        set_threads(threads);
        const auto step = [&] {
          const VitFeatures<float, B> features = vit_features(vit, pictures);
          // waits for a device
          const float first = features.cls.value().at({0, 0});
          expect(std::isfinite(first), "hlip_bench", "the first feature is {}", first);
        };
        const Seconds seconds = seconds_of_steps(o->steps, step, o->warmup);
        print<B>("encode", {{"model", o->model}, {"batch", o->batch}, {"size", o->size}}, threads,
                 o->steps, seconds, tensor_bytes<B>());
      }
    });
  });
}

}  // namespace bench
