// What a probe was worth: AUPRC and AUROC of each finding over several seeds, with intervals, and
// how that is printed.
#pragma once

#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/bootstrap.hpp>
#include <hlip/eval/known_labels.hpp>
#include <hlip/eval/mean_sd.hpp>
#include <hlip/eval/table_text.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// Means over seeds; intervals are of these means, by resampling pictures; that of the macro mean
/// leaves out resamples from which a finding vanished. A finding that the
/// tested pictures all have, or none, has no numbers (NaN) and counts in no mean.
class ProbeTable {
 public:
  struct Row {
    std::string name;
    std::int64_t positives = 0, negatives = 0;
    MeanSd auprc, auroc;
    Interval auprc_interval, auroc_interval;
    std::string note() const { return interval_note(positives, negatives, auprc_interval); }
  };

  /// @param encoder what was probed; @param names of the findings, K of them
  /// @param scores for each seed, row-major (pictures, K), higher means more likely
  /// @param labels row-major (pictures, K), 0, 1, or NaN where it is not known
  /// @throws hlip::error if the sizes do not fit or a score is NaN
  HLIP_LAZY ProbeTable(std::string encoder, const std::vector<std::string>& names,
                       const std::vector<std::vector<double>>& scores,
                       const std::vector<double>& labels, const BootstrapOptions& options = {})
      : encoder_(std::move(encoder)), confidence_(options.confidence) {
    const std::size_t K = names.size();
    expect(K > 0 && !scores.empty() && labels.size() % K == 0, "probe_table",
           "{} labels of {} findings, {} seeds", labels.size(), K, scores.size());
    for (const auto& of_seed : scores)
      expect(of_seed.size() == labels.size(), "probe_table", "{} scores, but {} labels",
             of_seed.size(), labels.size());
    pictures_ = static_cast<std::int64_t>(labels.size() / K);
    std::vector<Finding> findings;
    for (std::size_t k = 0; k < K; ++k) findings.emplace_back(k, K, scores, labels);
    for (std::size_t k = 0; k < K; ++k) {
      const Finding& f = findings[k];
      rows_.push_back({names[k],
                       f.known.positives,
                       f.known.negatives,
                       mean_sd(f.values(0, {})),
                       mean_sd(f.values(1, {})),
                       {},
                       {}});
    }
    macro_.name = "macro";
    macro_.auprc = macro_of(findings, 0), macro_.auroc = macro_of(findings, 1);
    add_intervals(findings, options);
  }

  const std::string& encoder() const { return encoder_; }
  const std::vector<Row>& rows() const { return rows_; }
  /// The unweighted mean of the findings.
  const Row& macro() const { return macro_; }
  std::int64_t pictures() const { return pictures_; }
  std::vector<std::string> left_out() const {
    std::vector<std::string> names;
    for (const auto& r : rows_)
      if (std::isnan(r.auprc.mean)) names.push_back(r.name);
    return names;
  }

  /// "macro AUPRC 0.612 (95 % CI 0.561-0.664), 400 pictures"
  HLIP_LAZY std::string last_line() const {
    return fmt::format("macro AUPRC {:.3f} ({:g} % CI {:.3f}-{:.3f}), {} pictures",
                       macro_.auprc.mean, confidence_ * 100, macro_.auprc_interval.low,
                       macro_.auprc_interval.high, pictures_);
  }

  /// Aligned table for a console.
  HLIP_LAZY std::string to_text() const {
    std::size_t width = 7;
    for (const auto& r : rows_) width = std::max(width, r.name.size());
    const std::string percent = fmt::format("{:g} % CI", confidence_ * 100);
    std::string text = fmt::format("{}\n{:<{}}  {:>5} {:>5}  {:<15}{:<15}{:<15}{}\n", encoder_,
                                   "finding", width, "pos", "neg", "AUPRC (sd)", percent,
                                   "AUROC (sd)", percent);
    bool marked = false;
    const auto add = [&](const Row& r, const std::string& pos, const std::string& neg,
                         const std::string& note) {
      text += fmt::format("{:<{}}  {:>5} {:>5}  {:<15}{:<15}{:<15}{}\n", r.name, width, pos, neg,
                          cell(r.auprc), range(r.auprc_interval, note), cell(r.auroc),
                          range(r.auroc_interval, note));
      marked = marked || !note.empty();
    };
    for (const auto& r : rows_)
      add(r, std::to_string(r.positives), std::to_string(r.negatives), r.note());
    add(macro_, "", "", "");
    if (marked) text += interval_mark_line;
    std::string same, unknown;
    for (const auto& r : rows_) {
      if (!std::isnan(r.auprc.mean)) continue;
      std::string& names = r.positives + r.negatives > 0 ? same : unknown;
      names += (names.empty() ? "" : ", ") + r.name;
    }
    if (!same.empty())
      text += fmt::format(
          "left out of the mean, because all tested pictures have the same label: {}\n", same);
    // of a finding that cannot be learned the tested labels are taken away: leave_out_unlearnable
    if (!unknown.empty())
      text += fmt::format("left out of the mean, because no label of a tested picture counts: {}\n",
                          unknown);
    return visible_text(text, true);
  }

