// BLEU of generated reports, over a corpus: counts of each report, which may be added up and drawn
// again for intervals, and the score of their sum.
#pragma once

#include <hlip/eval/ngrams.hpp>
#include <hlip/text/words.hpp>

#include <cmath>

HLIP_BEGIN

/// How many n-grams a hypothesis too short to have one adds to their total.
enum class ShortHypothesis {
  adds_nothing,  ///< as sacreBLEU counts, and the definition
  adds_one       ///< as NLTK counts: the total of each sentence is at least 1
};

/// What becomes of n-grams without a match.
enum class BleuSmoothing {
  none,     ///< the score is 0
  epsilon,  ///< 0.1 matches: NLTK's method1
  add_one   ///< one more match and one more n-gram, for n above 1: NLTK's method2
};

/// Matches of one report, or the sum over many.
struct BleuCounts {
  std::array<std::int64_t, longest_ngram> matches{}, totals{};  ///< of n-grams, by n - 1
  std::int64_t reference_words = 0, hypothesis_words = 0;

  /// Adds the counts of another report, as often as it was drawn.
  void add(const BleuCounts& report, std::int64_t times = 1) {
    for (std::size_t n = 0; n < matches.size(); ++n)
      matches[n] += times * report.matches[n], totals[n] += times * report.totals[n];
    reference_words += times * report.reference_words;
    hypothesis_words += times * report.hypothesis_words;
  }
  /// Share of the hypothesis's n-grams that the reference has, 0 to 1; 0 if there are none.
  /// @param n 1 to 4
  double precision(int n) const {
    const auto at = static_cast<std::size_t>(n - 1);
    return totals[at] == 0 ? 0 : static_cast<double>(matches[at]) / static_cast<double>(totals[at]);
  }
  /// 1, or exp(1 - reference words / hypothesis words) if the hypothesis is shorter; 0 if it is
  /// empty and the reference is not.
  double brevity_penalty() const {
    if (hypothesis_words >= reference_words) return 1;
    if (hypothesis_words == 0) return 0;
    return std::exp(1 -
                    static_cast<double>(reference_words) / static_cast<double>(hypothesis_words));
  }
};

/// Counts of one report, which is split at white space and compared in lower case.
/// @param reference, hypothesis UTF-8
HLIP_LAZY BleuCounts bleu_counts(std::string_view reference, std::string_view hypothesis,
                                 ShortHypothesis hypotheses = ShortHypothesis::adds_nothing) {
  const NumberedWords words(white_space_words(reference), white_space_words(hypothesis));
  BleuCounts counts;
  counts.reference_words = static_cast<std::int64_t>(words.reference.size());
  counts.hypothesis_words = static_cast<std::int64_t>(words.hypothesis.size());
  const std::int64_t least = hypotheses == ShortHypothesis::adds_one ? 1 : 0;
  for (int n = 1; n <= longest_ngram; ++n) {
    const NgramCounts of_n = count_ngrams(words, n);
    counts.matches[static_cast<std::size_t>(n - 1)] = of_n.matches;
    counts.totals[static_cast<std::size_t>(n - 1)] = std::max(of_n.hypothesis, least);
  }
  return counts;
}

/// BLEU: the geometric mean of the precisions of 1- to `order`-grams times the brevity penalty.
/// @param counts of a report, or of a corpus: the sum of the counts of its reports
/// @return 0 to 1; 0 where no word matches, whatever the smoothing
/// @throws hlip::error if `order` is not 1 to 4
/// Source: Papineni et al., 2002; smoothing: Chen and Cherry, "A Systematic Comparison of Smoothing
/// Techniques for Sentence-Level BLEU", 2014.
HLIP_LAZY double bleu(const BleuCounts& counts, int order = longest_ngram,
                      BleuSmoothing smoothing = BleuSmoothing::none) {
  expect(order >= 1 && order <= longest_ngram, "bleu", "order is {}, expected 1 to {}", order,
         longest_ngram);
  if (counts.matches[0] == 0) return 0;
  double log_mean = 0;
  for (int n = 1; n <= order; ++n) {
    const auto at = static_cast<std::size_t>(n - 1);
    auto hits = static_cast<double>(counts.matches[at]),
         total = static_cast<double>(counts.totals[at]);
    if (smoothing == BleuSmoothing::add_one && n > 1) hits += 1, total += 1;
    if (smoothing == BleuSmoothing::epsilon && hits == 0) hits = 0.1;
    if (hits == 0 || total == 0) return 0;
    log_mean += std::log(hits / total) / order;
  }
  return counts.brevity_penalty() * std::exp(log_mean);
}

/// BLEU-4 of a corpus, as the tables of report generation have it: counts of all reports added up,
/// no smoothing.
/// @param references, hypotheses as many; for intervals, keep `bleu_counts` of each report and add
/// those that a resample draws
/// @return 0 to 1
/// @throws hlip::error if there are not as many
HLIP_LAZY double corpus_bleu4(std::span<const std::string> references,
                              std::span<const std::string> hypotheses) {
  expect(references.size() == hypotheses.size(), "corpus_bleu4",
         "{} references and {} hypotheses, expected as many", references.size(), hypotheses.size());
  BleuCounts all;
  for (std::size_t i = 0; i < references.size(); ++i)
    all.add(bleu_counts(references[i], hypotheses[i]));
  return bleu(all);
}

HLIP_END
