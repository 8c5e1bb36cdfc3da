// AUC per finding for scores that only rank studies, such as cosines: no threshold means anything,
// so none is used.
#pragma once

#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/table_text.hpp>
#include <hlip/eval/zero_shot_table.hpp>

HLIP_BEGIN

/// AUCs with intervals and their unweighted mean. Findings without positives or without negatives
/// have none (NaN) and count in no mean.
class AucTable {
 public:
  struct Row {
    std::string name;
    std::int64_t positives = 0, negatives = 0;
    double auc = not_a_number;
    Interval interval;
    std::string note() const { return interval_note(positives, negatives, interval); }
  };

  /// @param names of the findings, C of them; @param scores higher means more likely, row-major
  /// (studies, C); @param labels 0 or 1, likewise
  /// @throws hlip::error if the sizes do not fit, a score is NaN or a label is neither 0 nor 1
  HLIP_LAZY AucTable(std::span<const std::string> names, std::span<const double> scores,
                     std::span<const std::int64_t> labels, const BootstrapOptions& options = {})
      : confidence_(options.confidence) {
    const std::size_t C = names.size();
    expect(C > 0 && scores.size() == labels.size() && scores.size() % C == 0, "auc_table",
           "{} scores and {} labels of {} findings", scores.size(), labels.size(), C);
    studies_ = static_cast<std::int64_t>(scores.size() / C);
    std::vector<RocAuc> aucs;
    std::vector<double> column(scores.size() / C), values;
    std::vector<std::int64_t> own(column.size());
    for (std::size_t c = 0; c < C; ++c) {
      for (std::size_t i = 0; i < column.size(); ++i)
        column[i] = scores[i * C + c], own[i] = labels[i * C + c];
      aucs.emplace_back(column, own);
      const auto positives = std::accumulate(own.begin(), own.end(), std::int64_t{0});
      rows_.push_back({names[c], positives, studies_ - positives, aucs.back().value(), {}});
      values.push_back(rows_.back().auc);
    }
    macro_ = mean_without_nan(values);
    const auto intervals = bootstrap_intervals(
        studies_, C + 1,
        [&](std::span<const std::int64_t> weights, std::span<double> out) {
          for (std::size_t c = 0; c < C; ++c)
            out[c] = std::isnan(values[c]) ? not_a_number : aucs[c].value(weights);
          out[C] = mean_without_nan(out.first(C));
        },
        options);
    for (std::size_t c = 0; c < C; ++c) rows_[c].interval = intervals[c];
    macro_interval_ = intervals[C];
  }

  const std::vector<Row>& rows() const { return rows_; }
  std::int64_t studies() const { return studies_; }
  double macro_auc() const { return macro_; }
  const Interval& macro_interval() const { return macro_interval_; }
  std::vector<std::string> left_out() const {
    std::vector<std::string> names;
    for (const auto& r : rows_)
      if (std::isnan(r.auc)) names.push_back(r.name);
    return names;
  }
  std::string last_line() const { return macro_auc_line(macro_, macro_interval_, studies_); }

  /// Aligned table for a console, without last_line().
  HLIP_LAZY std::string to_text() const {
    std::size_t width = 7;
    for (const auto& r : rows_) width = std::max(width, r.name.size());
    std::string text = fmt::format("{:<{}}  {:>5} {:>5}  {:>6}  {}\n", "finding", width, "pos",
                                   "neg", "AUC", fmt::format("{:g} % CI", confidence_ * 100)),
                missing;
    bool marked = false;
    for (const auto& r : rows_) {
      text += fmt::format("{:<{}}  {:>5} {:>5}  {:>6}  {}\n", r.name, width, r.positives,
                          r.negatives, detail::table_cell(r.auc),
                          detail::table_range(r.interval.low, r.interval.high, mark_of(r.note())));
      marked = marked || !r.note().empty();
      if (std::isnan(r.auc)) missing += (missing.empty() ? "" : ", ") + r.name;
    }
    if (marked) text += interval_mark_line;
    if (!missing.empty())
      text += fmt::format("left out of the mean, because all studies have the same label: {}\n",
                          missing);
    return visible_text(text, true);
  }

  /// CSV with a header line and a last row "mean"; undefined values are empty fields.
  HLIP_LAZY std::string to_csv() const {
    using detail::csv_number;
    std::string text = "finding,positives,negatives,auc,auc_low,auc_high,interval_note\n";
    for (const auto& r : rows_)
      text += fmt::format("{},{},{},{},{},{},{}\n", csv_field(r.name), r.positives, r.negatives,
                          csv_number(r.auc), csv_number(r.interval.low),
                          csv_number(r.interval.high), csv_field(r.note()));
    return text + fmt::format("mean,,,{},{},{},{}\n", csv_number(macro_),
                              csv_number(macro_interval_.low), csv_number(macro_interval_.high),
                              csv_field(interval_note(macro_interval_)));
  }

 private:
  std::vector<Row> rows_;
  std::int64_t studies_ = 0;
  double macro_ = not_a_number, confidence_ = 0.95;
  Interval macro_interval_;
};

HLIP_END
