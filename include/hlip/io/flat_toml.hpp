// The part of TOML that a list of options needs: one table of names and values, nothing nested.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/utf8.hpp>
#include <hlip/core/visible.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// `name = value`. A number is the text it was written as; an array has any number of values,
/// everything else one.
struct TomlEntry {
  std::string name;
  std::vector<std::string> values;
  std::size_t line = 0;
};

/// A text as a TOML string. Bytes that are no UTF-8 stay as they are, although TOML has no way to
/// write them: names of files may have them, and parse_flat_toml gives them back.
HLIP_LAZY std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr std::string_view special = "\b\t\n\f\r\"\\", letters = "btnfr\"\\";
    if (const auto at = special.find(c); at != special.npos) out += {'\\', letters[at]};
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else out += c;
  }
  return out + '"';
}

namespace detail {

// Reads one text from front to back; `fail` names the line.
HLIP_LAZY class FlatTomlParser {
 public:
  FlatTomlParser(std::string_view text, std::string_view path) : text_(text), path_(path) {}

  std::vector<TomlEntry> parse() {
    std::vector<TomlEntry> entries;
    for (skip_lines(); at_ < text_.size(); skip_lines()) {
      if (next() == '[') refuse("a table; options are given as name = value, outside of tables");
      TomlEntry entry{key(), {}, line_};
      skip_blanks();
      if (next() != '=')
        refuse(fmt::format("no = after {}; expected name = value", quote_text(entry.name)));
      if (const auto [first, fresh] = line_of_.emplace(entry.name, line_); !fresh)
        refuse(
            fmt::format("{} a second time, after line {}", quote_text(entry.name), first->second));
      ++at_;
      skip_blanks();
      if (next() == '[') array(entry.values);
      else entry.values.push_back(value());
      skip_blanks();
      if (next() == '#') skip_comment();
      if (next() == '\r') ++at_;
      if (at_ < text_.size() && text_[at_] != '\n')
        refuse(fmt::format("something after the value of {} (hint: texts need quotes)",
                           quote_text(entry.name)));
      entries.push_back(std::move(entry));
    }
    return entries;
  }

 private:
  char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  [[noreturn]] void refuse(std::string_view what) const {
    fail_file(path_, fmt::format("line {}", line_), "{}", what);
  }
  void skip_blanks() {
    while (next() == ' ' || next() == '\t') ++at_;
  }
  void skip_comment() { at_ = std::min(text_.find('\n', at_), text_.size()); }
  /// Blanks, comments and ends of lines.
  void skip_lines() {
    for (;; ++at_) {
      skip_blanks();
      if (next() == '#') skip_comment();
      if (next() == '\n') ++line_;
      else if (next() != '\r') return;
    }
  }
  static bool of_bare_key(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  }
  std::string word(bool (*belongs)(char)) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && belongs(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string key() {
    if (next() == '"' || next() == '\'') return string();
    std::string name = word(of_bare_key);
    if (name.empty()) refuse("no name of an option; expected name = value");
    return name;
  }
  std::string value() {
    if (next() == '"' || next() == '\'') return string();
    std::string bare = word([](char c) { return of_bare_key(c) || c == '+' || c == '.'; });
    if (bare.empty()) refuse("no value; expected a text in quotes, a number, true or false");
    const std::string_view digits = std::string_view(bare).substr(bare[0] == '+' ? 1 : 0);
    double number = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (bare != "true" && bare != "false" && end != digits.data() + digits.size())
      refuse(fmt::format("{} is no number, true or false (hint: texts need quotes)",
                         quote_text(bare)));
    return bare;
  }
  void array(std::vector<std::string>& values) {
    ++at_;
    for (skip_lines(); next() != ']'; skip_lines()) {
      values.push_back(value());
      skip_lines();
      if (next() == ',') ++at_;
      else if (next() != ']') refuse("no , or ] after a value of the array");
    }
    ++at_;
  }
  std::string string() {
    const char quote = text_[at_++];
    std::string out;
    for (; next() != quote; ++at_) {
      const char c = next();
      if (at_ == text_.size() || c == '\n')
        refuse("a text without its closing quote (hint: \\n stands for the end of a line)");
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
        refuse(fmt::format("byte {:#04x} inside a text (hint: \\u{:04X})", static_cast<unsigned>(c),
                           static_cast<unsigned>(c)));
      if (c == '\\' && quote == '"') escape(out);
      else out += c;
    }
    ++at_;
    if (out.empty() && next() == quote)
      refuse("a text of several lines, which is not read (hint: \\n stands for the end of a line)");
    return out;
  }
  /// Leaves the cursor on the last character of the escape.
  void escape(std::string& out) {
    ++at_;
    constexpr std::string_view special = "\b\t\n\f\r\"\\", letters = "btnfr\"\\";
    if (const auto at = letters.find(next()); at != letters.npos && next() != '\0') {
      out += special[at];
      return;
    }
    const std::size_t digits = next() == 'u' ? 4 : next() == 'U' ? 8 : 0;
    const std::string_view hex = text_.substr(std::min(at_ + 1, text_.size()), digits);
    std::uint32_t code = 0;
    const auto [end, failed] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (digits == 0 || hex.size() != digits || end != hex.data() + digits || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
      refuse("an unknown escape in a text (hint: \\\\ stands for a backslash)");
    at_ += digits;
    append_utf8(out, static_cast<char32_t>(code));
  }

  std::string_view text_, path_;
  std::size_t at_ = 0, line_ = 1;
  std::map<std::string, std::size_t> line_of_;
};

}  // namespace detail

/// The entries of a flat TOML table, in their order. Understood are comments, texts in double (with
/// escapes) or single quotes, decimal numbers, true and false, and arrays of these.
/// @param path for messages  @throws hlip::error for anything else, and for a name given twice
HLIP_LAZY std::vector<TomlEntry> parse_flat_toml(std::string_view text, std::string_view path) {
  return detail::FlatTomlParser<>(text, path).parse();
}

/// Names of the options in which two flat TOML tables differ, those that only one of them has among
/// them.
/// @param path of the first, for messages  @param at_default options of the second that do what was
/// done before there were such options: where the first lacks them they are no difference
/// @throws hlip::error when the first is no flat TOML
HLIP_LAZY std::vector<std::string> changed_entries(
    const std::string& before, const std::string& path, const std::string& now,
    const std::vector<std::string>& at_default = {}) {
  const auto then = parse_flat_toml(before, path);
  auto here = parse_flat_toml(now, "options");
  std::erase_if(here, [&](const TomlEntry& entry) {
    const auto named = [&](const TomlEntry& other) { return other.name == entry.name; };
    return std::find(at_default.begin(), at_default.end(), entry.name) != at_default.end() &&
           std::none_of(then.begin(), then.end(), named);
  });
  std::vector<std::string> names;
  const auto collect = [&](const std::vector<TomlEntry>& mine,
                           const std::vector<TomlEntry>& others) {
    for (const auto& entry : mine) {
      const auto same = [&](const TomlEntry& other) {
        return other.name == entry.name && other.values == entry.values;
      };
      const bool listed = std::find(names.begin(), names.end(), entry.name) != names.end();
      if (!listed && std::none_of(others.begin(), others.end(), same)) names.push_back(entry.name);
    }
  };
  collect(then, here);
  collect(here, then);
  return names;
}

HLIP_END
