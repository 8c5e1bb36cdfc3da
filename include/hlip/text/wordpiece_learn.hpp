// Learns a WordPiece vocabulary from report texts, for runs without a pretrained one.
// Optional header: needs utf8proc.
#pragma once

#include <hlip/text/wordpiece.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <span>

HLIP_BEGIN

struct WordPieceLearnOptions {
  /// A word (or, with merges, a pair) is kept if it was seen at least this often
  std::int64_t min_count = 2;
  std::int64_t max_size = 0;  ///< most pieces altogether, 0: no limit; the rarest words go first
  /// Instead of whole words, join the most frequent neighbouring pieces again and again until
  /// `max_size` is reached: better for large and varied texts, where many words are rare.
  bool merges = false;
};

namespace detail {

using WordCounts = std::map<std::vector<char32_t>, std::int64_t>;

inline WordCounts count_words(std::span<const std::string> texts) {
  WordCounts counts;
  for (const auto& text : texts)
    for (auto& word : basic_tokens(text))
      // Longer ones are always [UNK]
      if (word.size() <= WordPieceTokenizer::max_word_length) ++counts[std::move(word)];
  return counts;
}

/// Byte-pair merging with WordPiece spelling ("##" on all but the first piece of a word). Ties go
/// to the pair that sorts first, so the result depends on the texts alone.
class PairMerger {
 public:
  PairMerger(const WordCounts& counts, std::int64_t min_count) : min_count_(min_count) {
    for (const auto& [points, count] : counts) {
      Word word{{}, count};
      for (std::size_t i = 0; i < points.size(); ++i)
        word.pieces.push_back((i ? "##" : "") + encode_utf8({points[i]}));
      words_.push_back(std::move(word));
    }
    for (std::size_t w = 0; w < words_.size(); ++w) change_pairs(w, +1);
  }

  /// Joins the most frequent pair everywhere. @return the new piece, empty if no pair is frequent
  /// enough
  std::string merge() {
    if (order_.empty() || -order_.begin()->first < min_count_) return {};
    const Pair pair = order_.begin()->second;
    const std::string joined = pair.first + pair.second.substr(2);
    const std::set<std::size_t> words = where_[pair];  // a copy: change_pairs edits it
    for (const std::size_t w : words) {
      change_pairs(w, -1);
      auto& pieces = words_[w].pieces;
      std::size_t out = 0;
      for (std::size_t i = 0; i < pieces.size(); ++out) {
        const bool hit = i + 1 < pieces.size() && pieces[i] == pair.first &&
                         pieces[i + 1] == pair.second;
        std::string piece = hit ? joined : pieces[i];
        i += hit ? 2 : 1;
        pieces[out] = std::move(piece);
      }
      pieces.resize(out);
      change_pairs(w, +1);
    }
    return joined;
  }

 private:
  using Pair = std::pair<std::string, std::string>;
  struct Word {
    std::vector<std::string> pieces;
    std::int64_t count;
  };

  /// Adds (sign +1) or takes away (-1) everything word `w` contributes.
  void change_pairs(std::size_t w, std::int64_t sign) {
    const auto& word = words_[w];
    for (std::size_t i = 0; i + 1 < word.pieces.size(); ++i) {
      const Pair pair{word.pieces[i], word.pieces[i + 1]};
      auto& count = counts_[pair];
      if (count > 0) order_.erase({-count, pair});
      count += sign * word.count;
      if (count > 0) order_.insert({-count, pair});
      if (sign > 0) where_[pair].insert(w);
      else where_[pair].erase(w);
    }
  }

  std::int64_t min_count_;
  std::vector<Word> words_;
  std::map<Pair, std::int64_t> counts_;
  std::map<Pair, std::set<std::size_t>> where_;
  std::set<std::pair<std::int64_t, Pair>> order_;  // most frequent first
};

}  // namespace detail

/// Learns a vocabulary: [PAD] [UNK] [CLS] [SEP] [MASK], every character by code point, the same as
/// "##" continuation, then words of two characters and more by falling frequency (ties in order of
/// code points), or merged pieces. The order depends on the texts and options alone, not on the
/// order of the texts.
/// @param texts UTF-8 reports
/// @throws hlip::error if the options make no sense or `max_size` has no room for the characters
/// Source: the phantom prototype's vocabulary; merging after Sennrich et al., ACL 2016.
inline Vocabulary learn_wordpiece(std::span<const std::string> texts,
                                  const WordPieceLearnOptions& options = {}) {
  constexpr std::string_view where = "learn_wordpiece";
  if (options.min_count < 1) fail(where, "min_count is {}, expected at least 1", options.min_count);
  if (options.max_size < 0)
    fail(where, "max_size is {}, expected 0 (no limit) or more", options.max_size);
  if (options.merges && options.max_size == 0) fail(where, "merges need a max_size to stop at");
  const auto counts = detail::count_words(texts);

  std::vector<std::string> pieces;
  for (auto special :
       {Vocabulary::pad, Vocabulary::unknown, Vocabulary::cls, Vocabulary::sep, Vocabulary::mask})
    pieces.emplace_back(special);
  std::set<char32_t> characters;
  for (const auto& [word, count] : counts) characters.insert(word.begin(), word.end());
  for (const char32_t c : characters) pieces.push_back(encode_utf8({c}));
  for (const char32_t c : characters) pieces.push_back("##" + encode_utf8({c}));
  if (options.max_size > 0 && static_cast<std::int64_t>(pieces.size()) > options.max_size)
    fail(where, "max_size is {}, but the special pieces and {} characters alone make {}",
         options.max_size, characters.size(), pieces.size());
  const auto full = [&] {
    return options.max_size > 0 && static_cast<std::int64_t>(pieces.size()) >= options.max_size;
  };

  if (options.merges) {
    detail::PairMerger merger(counts, options.min_count);
    std::set<std::string> known(pieces.begin(), pieces.end());
    while (!full()) {
      std::string piece = merger.merge();
      if (piece.empty()) break;
      // Two different pairs can spell the same piece
      if (known.insert(piece).second) pieces.push_back(std::move(piece));
    }
    return Vocabulary(std::move(pieces), where);
  }

  // The map keeps code point order
  std::vector<std::pair<std::int64_t, const std::vector<char32_t>*>> words;
  for (const auto& [word, count] : counts)
    if (count >= options.min_count && word.size() > 1) words.emplace_back(count, &word);
  std::stable_sort(words.begin(), words.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [count, word] : words) {
    if (full()) break;
    pieces.push_back(encode_utf8(*word));
  }
  return Vocabulary(std::move(pieces), where);
}

HLIP_END
