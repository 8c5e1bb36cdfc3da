// Report clean-up before tokenising: HTML entities and white space. Needs no library.
#pragma once

#include <hlip/core/utf8.hpp>

#include <algorithm>
#include <array>
#include <optional>

HLIP_BEGIN

namespace detail {

struct HtmlEntity {
  std::string_view name;
  char32_t point;
  bool bare;  ///< HTML also accepts it without the semicolon
};

/// The entities reports are seen with; any other name stays as it is. Longer names come before
/// their prefixes.
inline constexpr HtmlEntity html_entities[] = {
    {"nbsp", 0xA0, true},     {"amp", '&', true},        {"lt", '<', true},
    {"gt", '>', true},        {"quot", '"', true},       {"apos", '\'', false},
    {"plusmn", 0xB1, true},   {"deg", 0xB0, true},       {"micro", 0xB5, true},
    {"times", 0xD7, true},    {"divide", 0xF7, true},    {"middot", 0xB7, true},
    {"frac12", 0xBD, true},   {"frac14", 0xBC, true},    {"frac34", 0xBE, true},
    {"sup1", 0xB9, true},     {"sup2", 0xB2, true},      {"sup3", 0xB3, true},
    {"copy", 0xA9, true},     {"reg", 0xAE, true},       {"sect", 0xA7, true},
    {"para", 0xB6, true},     {"laquo", 0xAB, true},     {"raquo", 0xBB, true},
    {"shy", 0xAD, true},      {"eacute", 0xE9, true},    {"egrave", 0xE8, true},
    {"agrave", 0xE0, true},   {"aacute", 0xE1, true},    {"ccedil", 0xE7, true},
    {"ntilde", 0xF1, true},   {"auml", 0xE4, true},      {"ouml", 0xF6, true},
    {"uuml", 0xFC, true},     {"Auml", 0xC4, true},      {"Ouml", 0xD6, true},
    {"Uuml", 0xDC, true},     {"szlig", 0xDF, true},     {"aring", 0xE5, true},
    {"oslash", 0xF8, true},   {"ndash", 0x2013, false},  {"mdash", 0x2014, false},
    {"lsquo", 0x2018, false}, {"rsquo", 0x2019, false},  {"ldquo", 0x201C, false},
    {"rdquo", 0x201D, false}, {"bull", 0x2022, false},   {"hellip", 0x2026, false},
    {"prime", 0x2032, false}, {"Prime", 0x2033, false},  {"trade", 0x2122, false},
    {"larr", 0x2190, false},  {"rarr", 0x2192, false},   {"minus", 0x2212, false},
    {"asymp", 0x2248, false}, {"ne", 0x2260, false},     {"le", 0x2264, false},
    {"ge", 0x2265, false},    {"alpha", 0x3B1, false},   {"beta", 0x3B2, false},
    {"gamma", 0x3B3, false},  {"mu", 0x3BC, false},      {"ensp", 0x2002, false},
    {"emsp", 0x2003, false},  {"thinsp", 0x2009, false}, {"zwnj", 0x200C, false},
    {"zwj", 0x200D, false},   {"euro", 0x20AC, false},
};

/// What HTML makes of the references 0x80 to 0x9F, which people write meaning Windows-1252.
inline constexpr std::array<char32_t, 32> windows_1252 = {
    0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
    0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};

/// A numeric reference "#65", "#x41" at the start of `text`; its length goes to `used`. Nothing if
/// it has no digits.
HLIP_LAZY std::optional<char32_t> numeric_reference(std::string_view text, std::size_t& used) {
  std::size_t at = 1;
  const bool hex = at < text.size() && (text[at] == 'x' || text[at] == 'X');
  if (hex) ++at;
  const std::size_t first = at;
  std::uint32_t value = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') digit = static_cast<std::uint32_t>(c - '0');
    else if (hex && c >= 'a' && c <= 'f') digit = static_cast<std::uint32_t>(c - 'a' + 10);
    else if (hex && c >= 'A' && c <= 'F') digit = static_cast<std::uint32_t>(c - 'A' + 10);
    else break;
    // Stays out of range once it is
    value = std::min<std::uint32_t>(value * (hex ? 16 : 10) + digit, 0x110000);
  }
  if (at == first) return std::nullopt;
  if (at < text.size() && text[at] == ';') ++at;
  used = at;
  if (value >= 0x80 && value <= 0x9F) return windows_1252[value - 0x80];
  return value == 0 ? replacement_character : static_cast<char32_t>(value);
}

}  // namespace detail

/// Replaces HTML entities once: numeric ones and a table of common names; unknown names stay as
/// they are.
/// @param text UTF-8; @return UTF-8
HLIP_LAZY std::string unescape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '&') {
      out += text[at++];
      continue;
    }
    const std::string_view rest = text.substr(at + 1);
    std::size_t used = 0;
    std::optional<char32_t> point;
    if (!rest.empty() && rest[0] == '#') {
      point = detail::numeric_reference(rest, used);
    } else {
      for (const auto& e : detail::html_entities) {
        if (!rest.starts_with(e.name)) continue;
        const bool closed = rest.size() > e.name.size() && rest[e.name.size()] == ';';
        if (!closed && !e.bare) continue;
        point = e.point;
        used = e.name.size() + (closed ? 1 : 0);
        break;
      }
    }
    if (point) {
      append_utf8(out, *point);
      at += 1 + used;
    } else {
      out += text[at++];
    }
  }
  return out;
}

/// Every run of white space becomes one blank; none is left at the ends. Malformed UTF-8 becomes
/// U+FFFD.
HLIP_LAZY std::string collapse_white_space(std::string_view text) {
  std::string out;
  bool pending = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (is_white_space(c)) {
      pending = !out.empty();
      continue;
    }
    if (pending) out += ' ';
    pending = false;
    append_utf8(out, c);
  }
  return out;
}

/// A report as the text tower wants it: HTML unescaped twice (exports often escape twice), white
/// space collapsed. Mis-decoded text ("Ã©" for "é") is not repaired.
/// @param text UTF-8; @return UTF-8
/// Source: reference tokeniser of open_clip, without its encoding repair.
inline std::string clean_report(std::string_view text) {
  return collapse_white_space(unescape_html(unescape_html(text)));
}

HLIP_END
