// What two texts have in common, word by word: n-grams for BLEU and ROUGE-N.
#pragma once

#include <hlip/core/check.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

HLIP_BEGIN

/// Longest n-gram that is counted.
inline constexpr int longest_ngram = 4;

/// The words of two texts as numbers: the same word has the same number in both.
struct NumberedWords {
  std::vector<std::int32_t> reference, hypothesis;  ///< from 0, in order of appearance
  std::int32_t distinct = 0;                        ///< how many numbers there are

  /// @throws hlip::error on texts of 2³⁰ words
  HLIP_LAZY NumberedWords(std::span<const std::string> reference_words,
                          std::span<const std::string> hypothesis_words) {
    constexpr std::size_t most = std::size_t{1} << 30;
    expect(reference_words.size() < most && hypothesis_words.size() < most, "ngrams",
           "texts of {} and {} words, expected fewer than {}", reference_words.size(),
           hypothesis_words.size(), most);
    std::unordered_map<std::string_view, std::int32_t> number;
    const auto numbered = [&](std::span<const std::string> words, std::vector<std::int32_t>& out) {
      out.reserve(words.size());
      for (const std::string& word : words)
        out.push_back(number.emplace(word, static_cast<std::int32_t>(number.size())).first->second);
    };
    numbered(reference_words, reference), numbered(hypothesis_words, hypothesis);
    distinct = static_cast<std::int32_t>(number.size());
  }
};

/// n-grams of a reference and a hypothesis.
struct NgramCounts {
  std::int64_t matches = 0;  ///< of the hypothesis, each at most as often as in the reference
  std::int64_t reference = 0, hypothesis = 0;  ///< all of them; 0 for a text of fewer than n words
};

/// Counts the n-grams that two texts share, in n·log(n) time of their words.
/// @param n length of an n-gram, 1 to `longest_ngram`
/// @throws hlip::error on another n
/// Source: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002
/// (clipped counts).
HLIP_LAZY NgramCounts count_ngrams(const NumberedWords& words, int n) {
  expect(n >= 1 && n <= longest_ngram, "count_ngrams", "n is {}, expected 1 to {}", n,
         longest_ngram);
  using Ngram = std::array<std::int32_t, longest_ngram>;
  const auto width = static_cast<std::size_t>(n);
  const auto sorted = [&](const std::vector<std::int32_t>& text) {
    std::vector<Ngram> grams(text.size() < width ? 0 : text.size() - width + 1, Ngram{});
    for (std::size_t i = 0; i < grams.size(); ++i)
      std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(i), width, grams[i].begin());
    std::sort(grams.begin(), grams.end());
    return grams;
  };
  const auto wanted = sorted(words.reference), said = sorted(words.hypothesis);
  NgramCounts counts;
  counts.reference = static_cast<std::int64_t>(wanted.size());
  counts.hypothesis = static_cast<std::int64_t>(said.size());
  for (std::size_t r = 0, h = 0; r < wanted.size() && h < said.size();) {
    if (wanted[r] == said[h]) ++counts.matches, ++r, ++h;
    else if (wanted[r] < said[h]) ++r;
    else ++h;
  }
  return counts;
}

HLIP_END
