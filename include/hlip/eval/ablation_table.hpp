// What variants of a training gave from several seeds, number by number: their spread, and what
// each differs by from the one they are compared with.
#pragma once

#include <hlip/eval/paired_difference.hpp>
#include <hlip/eval/table_text.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// A number that is measured of every variant.
struct AblationMetric {
  std::string quantity;  ///< "AUPRC"
  std::string name;      ///< of what: "Tube"
  std::string title() const { return quantity + " " + name; }
};

/// One value for each variant, metric and seed; those of a seed are pairs. NaN: not measured.
class AblationTable {
 public:
  /// @param reference the variant the others are compared with, an index
  /// @throws hlip::error when there is no such variant, or no metric or seed
  HLIP_LAZY AblationTable(std::vector<std::string> variants, std::size_t reference,
                          std::vector<AblationMetric> metrics, std::size_t seeds)
      : variants_(std::move(variants)),
        reference_(reference),
        metrics_(std::move(metrics)),
        seeds_(seeds),
        values_(variants_.size() * metrics_.size(), std::vector<double>(seeds, not_a_number)) {
    expect(reference_ < variants_.size() && !metrics_.empty() && seeds_ > 0, "ablation_table",
           "{} variants, number {} is the reference, {} metrics, {} seeds", variants_.size(),
           reference_, metrics_.size(), seeds_);
  }

  const std::vector<std::string>& variants() const { return variants_; }
  const std::vector<AblationMetric>& metrics() const { return metrics_; }
  std::size_t reference() const { return reference_; }
  std::size_t seeds() const { return seeds_; }

  /// Index of a variant by its name. @throws hlip::error when there is none
  HLIP_LAZY std::size_t variant(std::string_view name) const {
    const auto it = std::find(variants_.begin(), variants_.end(), name);
    expect(it != variants_.end(), "ablation_table", "there is no variant {}", quote_text(name));
    return static_cast<std::size_t>(it - variants_.begin());
  }
  /// Index of a metric by its title. @throws hlip::error when there is none
  HLIP_LAZY std::size_t metric(std::string_view title) const {
    const auto it = std::find_if(metrics_.begin(), metrics_.end(),
                                 [&](const auto& m) { return m.title() == title; });
    expect(it != metrics_.end(), "ablation_table", "there is no metric {}", quote_text(title));
    return static_cast<std::size_t>(it - metrics_.begin());
  }

  double& at(std::size_t variant, std::size_t metric, std::size_t seed) {
    return values_.at(variant * metrics_.size() + metric).at(seed);
  }
  /// Of all seeds.
  const std::vector<double>& values(std::size_t variant, std::size_t metric) const {
    return values_.at(variant * metrics_.size() + metric);
  }
  /// Over the seeds: the mean, and the standard deviation that other seeds would have too (n - 1).
  MeanSd spread(std::size_t variant, std::size_t metric) const {
    return sample_mean_sd(values(variant, metric));
  }
  /// One variant less another, by the pairs of each seed.
  PairedDifference difference(std::size_t variant, std::size_t other, std::size_t metric) const {
    return paired_difference(values(variant, metric), values(other, metric));
  }

