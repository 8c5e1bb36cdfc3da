// Text that comes from outside - names, paths, contents of files - made fit to be printed.
#pragma once

#include <hlip/core/abi.hpp>

#include <cstddef>
#include <string>
#include <string_view>

HLIP_BEGIN

/// Offset of the first byte that is not well-formed UTF-8 (overlong forms and surrogates included), or npos.
/// Source: Unicode 15, table 3-7.
inline std::size_t find_invalid_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned c = byte(i);
    std::size_t length = 1;
    unsigned low = 0x80, high = 0xBF;  // bounds of the second byte
    if (c < 0x80) {
      ++i;
      continue;
    }
    if (c >= 0xC2 && c <= 0xDF) length = 2;
    else if (c >= 0xE0 && c <= 0xEF) {
      length = 3;
      if (c == 0xE0) low = 0xA0;
      if (c == 0xED) high = 0x9F;
    } else if (c >= 0xF0 && c <= 0xF4) {
      length = 4;
      if (c == 0xF0) low = 0x90;
      if (c == 0xF4) high = 0x8F;
    } else return i;
    if (byte(i + 1) < low || byte(i + 1) > high) return i;
    for (std::size_t k = 2; k < length; ++k)
      if (byte(i + k) < 0x80 || byte(i + k) > 0xBF) return i;
    i += length;
  }
  return std::string_view::npos;
}

namespace detail {

/// Bytes of the character at the beginning of well-formed `text` when it acts on a terminal or on its
/// neighbours instead of being seen: control characters of ASCII and Latin-1, separators of lines, and
/// marks that turn the direction of writing. 0 for all others.
inline std::size_t unseen_bytes(std::string_view text) {
  const auto c = static_cast<unsigned char>(text[0]);
  if (c < 0x20 || c == 0x7F) return 1;
  if (c < 0xC2) return 0;
  const auto next = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
  if ((c == 0xC2 && next >= 0x80 && next < 0xA0) || (c == 0xD8 && next == 0x9C)) return 2;
  if (c != 0xE2 || text.size() < 3) return 0;
  const auto last = static_cast<unsigned char>(text[2]);
  const bool mark = next == 0x80 && (last == 0x8E || last == 0x8F || (last >= 0xA8 && last <= 0xAE));
  return mark || (next == 0x81 && last >= 0xA6 && last <= 0xA9) ? 3 : 0;
}

}  // namespace detail

/// `text` as it may be printed: the bytes of control characters, of marks that turn the direction of
/// writing, and of what is no UTF-8 become \xNN. Every name that comes from a file, a folder or a command
/// line goes through here (or quote_text) before it reaches a terminal; messages of hlip::error have.
/// @param lines keep line breaks: for text that hlip has put together from lines
inline std::string visible_text(std::string_view text, bool lines = false) {
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
inline std::string_view cut_text(std::string_view text, std::size_t limit) {
  std::string_view shown = text.substr(0, limit);
  if (shown.size() < text.size())
    while (!shown.empty() && (static_cast<unsigned char>(text[shown.size()]) & 0xC0) == 0x80) shown.remove_suffix(1);
  return shown;
}

/// At most `limit` bytes of `text` in quotes, as visible_text shows them; for messages.
inline std::string quote_text(std::string_view text, std::size_t limit = 60) {
  const std::string_view shown = cut_text(text, limit);
  return '"' + visible_text(shown) + (shown.size() < text.size() ? "\"..." : "\"");
}

HLIP_END
