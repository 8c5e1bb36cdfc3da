// Pages in one file: escaped text, pictures as data, no scripts and nothing from elsewhere.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/utf8.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Text as it may stand anywhere in a page, attributes in quotes included. Malformed UTF-8 and
/// control characters become U+FFFD.
inline std::string escape_html(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        append_utf8(out, (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0)
                             ? replacement_character
                             : c);
    }
  }
  return out;
}

/// RFC 4648, with padding.
inline std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 3; ++k)
      word = word << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > bytes.size() ? '=' : digits[word >> (18 - 6 * k) & 63];
  }
  return out;
}

/// A picture inside a page. @param png the bytes of the file  @param caption plain text
inline std::string html_figure(std::string_view png, std::string_view caption) {
  const std::string text = escape_html(caption);
  return fmt::format(
      "<figure><img src=\"data:image/png;base64,{}\" "
      "alt=\"{}\"><figcaption>{}</figcaption></figure>\n",
      base64(png), text, text);
}

/// A table of two columns of plain text.
inline std::string html_pairs(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out = "<table class=\"pairs\">\n";
  for (const auto& [name, value] : rows)
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape_html(name), escape_html(value));
  return out + "</table>\n";
}

/// A bulleted list of plain text, nothing when it is empty.
inline std::string html_list(const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = "<ul>\n";
  for (const auto& item : items) out += fmt::format("<li>{}</li>\n", escape_html(item));
  return out + "</ul>\n";
}

/// Figures in large type.
inline std::string html_tiles(const std::vector<std::pair<std::string, std::string>>& tiles) {
  std::string out = "<div class=\"tiles\">\n";
  for (const auto& [name, value] : tiles)
    out += fmt::format("<div><b>{}</b><span>{}</span></div>\n", escape_html(value),
                       escape_html(name));
  return out + "</div>\n";
}

/// The whole page. The policy in its head forbids scripts and everything that would have to be
/// fetched.
/// @param title plain text  @param body HTML
inline std::string html_page(std::string_view title, std::string_view body) {
  // One function: most of it is the style sheet.
  constexpr std::string_view style = R"(
:root { --ink: #1c2430; --soft: #5d6b7c; --paper: #ffffff; --card: #f5f7fa; --line: #d8dee6;
  --a: #2563eb; --b: #d97706; --good: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a5b5; --paper: #14181e;
  --card: #1c222a; --line: #323b47; --a: #60a5fa; --b: #fbbf24; --good: #4ade80; --bad: #f87171; } }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--paper); margin: 0 auto; padding: 24px 32px 64px;
  max-width: 1180px; }
h1 { font-size: 28px; margin: 8px 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 16px; margin: 20px 0 6px; }
p, li { max-width: 80ch; } .soft, figcaption { color: var(--soft); font-size: 14px; }
.note { background: var(--card); border-left: 4px solid var(--b); padding: 8px 14px;
  margin: 16px 0; }
.note ul { margin: 4px 0; padding-left: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px;
  margin: 20px 0; }
.tiles div { background: var(--card); border-radius: 8px; padding: 12px 14px; }
.tiles b { display: block; font-size: 21px; font-weight: 600; white-space: nowrap; }
.tiles span { color: var(--soft); font-size: 14px; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px 24px; }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 12px; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; }
thead th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child, .pairs td, .text td, .text th { text-align: left; }
.pairs th { font-weight: 500; color: var(--soft); vertical-align: top; white-space: nowrap; }
.pairs td, .text td { overflow-wrap: anywhere; }
tfoot td { font-weight: 600; }
.wide { overflow-x: auto; } .good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft);
  font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
svg .title { fill: var(--ink); font-size: 13px; font-weight: 600; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .a { stroke: var(--a); fill: none; stroke-width: 2; }
svg .b { stroke: var(--b); fill: none; stroke-width: 2; }
svg .faint { stroke: var(--a); fill: none; stroke-width: 1; opacity: .28; }
svg .dash { stroke: var(--soft); fill: none; stroke-dasharray: 4 4; }
svg .dot-a { fill: var(--a); opacity: .75; }
svg .dot-b { fill: var(--b); opacity: .85; }
svg .ring-a { fill: none; stroke: var(--a); opacity: .8; }
svg .ring-b { fill: none; stroke: var(--b); opacity: .9; }
svg .pair { stroke: var(--soft); opacity: .16; }
svg .bar { stroke: var(--a); stroke-width: 3; }
svg .half { stroke: var(--soft); stroke-dasharray: 2 3; }
figure { margin: 18px 0; }
figure img { max-width: 100%; height: auto; border-radius: 6px; display: block; }
figcaption { margin-top: 6px; }
details summary { cursor: pointer; color: var(--soft); margin: 8px 0; }
)";
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; img-src "
      "data:\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      escape_html(title), style, body);
}

HLIP_END
