// Kinds trajectory_centering and trajectory_sinkhorn: self-distillation for some steps, by the
// trainer and the objective that the program trains with.
#pragma once

#include "schedules.hpp"
#include "vit.hpp"

#include <hlip/systems/rad_dino/self_distillation.hpp>
#include <hlip/train/trainer.hpp>

namespace golden {

/// Model, settings and schedules of a trajectory.
struct Trajectory {
  SelfDistillationConfig config;
  SelfDistillationSettings settings;
  SelfDistillationSchedule schedule;
  double clip_grad = 0;

  explicit Trajectory(const Fixture& f)
      : schedule(self_distillation_schedule(f.said_json("schedule"))) {
    const Json j = f.said_json("config");
    config.backbone = vit_config_of(f.said_json("vit"));
    config.dino_head.hidden = size_at(j, "hidden");
    config.dino_head.bottleneck = size_at(j, "bottleneck");
    config.dino_head.prototypes = size_at(j, "K");
    config.separate_heads = flag_at(j, "separate");
    config.ibot_head = config.dino_head;
    const std::string centering = f.said("centering");
    if (centering != "centering" && centering != "sinkhorn_knopp")
      fail("config", "centering is {}", quote_text(centering));
    settings.centering = centering == "centering" ? Centering::centering
                                                  : Centering::sinkhorn_knopp;
    settings.koleo_weight = number_of(f.said_json("koleo_weight"), "koleo_weight");
    settings.layerwise.decay = number_of(f.said_json("layerwise_decay"), "layerwise_decay");
    settings.layerwise.patch_embed_factor = number_of(f.said_json("patch_embed_lr_mult"),
                                                      "patch_embed_lr_mult");
    clip_grad = std::stod(f.said("clip_grad"));
  }

  TrainerOptions trainer() const {
    TrainerOptions o;
    o.steps = schedule.steps;
    o.schedule = learning_rate_of(schedule);
    o.schedules = schedules_of(schedule);
    o.adamw = {0.9, 0.999, 1e-8};
    o.grad_clip_norm = clip_grad;
    return o;
  }
};

template <class B> CropBatch<float, B> crops_of_step(const Fixture& f, index_t step) {
  const std::string at = fmt::format("input.step{}.", step);
  CropBatch<float, B> batch;
  batch.global = f.tensor<B>(at + "global");
  if (f.contains(at + "local")) batch.local = f.tensor<B>(at + "local");
  batch.masks = f.file().template values<std::uint8_t>(at + "masks");
  return batch;
}

/// Final weights, but for what has no gradient but rounding: the key third of a fused bias.
template <class B, class M> void compare_weights(Fixture& f, const std::string& prefix, M& model) {
  for (const auto& [name, p] : named_parameters(model)) {
    auto got = p->value().to_vector();
    if (name.ends_with("attn.qkv.bias")) {
      const auto want = f.reals(prefix + name);
      for (std::size_t i = got.size() / 3; i < 2 * got.size() / 3 && i < want.size(); ++i)
        got[i] = static_cast<float>(want[i]);
    }
    f.compare(prefix + name, std::vector<double>(got.begin(), got.end()), p->shape(),
              of_a_trajectory);
  }
}

template <class B> void check_trajectory(Fixture& f) {
  const Trajectory t(f);
  Initializer init(0);
  SelfDistillationModel<float, B> model(t.config, init);
  load_state_dict(model, Group(f, "param."));
  SelfDistillationObjective<float, B> objective(model, t.config, t.settings);
  Trainer trainer(objective, t.trainer(), CheckpointStore("", {"step"}));

  std::vector<double> losses, norms, hyper;
  const index_t steps = t.schedule.steps;
  index_t groups = 0;
  for (index_t s = 0; s < steps; ++s) {
    const StepResult r = trainer.train_step(std::vector{crops_of_step<B>(f, s)});
    const std::map<std::string, double> named(r.others.begin(), r.others.end());
    for (const char* term : {"dino_local", "dino_global", "koleo", "ibot"})
      losses.push_back(named.at(term));
    losses.push_back(r.loss);
    groups = static_cast<index_t>(r.grad_norms.size());
    norms.insert(norms.end(), r.grad_norms.begin(), r.grad_norms.end());
    for (const double x : {r.lr, r.lr * named.at("last_layer"), named.at("weight_decay"),
                           named.at("momentum"), named.at("teacher_temp")})
      hyper.push_back(x);
    if (s > 0) continue;
    f.demand(std::abs(r.loss - f.reals("output.losses").at(4)) <= 1e-5 * std::abs(r.loss),
             "the loss of the first step is {}", r.loss);
    for (const auto& p : trainer.optimizer().parameters())
      f.compare(
          "grad.step0_clipped." + p.name,
          p.var.has_grad()
              ? Tensor<float, B>(p.var.grad() * clip_scale(r.grad_norms[p.clip_group], t.clip_grad))
              : Tensor<float, B>::zeros(p.var.shape()),
          gradient_of_a_network);
  }
  f.compare("output.losses", losses, {steps, 5}, of_a_trajectory);
  f.compare("output.grad_norms", norms, {steps, groups}, of_a_trajectory);
  f.compare("output.hyper", hyper, {steps, 5}, schedule);
  if (f.contains("output.dino_center"))
    f.compare("output.dino_center", objective.dino_centre(), of_a_trajectory);
  if (f.contains("output.ibot_center"))
    f.compare("output.ibot_center", objective.ibot_centre(), of_a_trajectory);
  compare_weights<B>(f, "output.student.", model);
  compare_weights<B>(f, "output.teacher.", objective.teacher());
}

}  // namespace golden
