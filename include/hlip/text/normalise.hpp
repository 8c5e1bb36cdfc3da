// BERT's basic tokeniser (uncased): from text to lower-cased words and single punctuation marks.
// Optional header: needs utf8proc, for Unicode categories, decomposition and case.
#pragma once

#include <hlip/core/utf8.hpp>

#include <utf8proc.h>

HLIP_BEGIN

namespace detail {

inline utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

/// Removed by the clean-up. Unassigned code points stay: what is unassigned depends on the age of
/// the table, and the reference keeps them too.
inline bool is_dropped(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  if (c == 0 || c == replacement_character) return true;
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO ||
         k == UTF8PROC_CATEGORY_CS;
}

/// CJK ideographs are words of their own; Hangul and the Japanese syllabaries are not.
constexpr bool is_cjk(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

inline bool is_punctuation(char32_t c) {
  // ASCII symbols such as $ and ^ count although Unicode calls them symbols.
  if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
      (c >= 123 && c <= 126))
    return true;
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

/// Canonical decomposition without non-spacing marks, lower-cased; appended to `out`.
inline void fold_case_and_accents(char32_t c, std::vector<char32_t>& out) {
  if (c < 0x80) {
    out.push_back(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return;
  }
  utf8proc_int32_t parts[32];
  int boundary = 0;
  const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, 32,
                                         UTF8PROC_DECOMPOSE, &boundary);
  for (utf8proc_ssize_t i = 0; i < n && i < 32; ++i) {
    if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
      out.push_back(static_cast<char32_t>(utf8proc_tolower(parts[i])));
  }
}

}  // namespace detail

/// Text as BERT-uncased sees it: control characters and malformed bytes dropped, white space made
/// blanks, blanks around CJK ideographs, canonical decomposition with non-spacing marks (accents)
/// removed, lower case.
/// @param text UTF-8 of any origin; @return code points
/// Source: BERT basic tokeniser (do_lower_case), order as in the reference: accents first, then
/// case.
HLIP_LAZY std::vector<char32_t> normalise(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (detail::is_dropped(c)) continue;
    if (is_white_space(c)) {
      out.push_back(' ');
    } else if (detail::is_cjk(c)) {
      out.push_back(' ');
      detail::fold_case_and_accents(c, out);  // compatibility ideographs decompose to unified ones
      out.push_back(' ');
    } else {
      detail::fold_case_and_accents(c, out);
    }
  }
  return out;
}

/// Splits into words: at blanks, and around every punctuation mark, which is a word of its own.
/// @param text UTF-8; @return words as code points, none of them empty
HLIP_LAZY std::vector<std::vector<char32_t>> basic_tokens(std::string_view text) {
  std::vector<std::vector<char32_t>> words;
  bool open = false;  // the last word may still grow
  for (char32_t c : normalise(text)) {
    if (is_white_space(c)) {
      open = false;
    } else if (detail::is_punctuation(c)) {
      words.push_back({c});
      open = false;
    } else {
      if (!open) words.emplace_back();
      words.back().push_back(c);
      open = true;
    }
  }
  return words;
}

HLIP_END
