// Words by which a report denies a finding or doubts it, and how far in a sentence they reach.
#pragma once

#include <hlip/text/mention.hpp>
#include <hlip/text/report_sentences.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

HLIP_BEGIN

/// Words that change what a finding in the same clause is said to be.
struct ReportCue {
  std::string_view words;
  Mention meaning;     ///< blank: changes nothing, although a shorter cue in it would
  bool before = true;  ///< for findings that follow it
  bool after = false;  ///< for findings that precede it
};

/// Cues but for "not" and "cannot", whose meaning is that of the words behind them.
/// Source: after NegEx (Chapman et al., "A Simple Algorithm for Identifying Negated Findings and
/// Diseases in Discharge Summaries", 2001) and CheXpert's labeller (Irvin et al., 2019).
inline constexpr ReportCue report_cues[] = {
    {"no", Mention::negative},
    {"without", Mention::negative},
    {"nor", Mention::negative},
    {"neither", Mention::negative},
    {"never", Mention::negative},
    {"denies", Mention::negative},
    {"absence of", Mention::negative},
    {"lack of", Mention::negative},
    {"negative for", Mention::negative},
    {"free of", Mention::negative},
    {"clear of", Mention::negative},
    {"resolution of", Mention::negative},
    {"rather than", Mention::negative},
    {"absent", Mention::negative, true, true},
    {"none", Mention::negative, false, true},
    {"no longer", Mention::negative, false, true},
    {"excluded", Mention::negative, false, true},
    {"ruled out", Mention::negative, false, true},
    {"resolved", Mention::negative, true, true},
    {"unlikely", Mention::negative, false, true},
    {"possible", Mention::uncertain},
    {"possibly", Mention::uncertain},
    {"probable", Mention::uncertain},
    {"probably", Mention::uncertain},
    {"likely", Mention::uncertain},
    {"may", Mention::uncertain},
    {"might", Mention::uncertain},
    {"could", Mention::uncertain},
    {"perhaps", Mention::uncertain},
    {"suspected", Mention::uncertain},
    {"suspicion of", Mention::uncertain},
    {"suspicious for", Mention::uncertain},
    {"questionable", Mention::uncertain},
    {"question of", Mention::uncertain},
    {"concern for", Mention::uncertain},
    {"concerning for", Mention::uncertain},
    {"difficult to exclude", Mention::uncertain},
    {"with or without", Mention::uncertain},
    {"rule out", Mention::uncertain},
    {"versus", Mention::uncertain, true, true},
    {"vs", Mention::uncertain, true, true},
    {"is possible", Mention::uncertain, false, true},
    {"are possible", Mention::uncertain, false, true},
    {"is suspected", Mention::uncertain, false, true},
    {"are suspected", Mention::uncertain, false, true},
    {"is likely", Mention::uncertain, false, true},
    {"are likely", Mention::uncertain, false, true},
    {"is questionable", Mention::uncertain, false, true},
    {"is questioned", Mention::uncertain, false, true},
    {"no change", Mention::blank},
    {"no significant change", Mention::blank},
    {"no interval change", Mention::blank},
    {"no significant interval change", Mention::blank},
    {"no increase", Mention::blank},
    {"no decrease", Mention::blank},
    {"no doubt", Mention::blank},
    {"without change", Mention::blank},
    {"not only", Mention::blank},
    {"not significantly changed", Mention::blank},
    {"not changed", Mention::blank},
};

namespace detail {

/// Whether words[at…] begin with the words of `text`, which have one blank between them; how many
/// words that were, or 0.
HLIP_LAZY std::size_t words_at(std::span<const std::string> words, std::size_t at,
                               std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (at + count >= words.size() || words[at + count] != word) return 0;
    ++count;
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return count;
}

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

inline constexpr std::array<std::string_view, 18> words_of_seeing = {
    "seen",       "present",    "observed",   "detected",    "identified",   "visualised",
    "visualized", "evident",    "noted",      "found",       "apparent",     "visible",
    "shown",      "recognised", "recognized", "appreciated", "demonstrated", "suspected"};
/// What ends the reach of a cue, and begins a clause.
inline constexpr std::array<std::string_view, 11> words_of_contrast = {
    "but",   "however", "although",     "though",      "except", "yet",
    "while", "whereas", "nevertheless", "nonetheless", "because"};
/// What makes a stretch of words a clause of its own.
inline constexpr std::array<std::string_view, 16> words_of_clauses = {
    "is",      "are",    "was",     "were",   "has", "have",  "had", "shows",
    "appears", "appear", "remains", "remain", "may", "could", "can", "cannot"};

/// A cue found in a sentence: its words are [begin, begin + count).
struct FoundCue {
  std::size_t begin = 0, count = 0;  // count 0: none
  Mention meaning = Mention::blank;
  bool before = false, after = false;
};

/// "not" and "cannot" by the words behind: "not seen", "cannot be excluded", "not enlarged".
/// @param taken words that belong to a finding
HLIP_LAZY FoundCue read_not(std::span<const std::string> words, const std::vector<char>& taken,
                            std::size_t at) {
  for (std::size_t k = at + 1; k < std::min(at + 4, words.size()); ++k) {
    const std::string& word = words[k];
    if (taken[k] || word == ",") break;
    const std::size_t count = k + 1 - at;
    if (word == "excluded" || word == "ruled")
      return {at, count + words_at(words, k + 1, "out"), Mention::uncertain, false, true};
    if (word == "exclude" || word == "rule")
      return {at, count + words_at(words, k + 1, "out"), Mention::uncertain, true, false};
    if (is_one_of(word, words_of_seeing)) return {at, count, Mention::negative, false, true};
  }
  if (words[at] == "cannot") return {};
  return {at, 1, Mention::negative, true, false};
}

/// The longest cue that begins at a word.
HLIP_LAZY FoundCue cue_at(std::span<const std::string> words, const std::vector<char>& taken,
                          std::size_t at) {
  FoundCue found;
  for (const ReportCue& cue : report_cues) {
    const std::size_t count = words_at(words, at, cue.words);
    const bool free = std::none_of(taken.begin() + static_cast<std::ptrdiff_t>(at),
                                   taken.begin() + static_cast<std::ptrdiff_t>(at + count),
                                   [](char t) { return t != 0; });
    if (count > found.count && free) found = {at, count, cue.meaning, cue.before, cue.after};
  }
  if (found.count == 0 && (words[at] == "not" || words[at] == "cannot"))
    return read_not(words, taken, at);
  return found;
}

/// Where the clauses of a sentence begin, and its end. A comma or "and" parts clauses if the words
/// on both sides have a verb of their own; words of contrast always do.
HLIP_LAZY std::vector<std::size_t> clause_borders(std::span<const std::string> words,
                                                  const std::vector<char>& taken) {
  std::vector<std::size_t> borders = {0};
  bool clause_has_verb = false, part_has_verb = false;
  std::size_t part = 0;
  const auto end_part = [&] {
    if (part > borders.back() && clause_has_verb && part_has_verb) {
      borders.push_back(part), clause_has_verb = false;
    }
    clause_has_verb = clause_has_verb || part_has_verb;
    part_has_verb = false;
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!taken[i] && (words[i] == "," || words[i] == "and")) end_part(), part = i;
    if (!taken[i] && is_one_of(words[i], words_of_contrast)) {
      end_part();
      if (i > borders.back()) borders.push_back(i);
      clause_has_verb = false, part = i;
    }
    part_has_verb = part_has_verb || is_one_of(words[i], words_of_clauses);
  }
  end_part();
  borders.push_back(words.size());
  return borders;
}

}  // namespace detail

HLIP_END
