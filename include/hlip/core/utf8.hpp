// UTF-8 to code points and back. Malformed bytes become U+FFFD, so text of any origin can be read.
#pragma once

#include <hlip/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// What a malformed byte becomes.
inline constexpr char32_t replacement_character = 0xFFFD;

/// Reads one code point at `at` (which must be inside `text`) and moves `at` behind it. Overlong
/// forms, surrogates, values above U+10FFFF and cut sequences give U+FFFD and consume one byte.
HLIP_LAZY char32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(at);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  static constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xC2 || lead > 0xF4 || at + length > text.size()) {
    ++at;
    return replacement_character;
  }
  char32_t c = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) {
      ++at;
      return replacement_character;
    }
    c = (c << 6) | (byte(at + i) & 0x3Fu);
  }
  if (c < smallest[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
    ++at;
    return replacement_character;
  }
  at += length;
  return c;
}

/// Offset of the first byte that is not well-formed UTF-8 (overlong forms and surrogates included),
/// or npos.
HLIP_LAZY std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    // U+FFFD itself takes three
    if (next_code_point(text, at) == replacement_character && at == begin + 1) return begin;
  }
  return std::string_view::npos;
}

/// Appends the UTF-8 form of `c`; values that are no character are written as U+FFFD.
HLIP_LAZY void append_utf8(std::string& out, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) c = replacement_character;
  const auto put = [&](char32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6)), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 0x3F)), put(0x80 | ((c >> 6) & 0x3F)),
        put(0x80 | (c & 0x3F));
  }
}

/// All code points of `text`.
HLIP_LAZY std::vector<char32_t> decode_utf8(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) out.push_back(next_code_point(text, at));
  return out;
}

/// UTF-8 of a run of code points.
HLIP_LAZY std::string encode_utf8(const std::vector<char32_t>& points) {
  std::string out;
  for (char32_t c : points) append_utf8(out, c);
  return out;
}

/// White space in the sense of Unicode's White_Space property and the four ASCII separators
/// U+001C-U+001F.
constexpr bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

HLIP_END
