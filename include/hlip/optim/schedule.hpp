// Learning rates as pure functions of the step, counted from 0. Source: reference document HLIP §5.
#pragma once

#include <hlip/core/error.hpp>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <string_view>

HLIP_BEGIN

enum class LrScheduler { cosine, constant, constant_cooldown };

struct ScheduleOptions {
  LrScheduler kind = LrScheduler::cosine;
  double lr = 5e-4;
  std::int64_t warmup = 0, total = 0;             ///< steps
  std::int64_t cooldown = 0;                      ///< steps at the end, for constant_cooldown
  double cooldown_power = 1.0, cooldown_end = 0;  ///< shape and last value of the cool-down
};

/// "cosine", "const" or "const-cooldown". @throws on another name
inline LrScheduler lr_scheduler_named(std::string_view name) {
  if (name == "cosine") return LrScheduler::cosine;
  if (name == "const") return LrScheduler::constant;
  if (name == "const-cooldown") return LrScheduler::constant_cooldown;
  fail("lr-scheduler", "'{}', expected cosine, const or const-cooldown", name);
}

/// Learning rate of step `s`: linear warm-up lr·(s+1)/warmup, then the schedule.
inline double learning_rate(const ScheduleOptions& o, std::int64_t s) {
  if (s < o.warmup) return o.lr * static_cast<double>(s + 1) / static_cast<double>(o.warmup);
  if (o.kind == LrScheduler::cosine) {
    const double e = static_cast<double>(s - o.warmup),
                 es = static_cast<double>(o.total - o.warmup);
    return es > 0 ? 0.5 * (1 + std::cos(std::numbers::pi * e / es)) * o.lr : o.lr;
  }
  const std::int64_t start = o.total - o.cooldown;
  if (o.kind == LrScheduler::constant || s < start) return o.lr;
  const double e = static_cast<double>(s - start), es = static_cast<double>(o.cooldown);
  return std::pow(1 - e / es, o.cooldown_power) * (o.lr - o.cooldown_end) + o.cooldown_end;
}

/// A number other than the learning rate that changes with the step: a decay, the momentum of a
/// teacher, a temperature. Linear from `warmup_from` to `from` over the first `warmup` steps, then
/// a half cosine to `to` at step `total`.
struct NamedSchedule {
  std::string name;
  double from = 0, to = 0, warmup_from = 0;
  std::int64_t warmup = 0, total = 0;

  double value(std::int64_t step) const {
    if (step < warmup)
      return warmup_from +
             (from - warmup_from) * static_cast<double>(step) / static_cast<double>(warmup);
    if (from == to || step >= total) return to;
    const double done = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    return to + 0.5 * (from - to) * (1 + std::cos(std::numbers::pi * done));
  }
};

HLIP_END
