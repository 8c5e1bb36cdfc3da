// Text that comes from outside - names, paths, contents of files - made fit to be printed.
#pragma once

#include <hlip/core/utf8.hpp>

#include <cstddef>
#include <string>
#include <string_view>

HLIP_BEGIN

namespace detail {

/// Bytes of the character at the beginning of well-formed `text` when it acts on a terminal or on
/// its neighbours instead of being seen: control characters of ASCII and Latin-1, separators of
/// lines, and marks that turn the direction of writing. 0 for all others.
HLIP_LAZY std::size_t unseen_bytes(std::string_view text) {
  const auto c = static_cast<unsigned char>(text[0]);
  if (c < 0x20 || c == 0x7F) return 1;
  if (c < 0xC2) return 0;
  const auto next = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
  if ((c == 0xC2 && next >= 0x80 && next < 0xA0) || (c == 0xD8 && next == 0x9C)) return 2;
  if (c != 0xE2 || text.size() < 3) return 0;
  const auto last = static_cast<unsigned char>(text[2]);
  const bool mark = next == 0x80 &&
                    (last == 0x8E || last == 0x8F || (last >= 0xA8 && last <= 0xAE));
  return mark || (next == 0x81 && last >= 0xA6 && last <= 0xA9) ? 3 : 0;
}

}  // namespace detail

/// `text` as it may be printed: the bytes of control characters, of marks that turn the direction
/// of writing, and of what is no UTF-8 become \xNN. Every name that comes from a file, a folder or
/// a command line goes through here (or quote_text) before it reaches a terminal; messages of
/// hlip::error have.
/// @param lines keep line breaks: for text that hlip has put together from lines
HLIP_LAZY std::string visible_text(std::string_view text, bool lines = false) {
  const bool valid = find_invalid_utf8(text) == std::string_view::npos;
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const bool broken = !valid && static_cast<unsigned char>(text[i]) >= 0x80;
    const bool line_end = lines && text[i] == '\n';
    std::size_t hidden = broken ? 1 : line_end ? 0 : detail::unseen_bytes(text.substr(i));
    if (hidden == 0) out += text[i++];
    for (; hidden > 0; --hidden, ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      out += "\\x";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    }
  }
  return out;
}

/// At most `limit` bytes of `text`, in whole characters.
HLIP_LAZY std::string_view cut_text(std::string_view text, std::size_t limit) {
  std::string_view shown = text.substr(0, limit);
  if (shown.size() < text.size())
    while (!shown.empty() && (static_cast<unsigned char>(text[shown.size()]) & 0xC0) == 0x80)
      shown.remove_suffix(1);
  return shown;
}

/// At most `limit` bytes of `text` in quotes, as visible_text shows them; for messages.
HLIP_LAZY std::string quote_text(std::string_view text, std::size_t limit = 60) {
  const std::string_view shown = cut_text(text, limit);
  return '"' + visible_text(shown) + (shown.size() < text.size() ? "\"..." : "\"");
}

HLIP_END
