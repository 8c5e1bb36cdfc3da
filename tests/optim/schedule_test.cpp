#include "../support/errors.hpp"

#include <hlip/optim/schedule.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
doctest::Approx about(double x) { return doctest::Approx(x).epsilon(1e-14); }
}  // namespace

TEST_CASE("schedule: linear warm-up to the full rate at its last step, in every kind") {
  for (LrScheduler kind :
       {LrScheduler::cosine, LrScheduler::constant, LrScheduler::constant_cooldown}) {
    const ScheduleOptions o{.kind = kind, .lr = 2, .warmup = 4, .total = 104, .cooldown = 10};
    for (std::int64_t s = 0; s < 4; ++s)
      CHECK(learning_rate(o, s) == about(2.0 * static_cast<double>(s + 1) / 4));
  }
}

TEST_CASE(
    "schedule: cosine is full after warm-up, half in the middle and nearly nothing at the end") {
  const ScheduleOptions o{.lr = 2, .warmup = 4, .total = 104};
  CHECK(learning_rate(o, 4) == about(2));
  CHECK(learning_rate(o, 54) == about(1));
  CHECK(learning_rate(o, 29) == about(1 + std::sqrt(0.5)));
  CHECK(learning_rate(o, 103) == about(1 + std::cos(std::numbers::pi * 0.99)));
  CHECK(learning_rate({.lr = 2, .warmup = 4, .total = 4}, 4) == 2);  // nothing left after warm-up
}

TEST_CASE("schedule: constant, and constant with a cool-down of any power to any end") {
  CHECK(learning_rate({.kind = LrScheduler::constant, .lr = 3, .warmup = 1, .total = 10}, 9) == 3);
  ScheduleOptions o{.kind = LrScheduler::constant_cooldown,
                    .lr = 3,
                    .warmup = 0,
                    .total = 100,
                    .cooldown = 20,
                    .cooldown_power = 1,
                    .cooldown_end = 1};
  CHECK(learning_rate(o, 0) == 3);
  CHECK(learning_rate(o, 79) == 3);
  CHECK(learning_rate(o, 80) == about(3));
  CHECK(learning_rate(o, 90) == about(2));
  o.cooldown_power = 2;
  CHECK(learning_rate(o, 90) == about(1.5));
}

TEST_CASE("schedule: names, and an unknown one") {
  CHECK(lr_scheduler_named("cosine") == LrScheduler::cosine);
  CHECK(lr_scheduler_named("const") == LrScheduler::constant);
  CHECK(lr_scheduler_named("const-cooldown") == LrScheduler::constant_cooldown);
  CHECK(test::error_of([] { lr_scheduler_named("cos"); }) ==
        "lr-scheduler: 'cos', expected cosine, const or const-cooldown");
}

TEST_CASE(
    "named schedule: linear warm-up, then a half cosine from one value to the other, which stays") {
  const NamedSchedule momentum{.name = "momentum", .from = 0.992, .to = 1, .total = 100};
  CHECK(momentum.value(0) == about(0.992));
  CHECK(momentum.value(50) == about(0.996));
  CHECK(momentum.value(25) == about(1 - 0.004 * (1 + std::sqrt(0.5))));
  CHECK(momentum.value(100) == 1);
  CHECK(momentum.value(1000) == 1);
  const NamedSchedule temperature{
      .name = "teacher_temp", .from = 0.07, .to = 0.07, .warmup_from = 0.04, .warmup = 31};
  CHECK(temperature.value(0) == 0.04);
  CHECK(temperature.value(15) == about(0.055));
  CHECK(temperature.value(30) == about(0.07));
  CHECK(temperature.value(31) == 0.07);
  CHECK(temperature.value(3000) == 0.07);
}

TEST_CASE("named schedule: 0 while frozen") {
  const NamedSchedule last_layer{
      .name = "last_layer", .from = 1, .to = 1, .total = 10, .frozen = 3};
  CHECK(last_layer.value(2) == 0);
  CHECK(last_layer.value(3) == 1);
}

TEST_CASE("learning rate: a warm-up from zero has both ends, and a cosine ends where it is told") {
  ScheduleOptions o;
  o.lr = 2, o.warmup = 5, o.total = 15, o.warmup_from_zero = true, o.end_lr = 1;
  CHECK(learning_rate(o, 0) == 0);
  CHECK(learning_rate(o, 2) == about(1));
  CHECK(learning_rate(o, 4) == 2);
  CHECK(learning_rate(o, 5) == 2);
  CHECK(learning_rate(o, 10) == about(1.5));
  CHECK(learning_rate(o, 15) == about(1));
}
