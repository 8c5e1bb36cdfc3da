// Percentile intervals by resampling studies with replacement. Seeded: the same numbers on every
// machine and thread count.
#pragma once

#include <hlip/core/random.hpp>
#include <hlip/eval/auc.hpp>

#include <string>
#include <string_view>

HLIP_BEGIN

/// A range; NaN if it could not be estimated.
struct Interval {
  double low = not_a_number, high = not_a_number;
  /// Whether every resample gave the same: of studies that scores part wholly every resample does,
  /// be they three or three thousand.
  bool without_width() const { return low == high; }
};

/// What to know before trusting an interval, or nothing. An interval of no width says that nothing
/// can be otherwise, when it is only that resampling cannot show it.
HLIP_LAZY std::string interval_note(const Interval& interval) {
  return interval.without_width() ? "no width: too narrow" : "";
}
/// The same of two kinds of study. A kind of which there is only one is in a resample or is not,
/// but is never another one: how much hangs on it does not show, and the interval is too narrow.
HLIP_LAZY std::string interval_note(std::int64_t positives, std::int64_t negatives,
                                    const Interval& interval = {}) {
  if (positives == 0 || negatives == 0) return "";
  if (positives > 1 && negatives > 1) return interval_note(interval);
  return fmt::format("{}{}{}: too narrow", positives == 1 ? "one positive" : "",
                     positives == 1 && negatives == 1 ? ", " : "",
                     negatives == 1 ? "one negative" : "");
}
/// The mark of such an interval in a table, and the line below the table that explains it.
inline constexpr std::string_view interval_mark = "†";
inline constexpr std::string_view interval_mark_line =
    "† too narrow: of one kind of study there is only one, or the scores part all of them, and "
    "resampling cannot show how much hangs on that\n";
/// The mark, where there is a note.
inline std::string_view mark_of(const std::string& note) {
  return note.empty() ? std::string_view() : interval_mark;
}

/// How intervals are resampled.
struct BootstrapOptions {
  std::int64_t resamples = 1000;
  double confidence = 0.95;
  std::uint64_t seed = 0;
};

