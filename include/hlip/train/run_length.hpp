// How long a run is, and what is left of it: counted in studies seen, so that a step of another
// size neither repeats nor leaves out epochs.
#pragma once

#include <hlip/data/sampler.hpp>

#include <cstdint>

HLIP_BEGIN

/// The studies of a run and how they are dealt out to its steps.
struct RunLength {
  std::int64_t epochs = 0;      ///< 0: the run is counted in steps, see TrainerOptions
  std::int64_t studies = 0;     ///< of an epoch
  std::int64_t batch = 1;       ///< studies of one batch of the loader
  std::int64_t accum_freq = 1;  ///< batches of one step

  std::int64_t studies_per_step() const { return batch * accum_freq; }
  /// Steps that an epoch has from this position on; studies too few for a step are dropped.
  std::int64_t steps_of_epoch(std::int64_t position = 0) const {
    return (studies - position) / batch / accum_freq;
  }
  /// Steps from `at` to the end of the last epoch.
  std::int64_t steps_from(const SamplerPosition& at) const {
    return at.epoch >= epochs
               ? 0
               : steps_of_epoch(at.position) + (epochs - at.epoch - 1) * steps_of_epoch();
  }

  friend bool operator==(const RunLength&, const RunLength&) = default;
};

/// Where a checkpoint stands, as its state.json says.
struct SavedPosition {
  std::int64_t step = 0, steps = 0;  ///< done, and planned then
  SamplerPosition at;
  RunLength length;  ///< planned then; `studies` is 0 in checkpoints that do not say it
};

/// The step at which a run ends that goes on from a checkpoint: where it would have ended, unless
/// its length has changed since; then as many steps later as the epochs that are left have now.
inline std::int64_t last_step(const RunLength& now, const SavedPosition& saved) {
  const bool unchanged = saved.length.studies > 0
                             ? saved.length == now
                             : saved.steps == now.epochs * now.steps_of_epoch();
  return unchanged ? saved.steps : saved.step + now.steps_from(saved.at);
}

HLIP_END
