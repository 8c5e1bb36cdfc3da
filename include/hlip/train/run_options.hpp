// What every training run is told, whatever it learns. Command lines add these options with
// cli/run_options.hpp.
#pragma once

#include <hlip/tensor/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

HLIP_BEGIN

/// Options of a run, with the defaults of the published HLIP code. Recipes of data and models put
/// their own in their place.
struct RunOptions {
  // loading
  bool skip_bad = false;
  index_t workers = 1;
  // schedule
  std::int64_t epochs = 32, steps = 0, warmup = 10000, batch_size = 64;
  double lr = 5e-4, beta1 = 0.9, beta2 = 0.98, eps = 1e-6, wd = 0.2, grad_clip_norm = 0;
  std::string lr_scheduler = "cosine";
  std::int64_t epochs_cooldown = 0;
  double lr_cooldown_end = 0, lr_cooldown_power = 1;
  index_t accum_freq = 1, accum_batch = 1;
  double model_ema_decay = 0;
  // loop
  std::string out, resume;
  std::uint64_t seed = 0;
  int threads = 0;
  std::string device = "cpu", precision = "fp32", report_to;
  std::int64_t save_frequency = 1, save_frequency_steps = 0, log_every_n_steps = 100;
  std::size_t keep_checkpoints = 3;
  bool dry_run = false, print_config = false;
  std::vector<std::string> at_default;  ///< names of options that stand at their defaults
};

HLIP_END
