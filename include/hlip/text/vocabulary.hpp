// The list of pieces a tokeniser knows: piece <-> id, and the vocab.txt file it is kept in.
#pragma once

#include <hlip/core/error.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Pieces with their ids (position in the list), the special ones of BERT among them.
class Vocabulary {
 public:
  static constexpr std::string_view pad = "[PAD]", unknown = "[UNK]", cls = "[CLS]", sep = "[SEP]",
                                    mask = "[MASK]";
  static constexpr std::size_t max_piece_bytes = 1024, max_pieces = 10'000'000;

  /// @param pieces in the order of their ids; @param where named in messages, for example the file
  /// @throws hlip::error if a piece is empty, too long, holds white space or comes twice, if one of
  ///         [PAD] [UNK] [CLS] [SEP] is missing, or if [PAD] is not id 0 (padding is masked as
  ///         id 0)
  HLIP_LAZY explicit Vocabulary(std::vector<std::string> pieces,
                                std::string_view where = "vocabulary")
      : pieces_(std::move(pieces)) {
    if (pieces_.size() > max_pieces)
      fail(where, "{} pieces, at most {} are supported", pieces_.size(), max_pieces);
    ids_.reserve(pieces_.size());
    for (std::size_t i = 0; i < pieces_.size(); ++i) add(i, where);
    for (std::string_view special : {pad, unknown, cls, sep})
      if (find(special) < 0)
        fail(where, "{} is missing among {} pieces; is this a BERT vocabulary, one piece a line?",
             special, pieces_.size());
    if (pad_id() != 0) fail(where, "[PAD] is id {}, expected 0", pad_id());
  }

  /// Reads vocab.txt: UTF-8, one piece a line, LF or CRLF; the line number is the id.
  /// @throws hlip::error naming file and line if the file cannot be read or is no vocabulary
  HLIP_LAZY static Vocabulary load(const std::string& path) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored))
      fail_file(path, "", "is no regular file, expected a vocabulary (vocab.txt)");
    std::ifstream in(path, std::ios::binary);
    if (!in) fail_file(path, "", "cannot be opened for reading");
    std::vector<std::string> pieces;
    std::string line;
    char buffer[1 << 16];
    bool at_line_end = true;
    const auto take_line = [&] {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      pieces.push_back(std::move(line));
      line.clear();
      if (pieces.size() > max_pieces) fail_file(path, "", "more than {} lines", max_pieces);
    };
    while (in.read(buffer, sizeof buffer) || in.gcount() > 0) {
      for (std::streamsize i = 0; i < in.gcount(); ++i) {
        at_line_end = buffer[i] == '\n';
        if (at_line_end) take_line();
        else line += buffer[i];
        // Checked while reading: a binary file without line ends must not be read whole.
        if (line.size() > max_piece_bytes + 1)
          fail_file(path, fmt::format("line {}", pieces.size() + 1),
                    "more than {} bytes, expected one piece a line", max_piece_bytes);
      }
    }
    if (in.bad()) fail_file(path, fmt::format("line {}", pieces.size() + 1), "read error");
    if (!at_line_end) take_line();
    return Vocabulary(std::move(pieces), path);
  }

  /// Writes vocab.txt, one piece a line.
  /// @throws hlip::error if the file cannot be written completely
  HLIP_LAZY void save(const std::string& path) const {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    if (!out) fail_file(path, "", "cannot be opened for writing");
    out << to_text();
    out.close();
    if (!out) fail_file(path, "", "could not be written completely; is the disk full?");
  }

  /// The content of vocab.txt.
  std::string to_text() const {
    std::string text;
    for (const auto& p : pieces_) (text += p) += '\n';
    return text;
  }

  std::int64_t size() const { return static_cast<std::int64_t>(pieces_.size()); }
  const std::vector<std::string>& pieces() const { return pieces_; }
  /// Id of a piece, -1 if there is none.
  std::int64_t find(std::string_view piece) const {
    const auto at = ids_.find(piece);
    return at == ids_.end() ? -1 : at->second;
  }
  /// @throws hlip::error if no piece has this id
  const std::string& piece(std::int64_t id) const {
    if (id < 0 || id >= size())
      fail("vocabulary", "id {} does not exist among {} pieces", id, size());
    return pieces_[static_cast<std::size_t>(id)];
  }
  std::int64_t pad_id() const { return find(pad); }
  std::int64_t unknown_id() const { return find(unknown); }
  std::int64_t cls_id() const { return find(cls); }
  std::int64_t sep_id() const { return find(sep); }

  friend bool operator==(const Vocabulary& a, const Vocabulary& b) {
    return a.pieces_ == b.pieces_;
  }

 private:
  // Transparent, so that looking up a piece of a word copies nothing.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const { return a == b; }
  };

  HLIP_LAZY void add(std::size_t i, std::string_view where) {
    const std::string& p = pieces_[i];
    const auto line = [&] { return fmt::format("line {}", i + 1); };
    if (p.empty()) fail_file(where, line(), "empty, expected one piece a line");
    if (p.size() > max_piece_bytes)
      fail_file(where, line(), "piece of {} bytes, at most {} are supported", p.size(),
                max_piece_bytes);
    for (const char c : p)
      if (c == '\0' || c == ' ' || c == '\t' || c == '\n' || c == '\r')
        fail_file(where, line(), "a piece may not hold white space or zero bytes");
    const auto [old, fresh] = ids_.emplace(p, static_cast<std::int64_t>(i));
    if (!fresh) fail_file(where, line(), "the same piece as in line {}", old->second + 1);
  }

  std::vector<std::string> pieces_;
  std::unordered_map<std::string, std::int64_t, Hash, Equal> ids_;
};

HLIP_END