  /// The header of to_csv.
  static std::string csv_header() {
    return "encoder,finding,positives,negatives,auprc,auprc_sd,auprc_low,auprc_high,auroc,auroc_sd,"
           "auroc_low,auroc_high,interval_note\n";
  }
  /// A line for each finding and a last one "macro"; undefined values are empty fields.
  HLIP_LAZY std::string to_csv() const {
    using detail::csv_number;
    std::string text;
    const auto add = [&](const Row& r, bool counted) {
      text += fmt::format(
          "{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_field(encoder_), csv_field(r.name),
          counted ? std::to_string(r.positives) : "", counted ? std::to_string(r.negatives) : "",
          csv_number(r.auprc.mean), csv_number(r.auprc.sd), csv_number(r.auprc_interval.low),
          csv_number(r.auprc_interval.high), csv_number(r.auroc.mean), csv_number(r.auroc.sd),
          csv_number(r.auroc_interval.low), csv_number(r.auroc_interval.high),
          csv_field(counted ? r.note() : std::string()));
    };
    for (const auto& r : rows_) add(r, true);
    add(macro_, false);
    return text;
  }

  /// "0.612 (0.013)", "-" where there is nothing to say.
  HLIP_LAZY static std::string cell(const MeanSd& m) {
    return std::isnan(m.mean) ? "-" : fmt::format("{:.3f} ({:.3f})", m.mean, m.sd);
  }
  /// "0.561-0.664", with a mark where there is a note.
  HLIP_LAZY static std::string range(const Interval& i, const std::string& note) {
    return detail::table_range(i.low, i.high, mark_of(note));
  }

 private:
  /// The pictures whose label is known, and what every seed makes of them.
  struct Finding {
    KnownLabels known;
    std::vector<AveragePrecision> precision;
    std::vector<RocAuc> auc;

    Finding(std::size_t k, std::size_t K, const std::vector<std::vector<double>>& scores,
            const std::vector<double>& labels)
        : known(labels, k, K) {
      for (const auto& of_seed : scores) {
        const auto own = known.scores(of_seed);
        precision.emplace_back(own, known.labels), auc.emplace_back(own, known.labels);
      }
    }
    /// One number for each seed. @param metric 0: AUPRC, 1: AUROC; @param weights of all pictures,
    /// or none
    std::vector<double> values(int metric, std::span<const std::int64_t> weights) const {
      std::vector<double> out(precision.size(), not_a_number);
      if (!known.both()) return out;
      std::vector<std::int64_t> own(known.pictures.size(), 1);
      for (std::size_t i = 0; i < own.size() && !weights.empty(); ++i)
        own[i] = weights[known.pictures[i]];
      for (std::size_t s = 0; s < out.size(); ++s)
        out[s] = metric == 0 ? precision[s].value(own) : auc[s].value(own);
      return out;
    }
  };

  /// Over the seeds, the mean of the findings of each.
  static MeanSd macro_of(const std::vector<Finding>& findings, int metric) {
    std::vector<double> of_seeds;
    for (std::size_t s = 0; s < findings.front().precision.size(); ++s) {
      std::vector<double> of_findings;
      for (const auto& f : findings) of_findings.push_back(f.values(metric, {})[s]);
      of_seeds.push_back(mean_without_nan(of_findings));
    }
    return mean_sd(of_seeds);
  }

  /// The mean of the findings that have numbers; NaN where one of them vanished from the resample,
  /// since the mean of the others would be one of other findings.
  double macro_of_resample(std::span<const double> of_findings) const {
    double sum = 0, count = 0;
    for (std::size_t k = 0; k < of_findings.size(); ++k)
      if (!std::isnan(rows_[k].auprc.mean)) sum += of_findings[k], count += 1;
    return count > 0 ? sum / count : not_a_number;
  }

  void add_intervals(const std::vector<Finding>& findings, const BootstrapOptions& options) {
    const std::size_t K = findings.size();
    const auto intervals = bootstrap_intervals(
        pictures_, 2 * (K + 1),
        [&](std::span<const std::int64_t> weights, std::span<double> out) {
          for (const int metric : {0, 1}) {
            const auto half = out.subspan(static_cast<std::size_t>(metric) * (K + 1), K + 1);
            for (std::size_t k = 0; k < K; ++k)
              half[k] = mean_without_nan(findings[k].values(metric, weights));
            half[K] = macro_of_resample(half.first(K));
          }
        },
        options);
    for (std::size_t k = 0; k <= K; ++k) {
      Row& row = k < K ? rows_[k] : macro_;
      row.auprc_interval = intervals[k], row.auroc_interval = intervals[K + 1 + k];
    }
  }

  std::string encoder_;
  std::vector<Row> rows_;
  Row macro_;
  std::int64_t pictures_ = 0;
  double confidence_ = 0.95;
};

HLIP_END