  /// "+0.012 (+0.002 to +0.022)", "-" where there is nothing to say.
  HLIP_LAZY static std::string difference_cell(const PairedDifference& d) {
    if (std::isnan(d.mean)) return "-";
    if (std::isnan(d.interval.low)) return fmt::format("{:+.3f}", d.mean);
    return fmt::format("{:+.3f} ({:+.3f} to {:+.3f})", d.mean, d.interval.low, d.interval.high);
  }
  /// "0.612 (0.013)", "-" where there is nothing to say; "0.612 (0.013), 2 seeds" where others have
  /// no number.
  HLIP_LAZY std::string spread_cell(std::size_t variant, std::size_t metric) const {
    const MeanSd m = spread(variant, metric);
    if (std::isnan(m.mean)) return "-";
    std::string cell = fmt::format("{:.3f}", m.mean);
    if (!std::isnan(m.sd)) cell += fmt::format(" ({:.3f})", m.sd);
    const auto n = known(variant, metric);
    if (std::cmp_less(n, seeds_)) cell += fmt::format(", {} seed{}", n, n == 1 ? "" : "s");
    return cell;
  }
  /// What the numbers are, in a sentence.
  HLIP_LAZY std::string legend() const {
    return fmt::format(
        "mean (standard deviation) over {} seeds; difference from {} with its 95 % interval "
        "(Student's t, seeds as pairs)",
        seeds_, variants_[reference_]);
  }
  /// The difference of a variant from the reference as text, of which that has none.
  HLIP_LAZY std::string reference_cell(std::size_t variant, std::size_t metric) const {
    return variant == reference_ ? "" : difference_cell(difference(variant, reference_, metric));
  }

  /// Aligned table for a console: a line for each metric and variant.
  HLIP_LAZY std::string to_text() const {
    std::size_t title = 0, name = 0, cell = 13;
    for (const auto& m : metrics_) title = std::max(title, m.title().size());
    for (const auto& v : variants_) name = std::max(name, v.size());
    for (std::size_t m = 0; m < metrics_.size(); ++m)
      for (std::size_t v = 0; v < variants_.size(); ++v)
        cell = std::max(cell, spread_cell(v, m).size());
    std::string text = legend() + "\n";
    for (std::size_t m = 0; m < metrics_.size(); ++m)
      for (std::size_t v = 0; v < variants_.size(); ++v) {
        std::string line = fmt::format("{:<{}}  {:<{}}  {:<{}}  {}",
                                       v == 0 ? metrics_[m].title() : "", title, variants_[v], name,
                                       spread_cell(v, m), cell, reference_cell(v, m));
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
      }
    return visible_text(text, true);
  }

  /// A line for each variant and metric; what is not known is an empty field.
  HLIP_LAZY std::string to_csv() const {
    using detail::csv_number;
    std::string text =
        "variant,quantity,name,seeds,mean,sd,reference,difference,difference_low,"
        "difference_high\n";
    for (std::size_t v = 0; v < variants_.size(); ++v)
      for (std::size_t m = 0; m < metrics_.size(); ++m) {
        const MeanSd s = spread(v, m);
        const PairedDifference d = v == reference_ ? PairedDifference{}
                                                   : difference(v, reference_, m);
        text += csv_row(std::vector<std::string>{
            variants_[v], metrics_[m].quantity, metrics_[m].name, std::to_string(known(v, m)),
            csv_number(s.mean), csv_number(s.sd), v == reference_ ? "" : variants_[reference_],
            csv_number(d.mean), csv_number(d.interval.low), csv_number(d.interval.high)});
      }
    return text;
  }

  /// A line for each variant, seed and metric. @param first the number of the first seed
  HLIP_LAZY std::string seeds_csv(std::uint64_t first) const {
    std::string text = "variant,seed,quantity,name,value\n";
    for (std::size_t v = 0; v < variants_.size(); ++v)
      for (std::size_t s = 0; s < seeds_; ++s)
        for (std::size_t m = 0; m < metrics_.size(); ++m)
          text += csv_row(std::vector<std::string>{variants_[v], std::to_string(first + s),
                                                   metrics_[m].quantity, metrics_[m].name,
                                                   detail::csv_number(values(v, m)[s])});
    return text;
  }

 private:
  std::ptrdiff_t known(std::size_t variant, std::size_t metric) const {
    const auto& of_seeds = values(variant, metric);
    return std::count_if(of_seeds.begin(), of_seeds.end(), [](double v) { return !std::isnan(v); });
  }

  std::vector<std::string> variants_;
  std::size_t reference_;
  std::vector<AblationMetric> metrics_;
  std::size_t seeds_;
  std::vector<std::vector<double>> values_;  // of (variant, metric), by seed
};

HLIP_END
