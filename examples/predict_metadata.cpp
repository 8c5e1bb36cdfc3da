// What frozen features of radiographs say about whom they are of: logistic regression for each
// column of a table, accuracy over folds that part no subject; encoders stand beside each other.
//
//   predict_metadata --features a.safetensors --table table.csv --column sex,age
#include <hlip/hlip.hpp>

#include <hlip/cli/command_line.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/dice.hpp>
#include <hlip/eval/feature_file.hpp>
#include <hlip/eval/logistic_regression.hpp>
#include <hlip/eval/picture_table.hpp>
#include <hlip/io/csv_text.hpp>
#include <hlip/io/file.hpp>

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace hlip;

namespace {

struct Options {
  std::vector<std::string> features, columns, bins;
  std::string table, out;
  PictureColumns names;
  std::int64_t folds = 5;
  std::uint64_t seed = 0;
  int threads = 0;
  LogisticRegressionOptions fit;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("--features", o.features,
                 "features of the pictures (safetensors), one file for each encoder")
      ->required();
  app.add_option("--table", o.table, "table (CSV) with a row for each picture")->required();
  app.add_option("--column", o.columns,
                 "what to predict, separated by commas (default: every column with 2 to 50 values, "
                 "or of numbers)")
      ->delimiter(',');
  app.add_option(
      "--bins", o.bins,
      "how numbers of more than 10 values are cut: N for N parts of as many pictures, or "
      "where, as 20,40,60; NAME=… for one column (default: 4)");
  app.add_option("--image-column", o.names.image, "names the picture")->capture_default_str();
  app.add_option("--subject-column", o.names.subject,
                 "names the subject (default: subject or patient, if there is one)");
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
  app.add_option("--threads", o.threads, "compute threads (default: all cores)")
      ->check(CLI::Range(0, 4096));
}

// ---- columns -----------------------------------------------------------------------------------

constexpr std::size_t most_classes = 50, most_values = 10;

/// A number, or nothing.
std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

/// A column as classes. Rows where it says nothing are left out.
struct Target {
  std::string name;
  std::vector<std::size_t> rows;     ///< of the table
  std::vector<std::int64_t> labels;  ///< of these rows
  std::vector<std::string> classes;  ///< what the numbers mean
  bool cut = false;                  ///< whether classes are ranges of numbers

