// What frozen features of radiographs say about whom they are of: logistic regression for each
// column of a table, accuracy over folds that part no subject; encoders stand beside each other.
//
//   predict_metadata --features a.safetensors --table table.csv --column sex,age
//
// Read it from top to bottom: options, columns, predictions, what is printed and written.
#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/cli/compute_threads.hpp>
#include <hlip/cli/feature_options.hpp>
#include <hlip/eval/class_tokens.hpp>
#include <hlip/eval/column_classes.hpp>
#include <hlip/eval/logistic_regression.hpp>
#include <hlip/eval/mean_sd.hpp>
#include <hlip/io/csv_text.hpp>
#include <hlip/io/file.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

using namespace hlip;

namespace {

struct Options {
  std::vector<std::string> features, columns;
  std::string table, out;
  BinRules bins{{}, "--bins"};
  PictureColumns names;
  std::int64_t folds = 5;
  std::uint64_t seed = 0;
  int threads = 0;
  LogisticRegressionOptions fit;
};

void add_options(CLI::App& app, Options& o) {
  add_features_option(app, o.features);
  app.add_option("--table", o.table, "table (CSV) with a row for each picture")->required();
  app.add_option("--column", o.columns,
                 "what to predict, separated by commas (default: every column with 2 to 50 values, "
                 "or of numbers)")
      ->delimiter(',');
  app.add_option(
      "--bins", o.bins.rules,
      "how numbers of more than 10 values are cut: N for N parts of as many pictures, or "
      "where, as 20,40,60; NAME=… for one column (default: 4)");
  add_picture_column_options(app, o.names.image, o.names.subject);
  app.add_option("--folds", o.folds, "parts of the subjects, each predicted from the others")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--C", o.fit.C, "how much the pictures count against the L2 penalty")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--max-iterations", o.fit.max_iterations, "of L-BFGS")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--out", o.out, "folder for metadata.csv (default: the table is only printed)");
  app.add_option("--seed", o.seed, "of the folds")->capture_default_str();
  add_threads_option(app, o.threads);
}

std::vector<ColumnClasses> read_columns(const Options& o, const PictureTable& table) {
  auto [columns, left_out] = read_class_columns(table, o.columns, o.bins);
  for (const auto& note : left_out) fmt::print("note: {}\n", visible_text(note, true));
  if (columns.empty()) fail_file(o.table, "", "has no column that could be predicted");
  return columns;
}

CrossValidation predict(const Options& o, const ClassTokens& encoder, const ColumnClasses& column,
                        const std::vector<std::int64_t>& folds) {
  return cross_validated_accuracy(encoder.of_rows<double, Cpu>(column.rows),
                                  std::span<const std::int64_t>(column.labels), folds, o.folds,
                                  o.fit);
}

void say_column(const ColumnClasses& c) {
  fmt::print("{}\n", visible_text(fmt::format(
                         "{}: {} pictures, {} {}{}", c.name, c.rows.size(), c.classes.size(),
                         c.cut ? "ranges of numbers, cut here: " : "classes: ", c.class_list())));
}

void write_table(const std::string& folder, const std::string& csv) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) fail_file(folder, "", "cannot be made: {}", failed.message());
  atomic_write(folder + "/metadata.csv", csv);
  fmt::print("written: {}/metadata.csv\n", visible_text(folder));
}

int run(const Options& o) {
  const PictureTable table = read_picture_table(o.table, o.names);
  const auto columns = read_columns(o, table);
  const auto encoders = read_class_tokens(o.features, table);
  std::vector<std::vector<std::int64_t>> folds;
  for (const auto& c : columns) folds.push_back(subject_folds(table, c, o.folds, o.seed));
  if (table.subject_column < 0)
    fmt::print("note: the table has no column of subjects: every picture counts as its own\n");
  for (const auto& c : columns) say_column(c);
  std::string csv =
      "encoder,column,classes,pictures,folds,accuracy,accuracy_sd,most_frequent,unfinished\n";
  std::size_t width = 6;
  for (const auto& c : columns) width = std::max(width, c.name.size());
  int unfinished = 0;
  for (const auto& e : encoders) {
    fmt::print("{}\n{:<{}}  {:>7}  {:<15}{}\n", visible_text(e.encoder), "column", width, "classes",
               "accuracy (sd)", "always the most frequent class");
    for (std::size_t k = 0; k < columns.size(); ++k) {
      const ColumnClasses& c = columns[k];
      const CrossValidation result = predict(o, e, c, folds[k]);
      const MeanSd m = mean_sd(result.accuracy);
      unfinished += result.unfinished;
      fmt::print("{:<{}}  {:>7}  {:<15}{:.3f}\n", visible_text(c.name), width, c.classes.size(),
                 fmt::format("{:.3f} ({:.3f})", m.mean, m.sd), c.most_frequent());
      csv += fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_field(e.encoder), csv_field(c.name),
                         csv_field(c.class_list()), c.rows.size(), o.folds, m.mean, m.sd,
                         c.most_frequent(), result.unfinished);
    }
  }
  if (unfinished > 0)
    fmt::print("note: {} fits ended after --max-iterations {}, before the optimum\n", unfinished,
               o.fit.max_iterations);
  if (!o.out.empty()) write_table(o.out, csv);
  fmt::print("For research only: not a medical device.\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep(argv);
  CLI::App app(
      "Predicts columns of a table from frozen features of radiographs: logistic regression, "
      "accuracy over folds by subject.",
      "predict_metadata");
  Options o;
  add_options(app, o);
  return run_program(app, argc, argv, [&] {
    use_compute_threads(o.threads);
    return run(o);
  });
}
