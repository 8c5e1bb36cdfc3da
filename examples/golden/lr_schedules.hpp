// Kind lr_schedules: learning rates of whole runs.
#pragma once

#include "fixture.hpp"

namespace golden {

template <class B> void check_lr_schedules(Fixture& f) {
  std::size_t i = 0;
  for (const auto& c : list_of(entry(f.config(), "cases"), "cases")) {
    list_of(c, "a case", 6);  // base, warmup, steps, cooldown steps, power, end
    ScheduleOptions o;
    o.lr = number_of(c[0], "lr");
    o.warmup = size_of(c[1], "warmup", 0), o.total = size_of(c[2], "steps"),
    o.cooldown = size_of(c[3], "cooldown", 0);
    o.cooldown_power = number_of(c[4], "power"), o.cooldown_end = number_of(c[5], "end");
    for (const auto& [name, kind] : {std::pair{"const", LrScheduler::constant},
                                     {"cooldown", LrScheduler::constant_cooldown},
                                     {"cosine", LrScheduler::cosine}}) {
      const std::string tensor = fmt::format("output.{}{}", name, i);
      f.require(tensor, {o.total});
      o.kind = kind;
      std::vector<double> lr;
      for (index_t s = 0; s < o.total; ++s) lr.push_back(learning_rate(o, s));
      f.compare(tensor, lr, schedule);
    }
    ++i;
  }
}

}  // namespace golden
