// What one linear layer reads off frozen features of radiographs: AUPRC and AUROC of every finding
// of a table, over several seeds and with intervals; encoders stand beside each other.
//
//   probe_radiographs --features a.safetensors --labels labels.csv --out probes
//   probe_radiographs --features a.safetensors b.safetensors --labels labels.csv --out probes
#include "probe_radiographs/page.hpp"

#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/eval/feature_file.hpp>
#include <hlip/eval/picture_table.hpp>
#include <hlip/eval/probe_table.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>
#include <hlip/train/linear_probe.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace hlip;
using probe::Probed;

namespace {

struct Options {
  std::vector<std::string> features, columns;
  std::vector<double> rates = {LinearProbeOptions{}.lr};
  std::string labels, out;
  PictureColumns names;
  double test_fraction = 0.2;
  int seeds = 5, threads = 0;
  std::uint64_t seed = 0;
  bool standardise = false;
  LinearProbeOptions probe;
  BootstrapOptions bootstrap;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("--features", o.features,
                 "features of the pictures (safetensors), one file for each encoder")
      ->required();
  app.add_option("--labels", o.labels, "table (CSV) with a row for each picture")->required();
  app.add_option("--out", o.out, "folder of the results")->required();
  app.add_option("--columns", o.columns,
                 "findings to probe, separated by commas (default: every column that holds 0, 1 "
                 "and empty fields only)")
      ->delimiter(',');
  app.add_option("--image-column", o.names.image, "names the picture")->capture_default_str();
  app.add_option("--subject-column", o.names.subject,
                 "names the subject (default: subject or patient, if there is one)");
  app.add_option("--split-column", o.names.split, "train, valid or test, if the table has it")
      ->capture_default_str();
  app.add_option("--test-fraction", o.test_fraction,
                 "without that column: share of the subjects that are tested on")
      ->check(CLI::Range(0.01, 0.99))
      ->capture_default_str();
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
  app.add_option("--threads", o.threads, "compute threads (default: all cores)")
      ->check(CLI::Range(0, 4096));
}

/// The pictures of one split, and what is known of them.
struct Part {
  std::vector<std::size_t> rows;  ///< of the table
  std::vector<double> labels;     ///< row-major (pictures, findings)

  Part(const std::vector<Split>& splits, Split split, const std::vector<FindingLabels>& findings) {
    for (std::size_t r = 0; r < splits.size(); ++r) {
      if (splits[r] != split) continue;
      rows.push_back(r);
      for (const auto& f : findings) labels.push_back(f.values[r]);
    }
  }
  /// How many pictures have this label. @param k number of the finding among `count`
  std::ptrdiff_t with(double label, std::size_t k, std::size_t count) const {
    std::ptrdiff_t n = 0;
    for (std::size_t i = k; i < labels.size(); i += count) n += labels[i] == label ? 1 : 0;
    return n;
  }
  Tensor<float> features(const std::vector<float>& all, index_t width) const {
    std::vector<float> own;
    for (const std::size_t r : rows) {
      const auto at = all.begin() + static_cast<std::ptrdiff_t>(r) * width;
      own.insert(own.end(), at, at + width);
    }
    return Tensor<float>::from_values({static_cast<index_t>(rows.size()), width},
                                      std::span<const float>(own));
  }
};

/// What is to be learned from which pictures, and what there is to know about that.
struct Task {
  PictureTable table;
  std::vector<FindingLabels> findings;
  Part train, valid, test;
  std::vector<std::string> notes;

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& f : findings) out.push_back(f.name);
    return out;
  }
};

/// Findings that cannot be learned lose their labels among the tested pictures, so that they count
/// in no mean.
void leave_out_unlearnable(Task& task) {
  const std::size_t count = task.findings.size();
  std::size_t left = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const bool learnable = task.train.with(0, k, count) > 0 && task.train.with(1, k, count) > 0;
    if (!learnable) {
      task.notes.push_back(fmt::format(
          "{} is left out: the training pictures all have it, or none has", task.findings[k].name));
      for (std::size_t i = k; i < task.test.labels.size(); i += count)
        task.test.labels[i] = not_a_number;
    }
    left += task.test.with(0, k, count) > 0 && task.test.with(1, k, count) > 0 ? 1 : 0;
  }
  if (left == 0)
    fail_file(task.table.table.path(), "",
              "no finding has both labels among the {} training and among the {} tested pictures: "
              "there is nothing to measure",
              task.train.rows.size(), task.test.rows.size());
}

