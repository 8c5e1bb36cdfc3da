// How close generated reports are to those they stand for: ROUGE-L, BLEU-4, F1 of labels and of
// relations, each as median and interval over resamples.
// Source: reference document RAD-DINO §9, "Report generation".
#pragma once

#include <hlip/eval/bleu.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/f1.hpp>
#include <hlip/eval/rouge.hpp>
#include <hlip/eval/table_text.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a report, or what stands for it, says.
struct ReportContent {
  std::string text;
  std::vector<std::int64_t> labels = {};  ///< 0 or 1 of each finding
  std::vector<EntityTriple> facts = {};   ///< as RadGraph found them
};

/// Reports and what was generated for them, in the same order.
struct ComparedReports {
  std::vector<ReportContent> references, hypotheses;
  std::vector<std::string> findings = {};  ///< names of labels; none: labels are not compared
  bool facts = false;                      ///< whether those are compared

  /// The same with the hypotheses of others: report i is compared with hypothesis from[i].
  ComparedReports with_hypotheses_of(const std::vector<std::size_t>& from) const {
    ComparedReports other = *this;
    for (std::size_t i = 0; i < from.size(); ++i) other.hypotheses[i] = hypotheses[from[i]];
    return other;
  }
  /// Some of them, by their numbers.
  ComparedReports subset(const std::vector<std::size_t>& rows) const {
    ComparedReports some{{}, {}, findings, facts};
    for (const std::size_t i : rows)
      some.references.push_back(references[i]), some.hypotheses.push_back(hypotheses[i]);
    return some;
  }
};

/// One score of generated reports.
struct ReportScore {
  std::string name;
  double value = not_a_number;  ///< of all reports
  ResampledStatistic resampled = {};
};

namespace detail {

/// What scores are made of, by report: resamples weigh it.
class ReportStatistics {
 public:
  explicit ReportStatistics(const ComparedReports& all) : all_(all) {
    for (std::size_t i = 0; i < all.references.size(); ++i) {
      const ReportContent &wanted = all.references[i], &said = all.hypotheses[i];
      expect(
          wanted.labels.size() == all.findings.size() && said.labels.size() == all.findings.size(),
          "score_reports", "report {} has {} and {} labels of {} findings", i, wanted.labels.size(),
          said.labels.size(), all.findings.size());
      rouge_.push_back(rouge_l(wanted.text, said.text).f1);
      bleu_.push_back(bleu_counts(wanted.text, said.text));
      if (all.facts) facts_.push_back(triples_f1(wanted.facts, said.facts));
    }
  }
  HLIP_LAZY std::vector<std::string> names() const {
    std::vector<std::string> names{"ROUGE-L", "BLEU-4"};
    if (!all_.findings.empty()) names.emplace_back("label F1");
    if (all_.facts) names.emplace_back("relation F1");
    for (const auto& finding : all_.findings) names.push_back("label F1: " + finding);
    return names;
  }
  /// @param weights how often each report counts  @param out one value for each name
  HLIP_LAZY void operator()(std::span<const std::int64_t> weights, std::span<double> out) const {
    const std::size_t labels = all_.findings.size();
    BleuCounts corpus;
    for (std::size_t i = 0; i < bleu_.size(); ++i) corpus.add(bleu_[i], weights[i]);
    std::vector<double> f1;
    for (std::size_t k = 0; k < labels; ++k) f1.push_back(label(k, weights));
    std::size_t at = 0;
    out[at++] = mean(rouge_, weights);
    out[at++] = bleu(corpus);
    if (labels > 0) out[at++] = mean_without_nan(f1);
    if (all_.facts) out[at++] = mean(facts_, weights);
    for (const double v : f1) out[at++] = v;
  }

 private:
  static double mean(const std::vector<double>& values, std::span<const std::int64_t> weights) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      sum += static_cast<double>(weights[i]) * values[i];
      count += static_cast<double>(weights[i]);
    }
    return sum / count;
  }
  double label(std::size_t k, std::span<const std::int64_t> weights) const {
    std::int64_t hit = 0, alarm = 0, miss = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const std::int64_t wanted = all_.references[i].labels[k], said = all_.hypotheses[i].labels[k];
      hit += weights[i] * (wanted & said);
      alarm += weights[i] * (said & ~wanted), miss += weights[i] * (wanted & ~said);
    }
    return f1_score(hit, alarm, miss);
  }

  const ComparedReports& all_;
  std::vector<double> rouge_, facts_;
  std::vector<BleuCounts> bleu_;
};

}  // namespace detail

/// Scores of generated reports: "ROUGE-L" (mean F1), "BLEU-4" (of the corpus), "label F1" (mean
/// over the findings), "relation F1" (mean), then "label F1: NAME" of each finding.
/// @throws hlip::error when there is no report, or not as much of both
HLIP_LAZY std::vector<ReportScore> score_reports(const ComparedReports& all,
                                                 const BootstrapOptions& options = {500}) {
  const std::size_t n = all.references.size();
  expect(n > 0 && all.hypotheses.size() == n, "score_reports",
         "{} reports and {} generated ones, expected as many, at least one", n,
         all.hypotheses.size());
  const detail::ReportStatistics statistics(all);
  const auto names = statistics.names();
  const std::vector<std::int64_t> once(n, 1);
  std::vector<double> values(names.size());
  statistics(once, values);
  const auto resampled = bootstrap_statistics(static_cast<std::int64_t>(n), names.size(),
                                              statistics, options);
  std::vector<ReportScore> scores;
  for (std::size_t k = 0; k < names.size(); ++k)
    scores.push_back({names[k], values[k], resampled[k]});
  return scores;
}

/// "0.482 (0.461-0.502)": median and interval.
HLIP_LAZY std::string report_score_cell(const ReportScore& s) {
  const Interval& i = s.resampled.interval;
  return fmt::format("{} ({})", detail::table_cell(s.resampled.median),
                     detail::table_range(i.low, i.high));
}

/// A table with a row for each score, those of a control beside them if there are any.
HLIP_LAZY std::string report_score_text(const std::vector<ReportScore>& scores,
                                        const std::vector<ReportScore>& control = {}) {
  std::size_t width = 5;
  for (const auto& s : scores) width = std::max(width, s.name.size());
  std::string text = fmt::format(
      "{:<{}}  {}\n", "score", width,
      control.empty() ? "median (95 % CI)" : "median (95 % CI)     of other pictures");
  for (std::size_t k = 0; k < scores.size(); ++k)
    text += control.empty()
                ? fmt::format("{:<{}}  {}\n", scores[k].name, width, report_score_cell(scores[k]))
                : fmt::format("{:<{}}  {:<19}  {}\n", scores[k].name, width,
                              report_score_cell(scores[k]), report_score_cell(control[k]));
  return text;
}

/// The same as CSV: score, value of all reports, median, low, high, and those of the control.
HLIP_LAZY std::string report_score_csv(const std::vector<ReportScore>& scores,
                                       const std::vector<ReportScore>& control = {}) {
  std::string csv = "score,value,median,low,high";
  if (!control.empty()) csv += ",control_value,control_median,control_low,control_high";
  csv += "\n";
  for (std::size_t k = 0; k < scores.size(); ++k) {
    std::vector<std::string> fields{scores[k].name};
    for (const auto* of : {&scores, &control}) {
      if (of->empty()) continue;
      const ReportScore& s = (*of)[k];
      const Interval& i = s.resampled.interval;
      for (const double v : {s.value, s.resampled.median, i.low, i.high})
        fields.push_back(detail::csv_number(v));
    }
    csv += csv_row(fields);
  }
  return csv;
}

HLIP_END
