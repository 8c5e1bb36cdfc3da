// The schedules of self-distillation, counted in steps. Source: reference document RAD-DINO §4, §6.
#pragma once

#include <hlip/optim/schedule.hpp>

#include <cmath>
#include <vector>

HLIP_BEGIN

/// What changes over a run, and when, in steps.
struct SelfDistillationSchedule {
  std::int64_t steps = 60000;
  double lr = 1e-3;          ///< of a batch of 1024; it goes with the square root of the batch
  std::int64_t batch = 640;  ///< pictures of a step, of all ranks
  double end_lr = 1e-6;
  std::int64_t warmup = 6000;
  double weight_decay = 0.04, end_weight_decay = 0.4;
  double momentum = 0.992, end_momentum = 1.0;             ///< of the teacher
  double teacher_temp = 0.07, warmup_teacher_temp = 0.04;  ///< rises from the second to the first
  std::int64_t warmup_teacher_temp_steps = 18000;
  std::int64_t freeze_last_layer = 600;  ///< prototypes do not move before this step

  double scaled_lr() const { return lr * std::sqrt(static_cast<double>(batch) / 1024.0); }
};

/// The learning rate.
inline ScheduleOptions learning_rate_of(const SelfDistillationSchedule& s) {
  ScheduleOptions o;
  o.lr = s.scaled_lr();
  o.end_lr = s.end_lr;
  o.warmup = s.warmup;
  o.warmup_from_zero = true;
  o.total = s.steps;
  return o;
}

/// Everything else that changes: "weight_decay", "momentum", "teacher_temp", and "last_layer",
/// which multiplies the learning rate of the prototypes.
HLIP_LAZY std::vector<NamedSchedule> schedules_of(const SelfDistillationSchedule& s) {
  NamedSchedule decay{.name = "weight_decay", .from = s.weight_decay, .to = s.end_weight_decay};
  NamedSchedule momentum{.name = "momentum", .from = s.momentum, .to = s.end_momentum};
  NamedSchedule temperature{.name = "teacher_temp", .from = s.teacher_temp, .to = s.teacher_temp};
  NamedSchedule last_layer{.name = "last_layer", .from = 1, .to = 1};
  for (NamedSchedule* each : {&decay, &momentum, &temperature, &last_layer}) each->total = s.steps;
  temperature.warmup_from = s.warmup_teacher_temp;
  temperature.warmup = s.warmup_teacher_temp_steps;
  last_layer.frozen = s.freeze_last_layer;
  return {decay, momentum, temperature, last_layer};
}

HLIP_END
