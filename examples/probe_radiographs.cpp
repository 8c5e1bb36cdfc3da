// What one linear layer reads off frozen features of radiographs: AUPRC and AUROC of every finding
// of a table, over several seeds and with intervals; encoders stand beside each other.
//
//   probe_radiographs --features a.safetensors --labels labels.csv --out probes
//   probe_radiographs --features a.safetensors b.safetensors --labels labels.csv --out probes
//
// Read it from top to bottom: what is to be learned, probes of one encoder, all of them.
#include "probe_radiographs/options.hpp"
#include "probe_radiographs/results.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/eval/class_tokens.hpp>
#include <hlip/eval/finding_split.hpp>
#include <hlip/eval/known_labels.hpp>
#include <hlip/eval/standardise.hpp>
#include <hlip/train/choose_learning_rate.hpp>
#include <hlip/train/linear_probe.hpp>

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace probe;

namespace {

Task make_task(const Options& o) {
  Task task{read_picture_table(o.labels, o.names), {}, {}, {}, {}, {}};
  task.findings = read_findings(task.table, o.columns);
  const auto splits = splits_of(task.table, o.test_fraction, o.seed);
  task.train = finding_split(splits, Split::train, task.findings);
  if (o.train_fraction < 1)
    task.train = finding_split(
        rows_of_share(task.train.rows, task.table.subjects, o.train_fraction, o.seed),
        task.findings);
  task.valid = finding_split(splits, Split::valid, task.findings);
  task.test = finding_split(splits, Split::test, task.findings);
  const auto note = [&](std::string text) { task.notes.push_back(std::move(text)); };
  if (o.rates.size() > 1 && task.valid.rows.empty())
    fail_file(o.labels, "",
              "has no pictures of the split valid to choose one of {} learning rates by; give --lr "
              "one rate, or the table a column {}",
              o.rates.size(), o.names.split);
  if (o.train_fraction < 1)
    note(fmt::format("probes learn from {:g} % of the {} to train", 100 * o.train_fraction,
                     task.table.subject_column < 0 ? "pictures" : "subjects"));
  if (o.rates.size() == 1 && !task.valid.rows.empty())
    note(fmt::format("{} pictures of the split valid are not used: there is nothing to choose",
                     task.valid.rows.size()));
  if (task.table.split_column < 0)
    note(fmt::format("the table has no column {}: {:g} % of the {} are tested on", o.names.split,
                     100 * o.test_fraction,
                     task.table.subject_column < 0 ? "pictures" : "subjects"));
  if (const auto both = subjects_in_both(task.table, splits); both > 0)
    note(fmt::format("{} subjects have pictures to train and to test", both));
  for (const auto& name : leave_out_unlearnable(o.labels, task.findings, task.train, task.test))
    note(fmt::format("{} is left out: the training pictures all have it, or none has", name));
  return task;
}

/// Trains the probes of one encoder and measures them.
Probed probe_encoder(const Options& o, const Task& task, const ClassTokens& encoder) {
  auto train = encoder.of_rows<float, Cpu>(task.train.rows),
       valid = encoder.of_rows<float, Cpu>(task.valid.rows),
       test = encoder.of_rows<float, Cpu>(task.test.rows);
  if (o.standardise) {
    const auto statistics = feature_statistics(train);
    for (auto* part : {&train, &valid, &test}) *part = standardise(*part, statistics);
  }
  const std::size_t count = task.findings.size();
  const std::vector<float> known(task.train.labels.begin(), task.train.labels.end());
  const auto labels = Tensor<float>::from_values({train.dim(0), static_cast<index_t>(count)},
                                                 std::span<const float>(known));
  LinearProbeOptions options = o.probe;
  options.seed = o.seed;
  options.lr = choose_learning_rate(train, labels, options, o.rates, [&](const auto& head) {
    return macro_average_precision(linear_probe_scores(head, valid), task.valid.labels, count);
  });
  std::vector<std::vector<double>> scores;
  for (int s = 0; s < o.seeds; ++s) {
    options.seed = o.seed + static_cast<std::uint64_t>(s);
    scores.push_back(linear_probe_scores(train_linear_probe(train, labels, options), test));
  }
  return {ProbeTable(encoder.encoder, task.names(), scores, task.test.labels, o.bootstrap), scores,
          options.lr};
}

/// Reads every file before anything is trained.
int run(const Options& o) {
  const Task task = make_task(o);
  const auto encoders = read_class_tokens(o.features, task.table);
  std::error_code failed;
  std::filesystem::create_directories(o.out, failed);
  if (failed) fail_file(o.out, "", "cannot be made: {}", failed.message());
  fmt::print("{} findings, {} pictures to train, {} to test\n", task.findings.size(),
             task.train.rows.size(), task.test.rows.size());
  for (const auto& note : task.notes) fmt::print("note: {}\n", visible_text(note));
  std::vector<Probed> probed;
  for (const auto& e : encoders) {
    probed.push_back(probe_encoder(o, task, e));
    fmt::print("{}", probed.back().table.to_text());
  }
  write_results(o, task, probed);
  fmt::print("For research only: not a medical device.\n{}\n", probed.front().table.last_line());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app(
      "Linear probes on frozen features of radiographs: AUPRC and AUROC of every finding, over "
      "seeds and with intervals.",
      "probe_radiographs");
  Options o;
  add_data_options(app, o);
  add_probe_options(app, o);
  return run_program(app, argc, argv, [&] {
    use_compute_threads(o.threads);
    o.bootstrap.seed = o.seed;
    return run(o);
  });
}
