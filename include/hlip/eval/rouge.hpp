// ROUGE of generated reports: the longest common subsequence (ROUGE-L) and common n-grams.
#pragma once

#include <hlip/eval/ngrams.hpp>
#include <hlip/text/words.hpp>

#include <bit>
#include <utility>

HLIP_BEGIN

/// The longest text that a longest common subsequence is looked for in, in words: two of this
/// length take about a second.
inline constexpr std::size_t longest_rouge_text = std::size_t{1} << 18;

/// What a hypothesis has in common with its reference, 0 to 1; all 0 if one of them has no words.
struct RougeScore {
  double precision = 0;  ///< of what the hypothesis says
  double recall = 0;     ///< of what the reference says
  double f1 = 0;         ///< 2·precision·recall / (precision + recall)
};

namespace detail {

/// Where each word of a text stands, as bits; of rare words as positions, so that all of them take
/// no more memory than some words of 64 bits for each word of the text.
class WordPlaces {
 public:
  WordPlaces(const std::vector<std::int32_t>& text, std::int32_t distinct)
      : first_(static_cast<std::size_t>(distinct) + 1),
        places_(text.size()),
        dense_(static_cast<std::size_t>(distinct)),
        row_((text.size() + 63) / 64) {
    for (const std::int32_t word : text) ++first_[static_cast<std::size_t>(word) + 1];
    for (std::size_t w = 1; w < first_.size(); ++w) first_[w] += first_[w - 1];
    auto next = first_;
    for (std::size_t i = 0; i < text.size(); ++i)
      places_[next[static_cast<std::size_t>(text[i])]++] = i;
  }
  /// Calls use(bits) with the places of a word; the bits hold during the call alone.
  template <class Use> void with(std::int32_t word, Use use) {
    const auto w = static_cast<std::size_t>(word);
    const std::span places(places_.data() + first_[w], first_[w + 1] - first_[w]);
    const auto flip = [&](std::vector<std::uint64_t>& bits) {
      for (const std::size_t i : places) bits[i / 64] ^= std::uint64_t{1} << (i % 64);
    };
    if (places.size() < row_.size()) {
      flip(row_), use(std::as_const(row_)), flip(row_);
      return;
    }
    if (dense_[w].empty()) dense_[w].resize(row_.size()), flip(dense_[w]);
    use(std::as_const(dense_[w]));
  }

 private:
  std::vector<std::size_t> first_, places_;
  std::vector<std::vector<std::uint64_t>> dense_;  // of frequent words: at most 64 of them
  std::vector<std::uint64_t> row_;                 // zeros between calls
};

}  // namespace detail

/// Words of the longest sequence that both texts have in this order, with gaps.
/// Memory is linear in the words, time their product over 64.
/// @throws hlip::error if a text has more than `longest_rouge_text` words
/// Source: Hyyrö, "Bit-Parallel LCS-length Computation Revisited", 2004.
HLIP_LAZY std::int64_t longest_common_subsequence(const NumberedWords& words) {
  const auto &a = words.reference, &b = words.hypothesis;
  expect(std::max(a.size(), b.size()) <= longest_rouge_text, "longest_common_subsequence",
         "texts of {} and {} words, expected at most {}; are these single reports?", a.size(),
         b.size(), longest_rouge_text);
  detail::WordPlaces places(a, words.distinct);
  // A bit of v is 0 where the length of the common subsequence grows
  std::vector<std::uint64_t> v((a.size() + 63) / 64, ~std::uint64_t{0});
  for (const std::int32_t word : b)
    places.with(word, [&](const std::vector<std::uint64_t>& match) {
      std::uint64_t carry = 0;
      for (std::size_t k = 0; k < v.size(); ++k) {
        const std::uint64_t u = v[k] & match[k], half = v[k] + u, sum = half + carry;
        carry = (half < u ? 1u : 0u) | (sum < half ? 1u : 0u);
        v[k] = sum | (v[k] & ~match[k]);
      }
    });
  // those behind the text match nothing and stay 1
  std::int64_t length = 0;
  for (const std::uint64_t bits : v) length += std::popcount(~bits);
  return length;
}

/// Precision, recall and F1 of `common` out of two totals.
inline RougeScore rouge_of(std::int64_t common, std::size_t reference, std::size_t hypothesis) {
  if (common == 0) return {};
  RougeScore s;
  s.precision = static_cast<double>(common) / static_cast<double>(hypothesis);
  s.recall = static_cast<double>(common) / static_cast<double>(reference);
  s.f1 = 2 * s.precision * s.recall / (s.precision + s.recall);
  return s;
}

/// ROUGE-L of one report: of the longest common subsequence of words.
/// @param reference, hypothesis UTF-8; words are runs of a-z and 0-9 in lower case, not stemmed
/// @throws hlip::error if a text has more than `longest_rouge_text` words
/// Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, with F of beta 1 as
/// in rouge_score.
HLIP_LAZY RougeScore rouge_l(std::string_view reference, std::string_view hypothesis) {
  const NumberedWords words(alphanumeric_words(reference), alphanumeric_words(hypothesis));
  return rouge_of(longest_common_subsequence(words), words.reference.size(),
                  words.hypothesis.size());
}

/// ROUGE-N of one report: of common n-grams, each counted at most as often as both have it.
/// @param n 1 to 4; texts as for rouge_l
/// @throws hlip::error on another n
HLIP_LAZY RougeScore rouge_n(std::string_view reference, std::string_view hypothesis, int n) {
  const NumberedWords words(alphanumeric_words(reference), alphanumeric_words(hypothesis));
  const NgramCounts counts = count_ngrams(words, n);
  return rouge_of(counts.matches, static_cast<std::size_t>(counts.reference),
                  static_cast<std::size_t>(counts.hypothesis));
}

/// F of another weight: recall counts `beta` times as much as precision.
/// @return 0 if both are 0
/// Source: van Rijsbergen, "Information Retrieval", 1979; captions are scored with beta 1.2.
inline double f_beta(double precision, double recall, double beta) {
  const double weight = beta * beta, below = recall + weight * precision;
  return below > 0 ? (1 + weight) * precision * recall / below : 0;
}

HLIP_END
