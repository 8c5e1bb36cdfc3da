// Options that several subjects of hlip_bench have. A subject takes those that mean something to
// it; CLI11 refuses the others.
#pragma once

#include "measure.hpp"

#include <hlip/models/configs.hpp>

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace bench {

/// The subjects of the program with what each runs.
using Subjects = std::vector<std::pair<CLI::App*, std::function<void()>>>;

inline constexpr index_t most = index_t{1} << 30;

struct RunOptions {
  std::vector<int> threads{default_threads()};
  std::string provider = built_provider, precision = "fp32", device = "cpu";
  index_t steps = 1;
};

inline CLI::Option* add_count(CLI::App* app, const char* name, index_t& value, const char* help,
                              index_t least = 1) {
  return app->add_option(name, value, help)->check(CLI::Range(least, most))->capture_default_str();
}

inline void add_threads(CLI::App* app, RunOptions& o,
                        const char* help = "OpenMP threads; of a list each number is measured") {
  app->add_option("--threads", o.threads, help)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

inline void add_steps(CLI::App* app, RunOptions& o, index_t steps,
                      const char* help = "timed steps, after a warm-up; the median counts") {
  o.steps = steps;
  add_count(app, "--steps", o.steps, help);
}

/// Read by main, which starts the program with the other provider where that is asked for.
inline void add_provider(CLI::App* app, RunOptions& o) {
  app->add_option(
         "--provider", o.provider,
         "who multiplies matrices: Eigen tiles, or the CBLAS hlip_bench_cblas was linked with")
      ->check(CLI::IsMember({"eigen", "cblas"}))
      ->capture_default_str();
}

/// --device and --precision, which main sets before anything runs.
inline void add_device(CLI::App* app, RunOptions& o) {
  add_device_option(*app, o.device);
  add_precision_option(*app, o.precision);
}

inline void add_run_options(CLI::App* app, RunOptions& o, index_t steps) {
  add_threads(app, o);
  add_provider(app, o);
  add_steps(app, o, steps);
}

struct ModelOptions {
  std::string model = "vit_base_singlescan_h2_token2744";
  index_t batch = 1, scans = 1;

  Json json() const { return {{"model", model}, {"batch", batch}, {"scans", scans}}; }
};

inline CLI::Option* add_model(CLI::App* app, std::string& model) {
  return app->add_option("--model", model, "configuration name")
      ->check(CLI::IsMember(clip_config_names()))
      ->capture_default_str();
}

inline CLI::Option* add_model_options(CLI::App* app, ModelOptions& o) {
  auto* model = add_model(app, o.model);
  add_count(app, "--batch", o.batch, "studies");
  add_count(app, "--scans", o.scans, "scans of a study");
  return model;
}

}  // namespace bench
