// Command line of probe_radiographs.
#pragma once

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/feature_options.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/picture_table.hpp>
#include <hlip/train/linear_probe.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace probe {

using namespace hlip;

struct Options {
  std::vector<std::string> features, columns;
  std::vector<double> rates = {LinearProbeOptions{}.lr};
  std::string labels, out;
  PictureColumns names;
  double test_fraction = 0.2, train_fraction = 1;
  int seeds = 5, threads = 0;
  std::uint64_t seed = 0;
  bool standardise = false;
  LinearProbeOptions probe;
  BootstrapOptions bootstrap;
};

inline void add_data_options(CLI::App& app, Options& o) {
  add_features_option(app, o.features);
  app.add_option("--labels", o.labels, "table (CSV) with a row for each picture")->required();
  app.add_option("--out", o.out, "folder of the results")->required();
  app.add_option("--columns", o.columns,
                 "findings to probe, separated by commas (default: every column that holds 0, 1 "
                 "and empty fields only)")
      ->delimiter(',');
  add_picture_column_options(app, o.names.image, o.names.subject);
  app.add_option("--split-column", o.names.split, "train, valid or test, if the table has it")
      ->capture_default_str();
  app.add_option("--test-fraction", o.test_fraction,
                 "without that column: share of the subjects that are tested on")
      ->check(CLI::Range(0.01, 0.99))
      ->capture_default_str();
  app.add_option("--train-fraction", o.train_fraction,
                 "share of the subjects to train on that probes learn from, drawn by --seed; a "
                 "smaller share is a part of a larger one")
      ->check(CLI::Range(0.0001, 1.0))
      ->capture_default_str();
}

inline void add_probe_options(CLI::App& app, Options& o) {
  app.add_option("--seeds", o.seeds, "probes to train for each encoder")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--lr", o.rates,
                 "learning rate at the first step, half a cosine to 0; of several, separated by "
                 "commas, each encoder takes the one with the best macro AUPRC on the split valid")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--weight-decay", o.probe.weight_decay, "of weights and bias")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--epochs", o.probe.epochs, "over the training pictures")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--batch-size", o.probe.batch_size, "pictures in a step")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_flag("--standardise", o.standardise,
               "bring every feature to mean 0 and standard deviation 1 of the training pictures");
  app.add_option("--resamples", o.bootstrap.resamples, "bootstrap resamples of the intervals")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "of the first probe, of the resamples and of drawn splits")
      ->capture_default_str();
  add_threads_option(app, o.threads);
}

}  // namespace probe
