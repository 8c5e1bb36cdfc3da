// The result of a zero-shot evaluation: one row per finding, means, bootstrap intervals, and how it
// is printed.
#pragma once

#include <hlip/eval/binary_metrics.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/table_text.hpp>
#include <hlip/eval/zero_shot.hpp>

HLIP_BEGIN

/// The line a program ends with: "macro AUC 0.872 (95 % CI 0.861-0.884, 400 studies)", with
/// interval_mark behind an interval of no width.
HLIP_LAZY std::string macro_auc_line(double macro_auc, const Interval& interval,
                                     std::int64_t studies) {
  return fmt::format("macro AUC {:.3f} (95 % CI {:.3f}-{:.3f}{}, {} studies)", macro_auc,
                     interval.low, interval.high, mark_of(interval_note(interval)), studies);
}

/// Metrics per finding with their unweighted means. Findings without positives or without negatives
/// among the studies have no metrics (NaN), are listed, and count in no mean.
class ZeroShotTable {
 public:
  struct Row {
    std::string name;
    BinaryMetrics metrics;
    Interval auc_interval;
    HLIP_LAZY std::string note() const {
      return interval_note(metrics.positives, metrics.negatives, auc_interval);
    }
  };

  /// @param names of the findings, C of them
  /// @param scores P(positive), row-major (studies, C); @param labels 0 or 1, row-major (studies,
  /// C)
  /// @throws hlip::error if the sizes do not fit, a score is NaN or a label is neither 0 nor 1
  HLIP_LAZY ZeroShotTable(std::span<const std::string> names, std::span<const double> scores,
                          std::span<const std::int64_t> labels,
                          const BootstrapOptions& options = {})
      : confidence_(options.confidence) {
    const std::size_t C = names.size();
    expect(C > 0, "zero_shot_table", "no classes");
    expect(scores.size() == labels.size() && scores.size() % C == 0, "zero_shot_table",
           "{} scores and {} labels, expected as many and rows of {} classes", scores.size(),
           labels.size(), C);
    studies_ = static_cast<std::int64_t>(scores.size() / C);
    std::vector<double> column(scores.size() / C);
    std::vector<std::int64_t> own(column.size());
    std::vector<RocAuc> aucs;
    std::vector<BinaryMetrics> metrics;
    for (std::size_t c = 0; c < C; ++c) {
      for (std::size_t i = 0; i < column.size(); ++i)
        column[i] = scores[i * C + c], own[i] = labels[i * C + c];
      metrics.push_back(binary_metrics(column, own));
      aucs.emplace_back(column, own);
    }
    means_ = mean_over_classes(metrics);
    // The last statistic is the macro average, from the same resamples.
    const auto intervals = bootstrap_intervals(
        studies_, C + 1,
        [&](std::span<const std::int64_t> weights, std::span<double> out) {
          for (std::size_t c = 0; c < C; ++c)
            out[c] = std::isnan(metrics[c].auc) ? not_a_number : aucs[c].value(weights);
          out[C] = mean_without_nan(out.first(C));
        },
        options);
    for (std::size_t c = 0; c < C; ++c) rows_.push_back({names[c], metrics[c], intervals[c]});
    macro_interval_ = intervals[C];
  }

  /// The table that was written as CSV: see read_zero_shot_table.
  HLIP_LAZY ZeroShotTable(std::vector<Row> rows,
                          const std::array<double, BinaryMetrics::columns>& means,
                          const Interval& macro)
      : rows_(std::move(rows)),
        means_(means),
        macro_interval_(macro),
        confidence_(BootstrapOptions{}.confidence) {
    if (!rows_.empty())
      studies_ = rows_.front().metrics.positives + rows_.front().metrics.negatives;
  }

  const std::vector<Row>& rows() const { return rows_; }
  std::int64_t studies() const { return studies_; }
  /// Means over the findings in the order of BinaryMetrics::names.
  const std::array<double, BinaryMetrics::columns>& means() const { return means_; }
  double macro_auc() const { return means_[4]; }
  const Interval& macro_interval() const { return macro_interval_; }
  /// Names of the findings that have no metrics.
  std::vector<std::string> left_out() const {
    std::vector<std::string> names;
    for (const auto& r : rows_)
      if (std::isnan(r.metrics.auc)) names.push_back(r.name);
    return names;
  }
  HLIP_LAZY std::string last_line() const {
    return macro_auc_line(macro_auc(), macro_interval_, studies_);
  }

