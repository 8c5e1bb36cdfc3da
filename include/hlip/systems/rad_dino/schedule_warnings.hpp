// Schedules that a run is too short for.
#pragma once

#include <hlip/systems/rad_dino/schedules.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// What a run is too short for, a sentence each; of the learning rate the run itself says it.
HLIP_LAZY std::vector<std::string> too_long_for_run(const SelfDistillationSchedule& s) {
  std::vector<std::string> said;
  if (s.warmup_teacher_temp_steps > s.steps && s.warmup_teacher_temp != s.teacher_temp)
    said.push_back(
        fmt::format("the teacher's temperature rises over {} steps, the run has {}: it gets to "
                    "{:.3g}, not to {:g} (hint: --warmup-teacher-temp-steps {})",
                    s.warmup_teacher_temp_steps, s.steps, schedules_of(s)[2].value(s.steps - 1),
                    s.teacher_temp, s.steps / 2));
  if (s.freeze_last_layer >= s.steps)
    said.push_back(
        fmt::format("prototypes begin to move after {} steps, the run has {}: they never do "
                    "(hint: --freeze-last-layer {})",
                    s.freeze_last_layer, s.steps, s.steps / 100));
  return said;
}

HLIP_END
