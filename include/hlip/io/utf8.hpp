// Checks and quotes bytes that come from files, so that no message carries raw control characters to a terminal.
#pragma once

#include <hlip/core/error.hpp>

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

/// At most `limit` bytes of `text` in quotes, with control characters and broken UTF-8 shown as \xNN; for messages.
inline std::string quote_text(std::string_view text, std::size_t limit = 60) {
  std::string_view shown = text;
  if (shown.size() > limit) {
    shown = shown.substr(0, limit);
    while (!shown.empty() && (static_cast<unsigned char>(text[shown.size()]) & 0xC0) == 0x80) shown.remove_suffix(1);  // keep characters whole
  }
  const bool valid = find_invalid_utf8(shown) == std::string_view::npos;
  std::string out = "\"";
  for (const char c : shown) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7F || (u >= 0x80 && !valid)) out += fmt::format("\\x{:02x}", u);
    else out += c;
  }
  out += '"';
  if (shown.size() < text.size()) out += "...";
  return out;
}

HLIP_END