  /// Aligned table for a console, ending in a line break but without last_line().
  /// @param fitted also the columns at a threshold fitted on these same labels
  HLIP_LAZY std::string to_text(bool fitted = false) const {
    std::size_t width = std::string_view("mean of findings").size();
    for (const auto& r : rows_) width = std::max(width, r.name.size());
    std::string text;
    const auto add = [&](const std::vector<std::string>& cells) {
      add_line(text, cells, width, fitted);
    };
    add({"finding", "pos", "neg", "AUC", fmt::format("{:g} % CI", confidence_ * 100), "bal.acc",
         "wF1", "recall", "prec", "thr*", "acc*", "wF1*", "rec*", "prec*"});
    for (const auto& r : rows_)
      add(cells(r.name, std::to_string(r.metrics.positives), std::to_string(r.metrics.negatives),
                r.metrics.values(), r.auc_interval, mark_of(r.note())));
    add(cells("mean of findings", "", "", means_, macro_interval_,
              mark_of(interval_note(macro_interval_))));
    if (std::any_of(rows_.begin(), rows_.end(), [](const Row& r) { return !r.note().empty(); }))
      text += interval_mark_line;
    if (fitted)
      text +=
          "* at the threshold fitted on these same test labels, which is optimistic; acc* is "
          "plain, not balanced accuracy\n";
    std::string missing;
    for (const auto& name : left_out()) missing += (missing.empty() ? "" : ", ") + name;
    if (!missing.empty())
      text += fmt::format("left out of the means, because all studies have the same label: {}\n",
                          missing);
    return visible_text(text, true);
  }

  /// CSV with a header line and a last row "mean"; undefined values are empty fields.
  HLIP_LAZY std::string to_csv() const {
    std::string text = "finding,positives,negatives,auc_low,auc_high";
    for (const auto name : BinaryMetrics::names) (text += ',') += name;
    text += ",interval_note\n";
    const auto append = [&](const Interval& interval,
                            const std::array<double, BinaryMetrics::columns>& values,
                            const std::string& note) {
      text += ',' + detail::csv_number(interval.low) + ',' + detail::csv_number(interval.high);
      for (const double v : values) text += ',' + detail::csv_number(v);
      text += ',' + csv_field(note) + '\n';
    };
    for (const auto& r : rows_) {
      text += fmt::format("{},{},{}", csv_field(r.name), r.metrics.positives, r.metrics.negatives);
      append(r.auc_interval, r.metrics.values(), r.note());
    }
    text += "mean,,";
    append(macro_interval_, means_, interval_note(macro_interval_));
    return text;
  }

  /// Name and value pairs for a run's log: "studies", "macro_auc", "macro_auc_low",
  /// "macro_auc_high", "mean_<metric>", "auc/<finding>"; all of them, undefined ones as NaN.
  HLIP_LAZY std::vector<std::pair<std::string, double>> scalars() const {
    std::vector<std::pair<std::string, double>> out = {{"studies", static_cast<double>(studies_)},
                                                       {"macro_auc", macro_auc()},
                                                       {"macro_auc_low", macro_interval_.low},
                                                       {"macro_auc_high", macro_interval_.high}};
    for (std::size_t k = 0; k < means_.size(); ++k)
      if (BinaryMetrics::names[k] != "auc")
        out.emplace_back("mean_" + std::string(BinaryMetrics::names[k]), means_[k]);
    for (const auto& r : rows_) out.emplace_back("auc/" + r.name, r.metrics.auc);
    return out;
  }

 private:
  HLIP_LAZY static std::vector<std::string> cells(
      std::string name, std::string positives, std::string negatives,
      const std::array<double, BinaryMetrics::columns>& v, const Interval& interval,
      std::string_view mark) {
    std::vector<std::string> out = {std::move(name), std::move(positives), std::move(negatives),
                                    detail::table_cell(v[4]),
                                    detail::table_range(interval.low, interval.high, mark)};
    for (const std::size_t k : {0, 1, 2, 3, 5, 6, 7, 8, 9}) out.push_back(detail::table_cell(v[k]));
    return out;
  }
  /// Cells to a line: the name to the left, the interval in the middle, numbers to the right. The
  /// last five only where a threshold was fitted.
  HLIP_LAZY static void add_line(std::string& text, const std::vector<std::string>& cells,
                                 std::size_t name_width, bool fitted) {
    static constexpr std::pair<std::string_view, std::size_t> columns[] = {
        {"  ", 5}, {" ", 5},    {"  ", 6}, {"  ", 13}, {"  ", 8}, {" ", 6}, {" ", 6},
        {" ", 6},  {"  | ", 6}, {" ", 6},  {" ", 6},   {" ", 6},  {" ", 6}};
    text += fmt::format("{:<{}}", cells[0], name_width);
    for (std::size_t k = 1; k < (fitted ? cells.size() : 9); ++k) {
      const auto [gap, width] = columns[k - 1];
      text += gap;
      text += k == 4 ? fmt::format("{:^{}}", cells[k], width)
                     : fmt::format("{:>{}}", cells[k], width);
    }
    text += '\n';
  }

  std::vector<Row> rows_;
  std::array<double, BinaryMetrics::columns> means_{};
  Interval macro_interval_;
  std::int64_t studies_ = 0;
  double confidence_;
};

HLIP_END
