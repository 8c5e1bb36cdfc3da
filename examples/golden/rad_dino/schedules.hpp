// Kinds schedules_ema and param_groups: what changes from step to step, and from parameter to
// parameter.
#pragma once

#include "../tolerances.hpp"

#include <hlip/optim/ema.hpp>
#include <hlip/systems/rad_dino/parameter_groups.hpp>
#include <hlip/systems/rad_dino/schedules.hpp>

namespace golden {

inline SelfDistillationSchedule self_distillation_schedule(const Json& j) {
  const index_t epoch = size_at(j, "epoch_length");
  SelfDistillationSchedule s;
  s.steps = size_at(j, "epochs") * epoch;
  s.lr = number_at(j, "base_lr");
  s.batch = size_at(j, "batch");
  s.end_lr = number_at(j, "min_lr");
  s.warmup = size_at(j, "warmup_epochs", 0) * epoch;
  s.weight_decay = number_at(j, "wd");
  s.end_weight_decay = number_at(j, "wd_end");
  s.momentum = number_at(j, "momentum");
  s.end_momentum = number_at(j, "momentum_end");
  s.teacher_temp = number_at(j, "temp");
  s.warmup_teacher_temp = number_at(j, "temp_start");
  s.warmup_teacher_temp_steps = size_at(j, "temp_epochs", 0) * epoch;
  s.freeze_last_layer = size_at(j, "freeze_epochs", 0) * epoch;
  return s;
}

/// lr, last_layer_lr, wd, momentum, teacher_temp at a step.
inline std::map<std::string, double> hyper_at(const SelfDistillationSchedule& s,
                                              std::int64_t step) {
  std::map<std::string, double> at{{"lr", learning_rate(learning_rate_of(s), step)}};
  for (const NamedSchedule& each : schedules_of(s)) at[each.name] = each.value(step);
  at["last_layer_lr"] = at["lr"] * at["last_layer"];
  at["wd"] = at["weight_decay"];
  return at;
}

template <class B> void check_schedules_ema(Fixture& f) {
  for (const std::string& name : {std::string("tiny"), std::string("full")}) {
    if (f.file().metadata(name).empty()) continue;
    const SelfDistillationSchedule s = self_distillation_schedule(f.said_json(name.c_str()));
    for (const auto& tensor : f.file().names()) {
      const std::string prefix = "output." + name + ".";
      if (!tensor.starts_with(prefix)) continue;
      std::vector<std::int64_t> steps;
      if (f.contains("input." + name + ".at")) {
        for (const double at : f.reals("input." + name + ".at"))
          steps.push_back(static_cast<std::int64_t>(at));
      } else {
        for (index_t i = 0; i < f.shape(tensor).numel(); ++i) steps.push_back(i);
      }
      std::vector<double> values;
      for (const std::int64_t step : steps)
        values.push_back(hyper_at(s, step).at(tensor.substr(prefix.size())));
      f.compare(tensor, values, schedule);
    }
  }

  // the moving average, its momentum another at every step
  const auto momentum = f.reals("input.ema.momentum");
  const auto students = f.tensor<B>("input.ema.students");
  const Tensor<float, B> teacher = f.tensor<B>("input.ema.teacher0");
  std::vector<Tensor<float, B>> teachers;
  for (std::size_t i = 0; i < momentum.size(); ++i) {
    move_average(teacher, students.select(0, static_cast<index_t>(i)).contiguous(), momentum[i]);
    teachers.push_back(teacher.clone().reshape({1, teacher.numel()}));
  }
  f.compare("output.ema.teachers", concat(teachers, 0), of_an_operator);
}

template <class B> void check_param_groups(Fixture& f) {
  const index_t depth = size_of(f.said_json("depth"), "depth");
  LayerwiseSettings settings;
  settings.decay = number_of(f.said_json("layerwise_decay"), "layerwise_decay");
  settings.patch_embed_factor = number_of(f.said_json("patch_embed_lr_mult"),
                                          "patch_embed_lr_mult");
  std::vector<std::string> names;
  std::vector<Var<float, B>> vars;
  for (const auto& name : f.file().names())
    if (name.starts_with("output.")) names.push_back(name.substr(7));
  vars.resize(names.size(), Var<float, B>(Tensor<float, B>::zeros({1}), true));
  std::vector<std::pair<std::string, Var<float, B>*>> named;
  for (std::size_t i = 0; i < names.size(); ++i) named.emplace_back(names[i], &vars[i]);
  for (const auto& p : self_distillation_parameters(named, depth, settings))
    f.compare("output." + p.name,
              std::vector<double>{p.lr_factor, p.weight_decay, p.lr_schedule.empty() ? 0.0 : 1.0},
              schedule);
}

}  // namespace golden