/// The `q` quantile (0 to 1) of sorted values, linear between neighbours; NaN if there are none.
inline double quantile_of_sorted(std::span<const double> sorted, double q) {
  if (sorted.empty()) return not_a_number;
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

namespace detail {
/// The sorted values of every statistic over the resamples; NaN (a class vanished) is left out.
/// @param draw called as draw(resample, weights): adds to weights[i] how often study i is drawn
template <class Statistic, class Draw>
std::vector<std::vector<double>> resampled(std::int64_t studies, std::int64_t resamples,
                                           std::size_t statistics, Statistic&& statistic,
                                           Draw&& draw) {
  std::vector<std::vector<double>> drawn(statistics);
  if (studies == 0) return drawn;
  std::vector<std::int64_t> weights(static_cast<std::size_t>(studies));
  std::vector<double> values(statistics);
  for (std::int64_t r = 0; r < resamples; ++r) {
    std::fill(weights.begin(), weights.end(), 0);
    draw(r, std::span<std::int64_t>(weights));
    statistic(std::span<const std::int64_t>(weights), std::span<double>(values));
    for (std::size_t k = 0; k < statistics; ++k)
      if (!std::isnan(values[k])) drawn[k].push_back(values[k]);
  }
  for (auto& of_one : drawn) std::sort(of_one.begin(), of_one.end());
  return drawn;
}
}  // namespace detail

/// What a statistic was over resamples.
struct ResampledStatistic {
  double median = not_a_number;
  Interval interval;
};

/// Medians and percentile intervals of several statistics of the same studies, all from the same
/// resamples.
/// @param studies how many there are; @param statistics how many values `statistic` writes
/// @param statistic called as statistic(std::span<const std::int64_t> weights, std::span<double>
/// out), where weights[i] says
///        how often study i was drawn; a NaN (a class vanished from the resample) is left out of
///        that statistic's interval
/// @throws hlip::error if an option makes no sense
/// Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
template <class Statistic>
std::vector<ResampledStatistic> bootstrap_statistics(std::int64_t studies, std::size_t statistics,
                                                     Statistic&& statistic,
                                                     const BootstrapOptions& options = {}) {
  expect(studies >= 0, "bootstrap", "{} studies", studies);
  expect(options.resamples >= 1, "bootstrap", "{} resamples, expected at least 1",
         options.resamples);
  expect(options.confidence > 0 && options.confidence < 1, "bootstrap",
         "confidence is {}, expected between 0 and 1", options.confidence);
  const auto draw = [&](std::int64_t r, std::span<std::int64_t> weights) {
    RandomStream random({options.seed, 0xB007u, static_cast<std::uint64_t>(r)});
    for (std::int64_t i = 0; i < studies; ++i)
      ++weights[static_cast<std::size_t>(random.below(studies))];
  };
  std::vector<ResampledStatistic> all;
  const double tail = (1 - options.confidence) / 2;
  for (const auto& values :
       detail::resampled(studies, options.resamples, statistics, statistic, draw))
    all.push_back({quantile_of_sorted(values, 0.5),
                   {quantile_of_sorted(values, tail), quantile_of_sorted(values, 1 - tail)}});
  return all;
}

/// The intervals alone; see bootstrap_statistics.
template <class Statistic>
std::vector<Interval> bootstrap_intervals(std::int64_t studies, std::size_t statistics,
                                          Statistic&& statistic,
                                          const BootstrapOptions& options = {}) {
  std::vector<Interval> intervals;
  for (const auto& s : bootstrap_statistics(studies, statistics, statistic, options))
    intervals.push_back(s.interval);
  return intervals;
}

/// The median and the percentile interval of one statistic over resamples that somebody has drawn,
/// for numbers that are to be those of another program.
/// @param draws row-major (resamples, studies drawn for each), which study each is, from 0
/// @param statistic called as statistic(std::span<const std::int64_t> weights) -> double
/// @throws hlip::error if the sizes do not fit or there is no such study
template <class Statistic>
ResampledStatistic bootstrap_of_draws(std::int64_t studies, std::span<const std::int64_t> draws,
                                      std::int64_t drawn_each, Statistic&& statistic,
                                      double confidence = 0.95) {
  expect(drawn_each >= 1 && draws.size() % static_cast<std::size_t>(drawn_each) == 0, "bootstrap",
         "{} draws, expected rows of {}", draws.size(), drawn_each);
  expect(confidence > 0 && confidence < 1, "bootstrap",
         "confidence is {}, expected between 0 and 1", confidence);
  for (const auto i : draws)
    expect(i >= 0 && i < studies, "bootstrap", "draws study {} of {}", i, studies);
  const auto width = static_cast<std::size_t>(drawn_each);
  const auto values = detail::resampled(
      studies, static_cast<std::int64_t>(draws.size() / width), 1,
      [&](std::span<const std::int64_t> weights, std::span<double> out) {
        out[0] = statistic(weights);
      },
      [&](std::int64_t r, std::span<std::int64_t> weights) {
        for (const auto i : draws.subspan(static_cast<std::size_t>(r) * width, width))
          ++weights[static_cast<std::size_t>(i)];
      })[0];
  const double tail = (1 - confidence) / 2;
  return {quantile_of_sorted(values, 0.5),
          {quantile_of_sorted(values, tail), quantile_of_sorted(values, 1 - tail)}};
}

/// The interval of the AUC of one class.
HLIP_LAZY Interval bootstrap_auc(std::span<const double> scores,
                                 std::span<const std::int64_t> labels,
                                 const BootstrapOptions& options = {}) {
  const RocAuc auc(scores, labels);
  return bootstrap_intervals(
      static_cast<std::int64_t>(scores.size()), 1,
      [&](auto weights, std::span<double> out) { out[0] = auc.value(weights); }, options)[0];
}

HLIP_END
