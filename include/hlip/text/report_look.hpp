// What is odd about a report's text: what people paste into them and what exports do to them. Needs
// no library.
#pragma once

#include <hlip/text/clean_report.hpp>

#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Oddities of one text. None of them stops training: clean_report and the tokenizer deal with the
/// first three; of the others they make the best they can.
struct ReportLook {
  std::size_t entities = 0;  ///< HTML references that clean_report replaces
  /// Control characters other than line breaks and tabs: the tokenizer leaves them out
  std::size_t controls = 0;
  /// U+FFFD: a character was lost before the text came here, or its bytes are no UTF-8
  std::size_t replaced = 0;
  /// pairs such as "Ã¼" or "ÅŸ": UTF-8 that somebody read as Latin-1 or Windows-1252
  std::size_t misdecoded = 0;
};

namespace detail {
/// UTF-8 of a letter of two bytes, read as Windows-1252, is one of these and then a character that
/// stands for 0x80 … 0xBF.
inline bool misdecoded_pair(char32_t first, char32_t second) {
  if (first < 0xC2 || first > 0xC5) return false;  // Latin letters, Turkish ones included
  return (second >= 0x80 && second <= 0xBF) ||
         std::find(windows_1252.begin(), windows_1252.end(), second) != windows_1252.end();
}
}  // namespace detail

/// Looks at a text as it stands in a table. @param text UTF-8 of any origin
inline ReportLook look_at_report(std::string_view text) {
  ReportLook look;
  for (std::size_t at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
    const std::string_view rest = text.substr(at, 40);
    look.entities += !unescape_html(rest).starts_with('&') || rest.starts_with("&amp") ||
                     rest.starts_with("&#38");
  }
  char32_t before = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    look.controls += (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F ||
                     (c >= 0x80 && c < 0xA0 && c != 0x85 && before < 0x80);
    look.replaced += c == replacement_character;
    look.misdecoded += detail::misdecoded_pair(before, c);
    before = c;
  }
  return look;
}

HLIP_END