Task make_task(const Options& o) {
  PictureTable table = read_picture_table(o.labels, o.names);
  auto findings = read_findings(table, o.columns);
  const auto splits = splits_of(table, o.test_fraction, o.seed);
  Part train(splits, Split::train, findings), valid(splits, Split::valid, findings),
      test(splits, Split::test, findings);
  Task task{std::move(table), std::move(findings), std::move(train),
            std::move(valid), std::move(test),     {}};
  if (o.rates.size() > 1 && task.valid.rows.empty())
    fail_file(o.labels, "",
              "has no pictures of the split valid to choose one of {} learning rates by; give --lr "
              "one rate, or the table a column {}",
              o.rates.size(), o.names.split);
  if (o.rates.size() == 1 && !task.valid.rows.empty())
    task.notes.push_back(
        fmt::format("{} pictures of the split valid are not used: there is nothing to choose",
                    task.valid.rows.size()));
  if (task.table.split_column < 0)
    task.notes.push_back(fmt::format("the table has no column {}: {:g} % of the {} are tested on",
                                     o.names.split, 100 * o.test_fraction,
                                     task.table.subject_column < 0 ? "pictures" : "subjects"));
  if (const auto both = subjects_in_both(task.table, splits); both > 0)
    task.notes.push_back(fmt::format("{} subjects have pictures to train and to test", both));
  leave_out_unlearnable(task);
  return task;
}

/// Brings all parts to mean 0 and standard deviation 1 of the first; a feature that is always the
/// same becomes 0.
void standardise(const std::vector<Tensor<float>>& parts) {
  const Tensor<float>& train = parts.front();
  const index_t width = train.dim(1);
  for (index_t k = 0; k < width; ++k) {
    std::vector<double> column;
    for (index_t i = 0; i < train.dim(0); ++i) column.push_back(train.data()[i * width + k]);
    const MeanSd m = mean_sd(column);
    for (const auto& part : parts)
      for (index_t i = 0; i < part.dim(0); ++i) {
        float& v = part.data()[i * width + k];
        v = m.sd > 0 ? static_cast<float>((v - m.mean) / m.sd) : 0;
      }
  }
}

/// The mean of the AUPRC of the findings that have both labels.
double macro_auprc(const std::vector<double>& scores, const Part& part, std::size_t count) {
  std::vector<double> of_findings;
  for (std::size_t k = 0; k < count; ++k) {
    std::vector<double> own;
    std::vector<std::int64_t> known;
    for (std::size_t i = k; i < scores.size(); i += count)
      if (!std::isnan(part.labels[i]))
        own.push_back(scores[i]), known.push_back(part.labels[i] == 1 ? 1 : 0);
    of_findings.push_back(part.with(0, k, count) > 0 ? average_precision(own, known)
                                                     : not_a_number);
  }
  return mean_without_nan(of_findings);
}

/// The class tokens of one encoder.
struct Encoder {
  std::string name;
  index_t width;
  std::vector<float> tokens;  ///< row-major (rows of the table, width)
};

/// Trains the probes of one encoder and measures them.
Probed probe_encoder(const Options& o, const Task& task, const Encoder& e) {
  const auto train = task.train.features(e.tokens, e.width),
             valid = task.valid.features(e.tokens, e.width),
             test = task.test.features(e.tokens, e.width);
  if (o.standardise) standardise({train, valid, test});
  const std::size_t count = task.findings.size();
  const std::vector<float> known(task.train.labels.begin(), task.train.labels.end());
  const auto labels = Tensor<float>::from_values({train.dim(0), static_cast<index_t>(count)},
                                                 std::span<const float>(known));
  LinearProbeOptions options = o.probe;
  options.lr = o.rates.front(), options.seed = o.seed;
  double best = -1;
  for (const double rate : o.rates) {
    if (o.rates.size() == 1) break;
    LinearProbeOptions tried = options;
    tried.lr = rate;
    const auto head = train_linear_probe(train, labels, tried);
    const double macro = macro_auprc(linear_probe_scores(head, valid), task.valid, count);
    if (macro > best) best = macro, options.lr = rate;
  }
  std::vector<std::vector<double>> scores;
  for (int s = 0; s < o.seeds; ++s) {
    options.seed = o.seed + static_cast<std::uint64_t>(s);
    scores.push_back(linear_probe_scores(train_linear_probe(train, labels, options), test));
  }
  return {ProbeTable(e.name, task.names(), scores, task.test.labels, o.bootstrap), scores,
          options.lr};
}

