// A report as sentences of plain words, for rules that read it word by word.
#pragma once

#include <hlip/core/config.hpp>
#include <hlip/text/words.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Collects words of sentences; see report_sentences.
struct SentenceBuilder {
  std::vector<std::vector<std::string>> sentences;
  std::string word;
  bool open = false;  ///< whether the last sentence may get more words

  void push(std::string text) {
    if (!open) sentences.emplace_back();
    open = true;
    sentences.back().push_back(std::move(text));
  }
  void end_word() {
    while (word.ends_with('\'')) word.pop_back();
    const bool negated = word.ends_with("n't");
    if (negated) word.resize(word.size() - 3);
    if (!word.empty()) push(std::move(word));
    if (negated) push("not");
    word.clear();
  }
  void comma() {
    end_word();
    if (open && sentences.back().back() != ",") push(",");
  }
  void end_sentence() { end_word(), open = false; }
};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace detail

/// Splits a report into sentences and these into words, lower-case. Sentences end with . ! ? ;,
/// bullets (•) and blank lines. Commas, colons and brackets are words of their own, ","; "isn't" is
/// "is" and "not"; hyphens and slashes part words; "2.5" is one. Other characters than letters,
/// digits and apostrophes are dropped.
/// @param report UTF-8 of any origin; time and memory are linear in it
HLIP_LAZY std::vector<std::vector<std::string>> report_sentences(std::string_view report) {
  detail::SentenceBuilder out;
  int line_ends = 0;
  for (std::size_t at = 0; at < report.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(report, at);
    line_ends = c == '\n' ? line_ends + 1 : is_white_space(c) ? line_ends : 0;
    if (c >= 0x80) {
      if (c == 0x2019) out.word += '\'';
      else if (c == 0x2022) out.end_sentence();
      else if (is_white_space(c) || (c >= 0x2000 && c < 0x2070) || c == replacement_character)
        out.end_word();
      else append_utf8(out.word, c);
      continue;
    }
    const char letter = ascii_lower(static_cast<char>(c));
    const bool in_number = letter == '.' && begin > 0 && detail::is_digit(report[begin - 1]) &&
                           at < report.size() && detail::is_digit(report[at]);
    if (is_ascii_alphanumeric(letter) || in_number || (letter == '\'' && !out.word.empty()))
      out.word += letter;
    else if (std::string_view(".!?;").find(letter) != std::string_view::npos || line_ends >= 2)
      out.end_sentence();
    else if (std::string_view(",:()[]").find(letter) != std::string_view::npos) out.comma();
    else out.end_word();
  }
  out.end_sentence();
  return std::move(out.sentences);
}

HLIP_END
