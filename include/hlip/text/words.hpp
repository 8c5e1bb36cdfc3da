// The words of a report as metrics and labellers of reports take them: lower-case, no tokeniser.
#pragma once

#include <hlip/core/config.hpp>
#include <hlip/core/utf8.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// A to Z as a to z; other characters stay as they are, letters beyond ASCII included.
constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
/// Whether c is one of a-z, A-Z and 0-9.
constexpr bool is_ascii_alphanumeric(char c) {
  return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9');
}

/// Words between white space, lower-case; punctuation stays where it is: "clear." is a word.
/// @param text UTF-8 of any origin; malformed bytes become U+FFFD
/// Source: the preparation that BLEU of generated reports is usually computed with.
HLIP_LAZY std::vector<std::string> white_space_words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool space = is_white_space(c);
    if (!space && !inside) words.emplace_back();
    inside = !space;
    if (!space && c < 0x80) words.back() += ascii_lower(static_cast<char>(c));
    else if (!space) append_utf8(words.back(), c);
  }
  return words;
}

/// Runs of a-z and 0-9, lower-case; everything else lies between words, letters beyond ASCII
/// included.
/// Source: the tokeniser of Google's rouge_score, without its stemmer.
HLIP_LAZY std::vector<std::string> alphanumeric_words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : text) {
    const bool letter = is_ascii_alphanumeric(c);
    if (letter && !inside) words.emplace_back();
    inside = letter;
    if (letter) words.back() += ascii_lower(c);
  }
  return words;
}

HLIP_END
