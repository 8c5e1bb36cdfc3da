// Tokens that are whole words and single punctuation marks: for small language models of templates
// and of few reports, whose vocabulary is learned from them.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/core/utf8.hpp>
#include <hlip/text/vocabulary.hpp>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Words to ids and back. A piece is a run of letters and digits, or one other character; "##"
/// before it says that nothing separates it from the piece before. Case stays, and so does every
/// text but for its white space, each run of which becomes one blank.
class WordTokenizer {
 public:
  /// Longer words are [UNK].
  static constexpr std::size_t max_word_bytes = 100;

  /// @param vocabulary [CLS] begins a text, [SEP] ends it
  explicit WordTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  /// The vocabulary of texts: words by falling frequency, of equally frequent ones by their bytes.
  /// @param min_count words seen less often are [UNK]  @throws hlip::error unless it is at least 1
  HLIP_LAZY static WordTokenizer learn(std::span<const std::string> texts,
                                       std::int64_t min_count = 1) {
    expect(min_count >= 1, "word_tokens", "min_count is {}, expected at least 1", min_count);
    std::map<std::string, std::int64_t> counts;
    for (const auto& text : texts)
      for (auto& piece : pieces(text)) ++counts[std::move(piece)];
    std::vector<std::pair<std::int64_t, std::string>> order;
    for (const auto& [piece, count] : counts)
      if (count >= min_count && piece.size() <= max_word_bytes) order.emplace_back(-count, piece);
    std::sort(order.begin(), order.end());
    std::vector<std::string> all;
    for (const auto special :
         {Vocabulary::pad, Vocabulary::unknown, Vocabulary::cls, Vocabulary::sep})
      all.emplace_back(special);
    for (auto& [count, piece] : order) all.push_back(std::move(piece));
    return WordTokenizer(Vocabulary(std::move(all), "word_tokens"));
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::int64_t vocab_size() const { return vocabulary_.size(); }
  std::int64_t bos() const { return vocabulary_.cls_id(); }
  std::int64_t eos() const { return vocabulary_.sep_id(); }

  /// The ids of a text, without bos and eos. @param text UTF-8 of any origin
  HLIP_LAZY std::vector<std::int64_t> encode(std::string_view text) const {
    std::vector<std::int64_t> ids;
    for (const auto& piece : pieces(text)) {
      const std::int64_t id = vocabulary_.find(piece);
      ids.push_back(id >= 0 ? id : vocabulary_.unknown_id());
    }
    return ids;
  }
  /// The text of ids; [PAD], bos and eos are nothing in it.
  /// @throws hlip::error naming an id outside the vocabulary
  HLIP_LAZY std::string decode(std::span<const std::int64_t> ids) const {
    std::string text;
    for (const std::int64_t id : ids) {
      std::string_view piece = vocabulary_.piece(id);
      if (id == vocabulary_.pad_id() || id == bos() || id == eos()) continue;
      if (piece.size() > 2 && piece.starts_with("##")) piece.remove_prefix(2);
      else if (!text.empty()) text += ' ';
      text += piece;
    }
    return text;
  }

 private:
  HLIP_LAZY static std::vector<std::string> pieces(std::string_view text) {
    enum { nothing, space, word, mark } before = nothing;
    std::vector<std::string> all;
    for (std::size_t at = 0; at < text.size();) {
      const char32_t c = next_code_point(text, at);
      if (c == 0 || is_white_space(c)) {  // a vocabulary holds no zero bytes
        if (before != nothing) before = space;
        continue;
      }
      const bool letter = c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                          (c >= 'a' && c <= 'z');
      if (!letter || before != word) all.emplace_back(before == word || before == mark ? "##" : "");
      append_utf8(all.back(), c);
      before = letter ? word : mark;
    }
    return all;
  }

  Vocabulary vocabulary_;
};

HLIP_END
