// Learning rates as pure functions of the step, counted from 0. Source: reference documents HLIP
// §5, RAD-DINO §6.
#pragma once

#include <hlip/core/error.hpp>

#include <algorithm>
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
  std::int64_t warmup = 0, total = 0;  ///< steps
  /// Warm-up from 0 on, both ends included, so that `lr` comes twice, as in DINOv2; else from
  /// lr/warmup on.
  bool warmup_from_zero = false;
  /// The cosine runs from step 0 on and the warm-up multiplies it; else it begins behind that.
  bool cosine_from_start = false;
  double end_lr = 0;                              ///< where the cosine ends
  std::int64_t cooldown = 0;                      ///< steps at the end, for constant_cooldown
  double cooldown_power = 1.0, cooldown_end = 0;  ///< shape and last value of the cool-down
};

/// "cosine", "const" or "const-cooldown". @throws on another name
HLIP_LAZY LrScheduler lr_scheduler_named(std::string_view name) {
  if (name == "cosine") return LrScheduler::cosine;
  if (name == "const") return LrScheduler::constant;
  if (name == "const-cooldown") return LrScheduler::constant_cooldown;
  fail("lr-scheduler", "'{}', expected cosine, const or const-cooldown", name);
}

namespace detail {
/// How far step `s` is in a linear warm-up that has both ends: 0 at its first step, 1 at its last.
HLIP_LAZY double warmed_up(std::int64_t s, std::int64_t warmup) {
  return warmup > 1 ? static_cast<double>(s) / static_cast<double>(warmup - 1) : 0;
}
}  // namespace detail

/// Learning rate of step `s`: linear warm-up lr·(s+1)/warmup, then the schedule.
HLIP_LAZY double learning_rate(const ScheduleOptions& o, std::int64_t s) {
  if (o.cosine_from_start && o.warmup > 0) {
    ScheduleOptions cosine = o;
    cosine.warmup = 0;
    const double share = static_cast<double>(s + 1) / static_cast<double>(o.warmup);
    return std::min(1.0, share) * learning_rate(cosine, s);
  }
  if (s < o.warmup && o.warmup_from_zero) return o.lr * detail::warmed_up(s, o.warmup);
  if (s < o.warmup) return o.lr * static_cast<double>(s + 1) / static_cast<double>(o.warmup);
  if (o.kind == LrScheduler::cosine) {
    const double e = static_cast<double>(s - o.warmup),
                 es = static_cast<double>(o.total - o.warmup);
    if (es <= 0) return o.lr;
    return o.end_lr + 0.5 * (1 + std::cos(std::numbers::pi * e / es)) * (o.lr - o.end_lr);
  }
  const std::int64_t start = o.total - o.cooldown;
  if (o.kind == LrScheduler::constant || s < start) return o.lr;
  const double e = static_cast<double>(s - start), es = static_cast<double>(o.cooldown);
  return std::pow(1 - e / es, o.cooldown_power) * (o.lr - o.cooldown_end) + o.cooldown_end;
}

/// A number other than the learning rate that changes with the step: a decay, the momentum of a
/// teacher, a temperature, a factor of some parameters' learning rate. 0 before step `frozen`;
/// linear from `warmup_from` to `from` over the first `warmup` steps, both ends included; then a
/// half cosine to `to` at step `total`.
struct NamedSchedule {
  std::string name;
  double from = 0, to = 0, warmup_from = 0;
  std::int64_t warmup = 0, total = 0, frozen = 0;

  double value(std::int64_t step) const {
    if (step < frozen) return 0;
    if (step < warmup) return warmup_from + (from - warmup_from) * detail::warmed_up(step, warmup);
    if (from == to || step >= total) return to;
    const double done = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    return to + 0.5 * (from - to) * (1 + std::cos(std::numbers::pi * done));
  }
};

HLIP_END