Json json_of(const ProbeTable::Row& r) {
  const auto number = [](double v) { return std::isnan(v) ? Json() : Json(v); };
  const auto metric = [&](const MeanSd& m, const Interval& i) {
    return Json{{"mean", number(m.mean)},
                {"sd", number(m.sd)},
                {"low", number(i.low)},
                {"high", number(i.high)}};
  };
  return {{"auprc", metric(r.auprc, r.auprc_interval)},
          {"auroc", metric(r.auroc, r.auroc_interval)}};
}

std::string scores_csv(const Task& task, const std::vector<Probed>& probed, std::uint64_t seed) {
  std::vector<std::string> header = {"encoder", "seed", "image"};
  for (const auto& f : task.findings) header.push_back(f.name);
  std::string text = csv_row(header);
  const std::size_t count = task.findings.size();
  for (const auto& p : probed)
    for (std::size_t s = 0; s < p.scores.size(); ++s)
      for (std::size_t i = 0; i < task.test.rows.size(); ++i) {
        std::vector<std::string> row = {p.table.encoder(), fmt::format("{}", seed + s),
                                        task.table.images[task.test.rows[i]]};
        for (std::size_t k = 0; k < count; ++k)
          row.push_back(fmt::format("{}", p.scores[s][i * count + k]));
        text += csv_row(row);
      }
  return text;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Name and value of what was done.
Pairs about(const Options& o, const Task& task, const std::vector<Probed>& probed) {
  std::string files, rates;
  for (const auto& p : probed)
    rates += fmt::format("{}{:g} ({})", rates.empty() ? "" : ", ", p.lr, p.table.encoder());
  for (const auto& f : o.features) files += (files.empty() ? "" : ", ") + f;
  return {{"features", files},
          {"labels", o.labels},
          {"pictures",
           fmt::format("{} to train, {} to test", task.train.rows.size(), task.test.rows.size())},
          {"probe", "one linear layer, mean binary cross-entropy, AdamW, cosine"},
          {"learning rate", rates},
          {"weight decay", fmt::format("{:g}", o.probe.weight_decay)},
          {"epochs", std::to_string(o.probe.epochs)},
          {"batch size", std::to_string(o.probe.batch_size)},
          {"features standardised", o.standardise ? "yes" : "no"},
          {"seeds", fmt::format("{} from {} on", o.seeds, o.seed)},
          {"intervals",
           fmt::format("95 %, {} bootstrap resamples of tested pictures", o.bootstrap.resamples)}};
}

void write_results(const Options& o, const Task& task, const std::vector<Probed>& probed) {
  const Pairs said = about(o, task, probed);
  std::string csv = ProbeTable::csv_header();
  Json json;
  for (const auto& [name, value] : said) json["about"][name] = value;
  json["notes"] = task.notes;
  json["tested_pictures"] = task.test.rows.size();
  for (const auto& p : probed) {
    csv += p.table.to_csv();
    Json e = {{"encoder", p.table.encoder()},
              {"lr", p.lr},
              {"macro", json_of(p.table.macro())},
              {"left_out", p.table.left_out()}};
    for (const auto& r : p.table.rows()) {
      Json f = json_of(r);
      f["finding"] = r.name, f["positives"] = r.positives, f["negatives"] = r.negatives;
      f["interval_note"] = r.note().empty() ? Json() : Json(r.note());
      e["findings"].push_back(std::move(f));
    }
    json["encoders"].push_back(std::move(e));
  }
  atomic_write(o.out + "/probe.csv", csv);
  atomic_write(o.out + "/probe.json", json.dump(2) + "\n");
  atomic_write(o.out + "/scores.csv", scores_csv(task, probed, o.seed));
  atomic_write(o.out + "/probe.html", probe::page(probed, task.test.labels, said, task.notes));
  fmt::print("written: {0}/probe.csv, {0}/probe.json, {0}/scores.csv, {0}/probe.html\n",
             visible_text(o.out));
}

/// Reads every file before anything is trained.
int run(const Options& o) {
  const Task task = make_task(o);
  std::vector<Encoder> encoders;
  std::set<std::string> taken;
  for (const auto& path : o.features) {
    const FeatureFile f = read_feature_file(path, false);
    std::string name = f.encoder;
    if (taken.contains(name)) name += " (" + path + ")";
    if (!taken.insert(name).second) fail_file(path, "", "is given twice");
    encoders.push_back({name, f.width, class_tokens_of(f, path, task.table)});
  }
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
  add_options(app, o);
  return run_program(app, argc, argv, [&] {
    if (o.threads > 0) omp_set_num_threads(o.threads);
    o.bootstrap.seed = o.seed;
    return run(o);
  });
}
