// What masks were worth: Dice of every picture and class, its mean, deviation and interval over the
// pictures, and how that is printed. Two empty masks count as 1, so of something rare most pictures
// are right when nothing is marked anywhere: beside it stands the mean over pictures that have it.
#pragma once

#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/mean_sd.hpp>
#include <hlip/eval/table_text.hpp>

#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Dice over pictures. A picture whose mask of a class is not known has NaN there, which counts
/// nowhere; the Dice of a structure in a picture is the mean of its classes.
class DiceTable {
 public:
  /// A structure and its classes.
  struct Group {
    std::string name;
    std::vector<std::string> classes;
  };
  /// A structure, or one class of a structure that has several.
  struct Row {
    std::string structure, name;  ///< no name: the structure
    std::int64_t pictures = 0;    ///< in which it is known
    MeanSd dice;
    Interval interval;
    std::int64_t present = 0;            ///< pictures that have it
    double dice_present = not_a_number;  ///< the mean over these
    Interval present_interval;
  };

  /// @param values row-major (pictures, classes of all groups), 0 to 1 or NaN
  /// @param present likewise: whether the mask is not empty
  /// @throws hlip::error if the sizes do not fit
  HLIP_LAZY DiceTable(std::vector<Group> groups, std::vector<std::string> pictures,
                      std::vector<double> values, std::vector<char> present,
                      const BootstrapOptions& options = {})
      : groups_(std::move(groups)),
        pictures_(std::move(pictures)),
        values_(std::move(values)),
        present_(std::move(present)) {
    for (const auto& g : groups_) classes_ += g.classes.size();
    expect(classes_ > 0 && values_.size() == pictures_.size() * classes_ &&
               present_.size() == values_.size(),
           "dice_table", "{} values of {} pictures and {} classes", values_.size(),
           pictures_.size(), classes_);
    std::size_t first = 0;
    for (const auto& g : groups_) {
      add_row(g.name, "", first, g.classes.size());
      for (std::size_t k = 0; k < g.classes.size() && g.classes.size() > 1; ++k)
        add_row(g.name, g.classes[k], first + k, 1);
      first += g.classes.size();
    }
    add_intervals(options);
  }

  const std::vector<Row>& rows() const { return rows_; }
  /// The mean over the structures.
  double macro() const { return macro_.dice.mean; }
  const Interval& macro_interval() const { return macro_.interval; }

  /// The table for people.
  HLIP_LAZY std::string to_text() const {
    std::size_t wide = 12;
    for (const auto& r : rows_) wide = std::max(wide, label(r).size());
    std::string text = fmt::format(
        "{:<{}}  pictures  Dice   (sd)     95 % of the mean  with it  Dice there\n", "structure",
        wide);
    for (const auto& r : rows_)
      text += fmt::format("{:<{}}  {:>8}  {:<5}  {:<7}  {:<16}  {:>7}  {}\n", label(r), wide,
                          r.pictures, detail::table_cell(r.dice.mean),
                          "(" + detail::table_cell(r.dice.sd) + ")",
                          detail::table_range(r.interval.low, r.interval.high), r.present,
                          detail::table_cell(r.dice_present));
    return text;
  }
  /// The rows for programs.
  HLIP_LAZY std::string to_csv() const {
    std::string text =
        "structure,class,pictures,dice,sd,dice_low,dice_high,present,dice_present,present_low,"
        "present_high\n";
    for (const auto& r : rows_)
      text += csv_row(std::vector<std::string>{
          r.structure, r.name, fmt::format("{}", r.pictures), detail::csv_number(r.dice.mean),
          detail::csv_number(r.dice.sd), detail::csv_number(r.interval.low),
          detail::csv_number(r.interval.high), fmt::format("{}", r.present),
          detail::csv_number(r.dice_present), detail::csv_number(r.present_interval.low),
          detail::csv_number(r.present_interval.high)});
    return text;
  }
  /// Dice of every picture and class that is known.
  HLIP_LAZY std::string pictures_csv() const {
    std::string text = "picture,structure,class,dice\n";
    for (std::size_t i = 0; i < pictures_.size(); ++i) {
      std::size_t k = i * classes_;
      for (const auto& g : groups_)
        for (const auto& name : g.classes) {
          const double value = values_[k++];
          if (!std::isnan(value))
            text += csv_row(
                std::vector<std::string>{pictures_[i], g.name, name, detail::csv_number(value)});
        }
    }
    return text;
  }
  /// Everything in one line.
  HLIP_LAZY std::string last_line() const {
    std::string structures;
    for (const auto& r : rows_)
      if (r.name.empty())
        structures += fmt::format("{} {} {}", structures.empty() ? ":" : ",", r.structure,
                                  detail::table_cell(r.dice.mean));
    return fmt::format("macro Dice {} ({}){}, {} pictures", detail::table_cell(macro()),
                       detail::table_range(macro_.interval.low, macro_.interval.high), structures,
                       pictures_.size());
  }

