// hlip::error, the one exception type, and the two functions that throw it.
#pragma once

#include <hlip/core/visible.hpp>

// Not fmt/format.h, which takes twice as long and whose additions (fmt::join, ...) no header needs.
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

HLIP_BEGIN

/// Every failure hlip reports. The message says operation (with module path), what came, what was
/// wanted and, where the cause is usually one thing, a hint; file readers add path and place.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {
// What an argument of a message becomes, so that hundreds of checks share a few lists of types:
// text, and the widest whole numbers.
template <class T> auto message_argument(const T& x) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) return std::string_view(x);
  else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, char> || !std::is_integral_v<T>)
    return x;
  else if constexpr (std::is_signed_v<T>) return static_cast<long long>(x);
  else return static_cast<unsigned long long>(x);
}
template <class T> using message_type = decltype(message_argument(std::declval<const T&>()));

// Checks a message against the types of its arguments while the program is compiled.
template <class... Args> struct MessageFormat {
  std::string_view text;
  consteval MessageFormat(const char* format) : text(format) {
    static_cast<void>(fmt::format_string<Args...>(format));
  }
};
template <class... Args>
using message_format = MessageFormat<message_type<std::remove_cvref_t<Args>>...>;

// Functions of few types for all messages: what is instantiated for every check is next to nothing.
// Names in them may come from anywhere, so no message carries raw control characters to a terminal.
[[noreturn]] inline void throw_error(std::string_view where, std::string_view message,
                                     fmt::format_args args) {
  throw error(
      fmt::format("{}: {}", visible_text(where), visible_text(fmt::vformat(message, args), true)));
}
[[noreturn]] inline void throw_file_error(std::string_view path, std::string_view place,
                                          std::string_view message, fmt::format_args args) {
  throw error(fmt::format("{}: {}{}{}", visible_text(path), visible_text(place),
                          place.empty() ? "" : ": ",
                          visible_text(fmt::vformat(message, args), true)));
}
template <class... Args>
[[noreturn]] void throw_error_with(std::string_view where, std::string_view message,
                                   const Args&... args) {
  throw_error(where, message, fmt::make_format_args(args...));
}
template <class... Args>
[[noreturn]] void throw_file_error_with(std::string_view path, std::string_view place,
                                        std::string_view message, const Args&... args) {
  throw_file_error(path, place, message, fmt::make_format_args(args...));
}
}  // namespace detail

/// Throws hlip::error("where: message").
/// @param where the operation, e.g. "matmul"; @param message an fmt format string and its arguments
template <class... Args>
[[noreturn]] void fail(std::string_view where,
                       std::type_identity_t<detail::message_format<Args...>> message,
                       const Args&... args) {
  detail::throw_error_with(where, message.text, detail::message_argument(args)...);
}

/// Throws hlip::error("path: place: message"); `place` is a byte offset, line or field and may be
/// empty.
template <class... Args>
[[noreturn]] void fail_file(std::string_view path, std::string_view place,
                            std::type_identity_t<detail::message_format<Args...>> message,
                            const Args&... args) {
  detail::throw_file_error_with(path, place, message.text, detail::message_argument(args)...);
}

HLIP_END
