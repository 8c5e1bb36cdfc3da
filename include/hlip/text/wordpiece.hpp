// The tokeniser of the BERT text tower: basic tokens, then greedy longest-match WordPiece.
// Optional header: needs utf8proc.
#pragma once

#include <hlip/text/normalise.hpp>
#include <hlip/text/vocabulary.hpp>

#include <span>

HLIP_BEGIN

/// Text to token ids of a BERT-uncased model and back.
/// Source: Devlin et al., "BERT", NAACL 2019; identical to the reference tokeniser, special pieces
/// inside the text included.
class WordPieceTokenizer {
 public:
  /// Longer words are one [UNK], whatever they hold.
  static constexpr std::size_t max_word_length = 100;

  explicit WordPieceTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
    unknown_ = vocabulary_.unknown_id(), cls_ = vocabulary_.cls_id(), sep_ = vocabulary_.sep_id();
  }
  /// @throws hlip::error if the file is no vocabulary
  HLIP_LAZY static WordPieceTokenizer load(const std::string& path) {
    return WordPieceTokenizer(Vocabulary::load(path));
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::int64_t vocab_size() const { return vocabulary_.size(); }

  /// Ids of the text alone, without [CLS] and [SEP], at most `limit` of them (-1: all).
  /// @param text UTF-8 of any origin; malformed bytes are ignored
  HLIP_LAZY std::vector<std::int64_t> pieces(std::string_view text, std::int64_t limit = -1) const {
    std::vector<std::int64_t> ids;
    const auto full = [&] { return limit >= 0 && static_cast<std::int64_t>(ids.size()) >= limit; };
    while (!text.empty() && !full()) {
      // "[MASK]" and its like, written exactly so, are pieces wherever they stand.
      std::size_t at = 0, length = 0;
      const std::int64_t special = next_special(text, at, length);
      for (const auto& word : basic_tokens(text.substr(0, at))) {
        append_word(word, ids);
        if (full()) break;
      }
      if (special >= 0 && !full()) ids.push_back(special);
      text.remove_prefix(at + length);
    }
    if (full()) ids.resize(static_cast<std::size_t>(limit));
    return ids;
  }

  /// [CLS] pieces [SEP], cut to `context_length` ids (the last one stays [SEP]) and not padded.
  /// @param context_length at least 2; -1: no limit
  /// @throws hlip::error if `context_length` leaves no room for [CLS] and [SEP]
  HLIP_LAZY std::vector<std::int64_t> encode_unpadded(std::string_view text,
                                                      std::int64_t context_length = -1) const {
    if (context_length != -1 && context_length < 2)
      fail("tokenizer", "context_length is {}, expected at least 2 for [CLS] and [SEP]",
           context_length);
    auto ids = pieces(text, context_length == -1 ? -1 : context_length - 2);
    ids.insert(ids.begin(), cls_);
    ids.push_back(sep_);
    return ids;
  }

  /// As encode_unpadded, padded with [PAD] = 0 to exactly `context_length` ids.
  HLIP_LAZY std::vector<std::int64_t> encode(std::string_view text,
                                             std::int64_t context_length) const {
    if (context_length < 2)
      fail("tokenizer", "context_length is {}, expected at least 2 for [CLS] and [SEP]",
           context_length);
    auto ids = encode_unpadded(text, context_length);
    ids.resize(static_cast<std::size_t>(context_length), 0);
    return ids;
  }

  /// The pieces joined to text: "##" pieces continue the word before; [PAD], [CLS] and [SEP] are
  /// left out. Case, accents and the blanks around punctuation are not restored.
  /// @throws hlip::error if an id does not exist
  HLIP_LAZY std::string decode(std::span<const std::int64_t> ids) const {
    std::string text;
    for (const std::int64_t id : ids) {
      const std::string_view piece = vocabulary_.piece(id);
      if (id == 0 || id == cls_ || id == sep_) continue;
      if (piece.size() > 2 && piece.starts_with("##")) {
        text += piece.substr(2);
        continue;
      }
      if (!text.empty()) text += ' ';
      text += piece;
    }
    return text;
  }

 private:
  /// Finds the first special piece in `text`: its place, length and id; id -1 and at = text.size()
  /// if there is none.
  HLIP_LAZY std::int64_t next_special(std::string_view text, std::size_t& at,
                                      std::size_t& length) const {
    for (at = text.find('['); at != std::string_view::npos; at = text.find('[', at + 1)) {
      for (std::string_view special : {Vocabulary::pad, Vocabulary::unknown, Vocabulary::cls,
                                       Vocabulary::sep, Vocabulary::mask}) {
        if (!text.substr(at).starts_with(special)) continue;
        const std::int64_t id = vocabulary_.find(special);
        if (id < 0) continue;
        length = special.size();
        return id;
      }
    }
    at = text.size(), length = 0;
    return -1;
  }

  /// Greedy longest match from the left; a word that cannot be covered is one [UNK].
  HLIP_LAZY void append_word(const std::vector<char32_t>& word,
                             std::vector<std::int64_t>& ids) const {
    if (word.size() > max_word_length) {
      ids.push_back(unknown_);
      return;
    }
    const std::size_t before = ids.size();
    std::string candidate;
    std::vector<std::size_t> ends;  // candidate.size() after each code point
    for (std::size_t first = 0; first < word.size();) {
      candidate.assign(first == 0 ? "" : "##");
      ends.clear();
      for (std::size_t i = first; i < word.size(); ++i) {
        append_utf8(candidate, word[i]);
        ends.push_back(candidate.size());
      }
      std::int64_t id = -1;
      std::size_t count = ends.size();
      for (; count > 0; --count) {
        id = vocabulary_.find(std::string_view(candidate).substr(0, ends[count - 1]));
        if (id >= 0) break;
      }
      if (id < 0) {
        ids.resize(before);
        ids.push_back(unknown_);
        return;
      }
      ids.push_back(id);
      first += count;
    }
  }

  Vocabulary vocabulary_;
  std::int64_t unknown_ = 0, cls_ = 0, sep_ = 0;
};

HLIP_END