  /// The share of the most frequent class.
  double most_frequent() const {
    std::map<std::int64_t, std::size_t> counts;
    std::size_t most = 0;
    for (const auto label : labels) most = std::max(most, ++counts[label]);
    return static_cast<double>(most) / static_cast<double>(labels.size());
  }
  std::string class_list() const {
    std::string text;
    for (const auto& c : classes) text += (text.empty() ? "" : ", ") + c;
    return text;
  }
};

/// Where numbers are cut. @param spec "4" parts, or at "20,40,60", or at "60,"
/// @throws hlip::error for anything else
std::vector<double> edges_of(const std::string& spec, std::vector<double> values) {
  std::vector<double> numbers;
  std::size_t at = 0;
  do {
    const std::size_t end = std::min(spec.find(',', at), spec.size());
    const auto number = number_in(std::string_view(spec).substr(at, end - at));
    if (!number)
      fail("--bins", "{} is neither a number of parts nor a list of numbers", quote_text(spec));
    numbers.push_back(*number), at = end + 1;
  } while (at < spec.size());
  if (numbers.size() > 1 || spec.find(',') != spec.npos) {
    for (std::size_t i = 1; i < numbers.size(); ++i)
      if (!(numbers[i - 1] < numbers[i])) fail("--bins", "{} does not rise", quote_text(spec));
    return numbers;
  }
  if (!(numbers[0] >= 2 && numbers[0] <= static_cast<double>(most_classes) &&
        numbers[0] == std::floor(numbers[0])))
    fail("--bins", "{} parts, expected 2 to {}", spec, most_classes);
  std::sort(values.begin(), values.end());
  std::vector<double> edges;
  for (double k = 1; k < numbers[0]; ++k) {
    edges.push_back(quantile_of_sorted(values, k / numbers[0]));
    if (edges.size() > 1 && edges.end()[-1] == edges.end()[-2]) edges.pop_back();
  }
  return edges;
}

/// Turns numbers into ranges: below the first edge, from an edge on to below the next.
void cut_numbers(Target& t, const std::vector<double>& values, const std::string& spec) {
  const auto edges = edges_of(spec, values);
  t.cut = true;
  for (std::size_t k = 0; k <= edges.size(); ++k)
    t.classes.push_back(k == 0              ? fmt::format("<{:g}", edges.front())
                        : k == edges.size() ? fmt::format(">={:g}", edges.back())
                                            : fmt::format("{:g}-{:g}", edges[k - 1], edges[k]));
  for (const double v : values)
    t.labels.push_back(std::upper_bound(edges.begin(), edges.end(), v) - edges.begin());
}

/// How a column is cut: what --bins says of it by name, or of all.
std::pair<std::string, bool> bins_of(const Options& o, const std::string& name) {
  std::string spec = "4";
  for (const auto& given : o.bins) {
    const auto equals = given.rfind('=');
    if (equals == given.npos) spec = given;
    else if (given.substr(0, equals) == name) return {given.substr(equals + 1), true};
  }
  return {spec, false};
}

/// Reads a column. @return why it cannot be predicted, or nothing
std::string read_target(const Options& o, const PictureTable& t, Target& target) {
  const int c = t.table.column(target.name);
  std::vector<double> values;
  std::set<std::string, std::less<>> distinct;
  for (std::size_t r = 0; r < t.rows(); ++r) {
    const auto text = t.table.at(r, c);
    if (text.empty() || text == "nan" || text == "NaN" || text == "NA") continue;
    target.rows.push_back(r);
    distinct.emplace(text);
    if (const auto number = number_in(text)) values.push_back(*number);
  }
  if (target.rows.empty()) return "says nothing of any picture";
  const auto [spec, named] = bins_of(o, target.name);
  const bool numbers = values.size() == target.rows.size();
  if (named && !numbers) return "is not all numbers, which --bins could cut";
  if (numbers && (named || distinct.size() > most_values)) {
    cut_numbers(target, values, spec);
  } else {
    if (distinct.size() > most_classes)
      return fmt::format("has {} different values, expected numbers or at most {}", distinct.size(),
                         most_classes);
    target.classes.assign(distinct.begin(), distinct.end());
    for (const std::size_t r : target.rows)
      target.labels.push_back(std::distance(distinct.begin(), distinct.find(t.table.at(r, c))));
  }
  const std::set<std::int64_t> used(target.labels.begin(), target.labels.end());
  if (used.size() < 2)
    return fmt::format("all {} labels are of one class, {}", target.labels.size(),
                       quote_text(target.classes[static_cast<std::size_t>(*used.begin())]));
  return "";
}

std::vector<Target> read_targets(const Options& o, const PictureTable& t) {
  expect_columns(t.table, o.columns);
  for (const auto& given : o.bins)
    if (const auto equals = given.rfind('='); equals != given.npos)
      expect_columns(t.table, {given.substr(0, equals)});
  std::vector<Target> targets;
  std::string why;
  for (const auto& name : o.columns.empty() ? t.table.columns() : o.columns) {
    if (o.columns.empty() && t.is_key(t.table.column(name))) continue;
    Target target;
    target.name = name;
    const std::string fault = read_target(o, t, target);
    if (fault.empty()) {
      targets.push_back(std::move(target));
    } else if (o.columns.empty() && !bins_of(o, name).second) {
      why += fmt::format("note: column {} is left out: {}\n", name, fault);
    } else {
      fail_file(o.table, "column " + visible_text(cut_text(name, 60)), "{}", fault);
    }
  }
  fmt::print("{}", visible_text(why, true));
  if (targets.empty()) fail_file(o.table, "", "has no column that could be predicted");
  return targets;
}

// ---- prediction --------------------------------------------------------------------------------

struct Encoder {
  std::string name;
  index_t width;
  std::vector<float> tokens;  ///< row-major (rows of the table, width)
};

std::vector<Encoder> read_encoders(const Options& o, const PictureTable& t) {
  std::vector<Encoder> encoders;
  std::set<std::string> taken;
  for (const auto& path : o.features) {
    const FeatureFile f = read_feature_file(path, false);
    std::string name = f.encoder;
    if (taken.contains(name)) name += " (" + path + ")";
    if (!taken.insert(name).second) fail_file(path, "", "is given twice");
    encoders.push_back({name, f.width, class_tokens_of(f, path, t)});
  }
  return encoders;
}

/// A fold for each of the target's rows. @throws hlip::error naming a column that folds by subject
/// leave with one class
std::vector<std::int64_t> folds_of(const Options& o, const PictureTable& t, const Target& target) {
  std::vector<std::string> subjects;
  for (const std::size_t r : target.rows) subjects.push_back(t.subjects[r]);
  const std::set<std::string> all(subjects.begin(), subjects.end());
  const std::string place = "column " + visible_text(cut_text(target.name, 60));
  if (static_cast<std::int64_t>(all.size()) < o.folds)
    fail_file(o.table, place, "{} subjects are too few for {} folds", all.size(), o.folds);
  const auto folds = subject_folds(subjects, o.folds, o.seed);
  for (std::int64_t fold = 0; fold < o.folds; ++fold) {
    std::set<std::int64_t> learned;
    for (std::size_t i = 0; i < folds.size(); ++i)
      if (folds[i] != fold) learned.insert(target.labels[i]);
    if (learned.size() < 2)
      fail_file(o.table, place, "without fold {} of {} all labels are of one class", fold + 1,
                o.folds);
  }
  return folds;
}

CrossValidation predict(const Options& o, const Encoder& e, const Target& target,
                        const std::vector<std::int64_t>& folds) {
  std::vector<double> values;
  for (const std::size_t r : target.rows) {
    const auto at = e.tokens.begin() + static_cast<std::ptrdiff_t>(r) * e.width;
    values.insert(values.end(), at, at + e.width);
  }
  const auto x = Tensor<double>::from_values({static_cast<index_t>(target.rows.size()), e.width},
                                             std::span<const double>(values));
  return cross_validated_accuracy(x, std::span<const std::int64_t>(target.labels), folds, o.folds,
                                  o.fit);
}

void say_target(const Target& target) {
  fmt::print("{}\n",
             visible_text(fmt::format(
                 "{}: {} pictures, {} {}{}", target.name, target.rows.size(), target.classes.size(),
                 target.cut ? "ranges of numbers, cut here: " : "classes: ", target.class_list())));
}

int run(const Options& o) {
  const PictureTable table = read_picture_table(o.table, o.names);
  const auto targets = read_targets(o, table);
  const auto encoders = read_encoders(o, table);
  std::vector<std::vector<std::int64_t>> folds;
  for (const auto& target : targets) folds.push_back(folds_of(o, table, target));
  if (table.subject_column < 0)
    fmt::print("note: the table has no column of subjects: every picture counts as its own\n");
  for (const auto& target : targets) say_target(target);
  std::string csv =
      "encoder,column,classes,pictures,folds,accuracy,accuracy_sd,most_frequent,unfinished\n";
  std::size_t width = 6;
  for (const auto& t : targets) width = std::max(width, t.name.size());
  int unfinished = 0;
  for (const auto& e : encoders) {
    fmt::print("{}\n{:<{}}  {:>7}  {:<15}{}\n", visible_text(e.name), "column", width, "classes",
               "accuracy (sd)", "always the most frequent class");
    for (std::size_t k = 0; k < targets.size(); ++k) {
      const Target& t = targets[k];
      const CrossValidation result = predict(o, e, t, folds[k]);
      const MeanSd m = mean_sd(result.accuracy);
      unfinished += result.unfinished;
      fmt::print("{:<{}}  {:>7}  {:<15}{:.3f}\n", visible_text(t.name), width, t.classes.size(),
                 fmt::format("{:.3f} ({:.3f})", m.mean, m.sd), t.most_frequent());
      csv += fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_field(e.name), csv_field(t.name),
                         csv_field(t.class_list()), t.rows.size(), o.folds, m.mean, m.sd,
                         t.most_frequent(), result.unfinished);
    }
  }
  if (unfinished > 0)
    fmt::print("note: {} fits ended after --max-iterations {}, before the optimum\n", unfinished,
               o.fit.max_iterations);
  if (!o.out.empty()) {
    std::error_code failed;
    std::filesystem::create_directories(o.out, failed);
    if (failed) fail_file(o.out, "", "cannot be made: {}", failed.message());
    atomic_write(o.out + "/metadata.csv", csv);
    fmt::print("written: {}/metadata.csv\n", visible_text(o.out));
  }
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
    if (o.threads > 0) omp_set_num_threads(o.threads);
    return run(o);
  });
}