 private:
  static std::string label(const Row& r) { return r.name.empty() ? r.structure : "  " + r.name; }

  void add_row(std::string structure, std::string name, std::size_t first, std::size_t classes) {
    std::vector<double> each, where_present;
    Row row;
    row.structure = std::move(structure), row.name = std::move(name);
    for (std::size_t i = 0; i < pictures_.size(); ++i) {
      const std::size_t at = i * classes_ + first;
      const auto values = std::span<const double>(values_).subspan(at, classes);
      std::vector<double> those;
      for (std::size_t k = 0; k < classes; ++k)
        if (present_[at + k]) those.push_back(values[k]);
      each.push_back(mean_without_nan(values));
      where_present.push_back(mean_without_nan(those));
      row.pictures += !std::isnan(each.back()), row.present += !std::isnan(where_present.back());
    }
    row.dice = mean_sd(each), row.dice_present = mean_without_nan(where_present);
    rows_.push_back(std::move(row));
    of_pictures_.push_back(std::move(each));
    where_present_.push_back(std::move(where_present));
  }
  /// The mean over pictures drawn so often; NaN if none of them is known.
  static double weighted_mean(const std::vector<double>& each,
                              std::span<const std::int64_t> weights) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < each.size(); ++i) {
      if (std::isnan(each[i])) continue;
      const auto w = static_cast<double>(weights[i]);
      sum += w * each[i], count += w;
    }
    return count > 0 ? sum / count : not_a_number;
  }
  double macro_of(std::span<const double> of_rows) const {
    std::vector<double> structures;
    for (std::size_t r = 0; r < rows_.size(); ++r)
      if (rows_[r].name.empty()) structures.push_back(of_rows[r]);
    return mean_without_nan(structures);
  }
  void add_intervals(const BootstrapOptions& options) {
    const std::size_t n = rows_.size();
    std::vector<double> means;
    for (const auto& r : rows_) means.push_back(r.dice.mean);
    macro_.dice.mean = macro_of(means);
    const auto intervals = bootstrap_intervals(
        static_cast<std::int64_t>(pictures_.size()), 2 * n + 1,
        [&](std::span<const std::int64_t> weights, std::span<double> out) {
          for (std::size_t r = 0; r < n; ++r) {
            out[r] = weighted_mean(of_pictures_[r], weights);
            out[n + 1 + r] = weighted_mean(where_present_[r], weights);
          }
          out[n] = macro_of(out.first(n));
        },
        options);
    for (std::size_t r = 0; r < n; ++r)
      rows_[r].interval = intervals[r], rows_[r].present_interval = intervals[n + 1 + r];
    macro_.interval = intervals[n];
  }

  std::vector<Group> groups_;
  std::vector<std::string> pictures_;
  std::vector<double> values_;
  std::vector<char> present_;
  std::size_t classes_ = 0;
  std::vector<Row> rows_;
  Row macro_;
  // of each row: its Dice in every picture, and in those that have it
  std::vector<std::vector<double>> of_pictures_, where_present_;
};

HLIP_END
