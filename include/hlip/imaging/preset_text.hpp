// A preset as text: `name=value`, separated by blanks. The one reader of it, whatever is prepared.
#pragma once

#include <hlip/core/error.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>

HLIP_BEGIN

/// One choice of a preset, as text.
struct PresetEntry {
  std::string_view preset;       ///< for messages: "ct preset"
  std::string_view name, value;  ///< of the choice

  /// The value as a number. @throws hlip::error when it is none
  double number() const { return number_of(value); }

  /// The value as N numbers with commas between them; whole ones where T is. @throws hlip::error
  /// when it is something else
  template <class T, std::size_t N> void list(std::array<T, N>& out) const {
    std::string_view text = value;
    for (std::size_t i = 0; i < N; ++i) {
      const auto comma = text.find(',');
      if ((comma == text.npos) != (i + 1 == N)) fail(preset, "{} needs {} numbers", name, N);
      const double number = number_of(text.substr(0, comma));
      if constexpr (std::is_integral_v<T>)
        if (!(std::abs(number) < 1e6) || number != std::floor(number))
          fail(preset, "{} holds {}, expected whole numbers", name, number);
      out[i] = static_cast<T>(number);
      text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    }
  }
  /// The value as a whole number. @throws hlip::error when it is none
  template <class T> void whole(T& out) const {
    std::array<T, 1> one{};
    list(one);
    out = one[0];
  }

  /// @throws hlip::error: nothing of the preset has this name and value  @param names that there
  /// are
  [[noreturn]] void refuse(std::string_view names) const {
    fail(preset, "\"{}={}\" is not understood; names are {}", name, value, names);
  }

 private:
  double number_of(std::string_view text) const {
    double number = 0;
    std::size_t used = 0;
    try {
      number = std::stod(std::string(text), &used);
    } catch (const std::exception&) {
      used = std::string_view::npos;
    }
    if (used != text.size() || text.front() == ' ')
      fail(preset, "{} is \"{}\", expected a number", name, text);
    return number;
  }
};

/// Calls set(PresetEntry) for every choice of a text. @param preset for messages
/// @throws hlip::error when a word is not name=value
template <class Set>
void each_preset_entry(std::string_view preset, std::string_view text, Set set) {
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    const auto equals = word.find('=');
    if (equals == word.npos) fail(preset, "\"{}\" is not name=value", word);
    set(PresetEntry{preset, word.substr(0, equals), word.substr(equals + 1)});
  }
}

HLIP_END
