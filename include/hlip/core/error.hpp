// hlip::error, the one exception type, and the two functions that throw it.
#pragma once

#include <hlip/core/abi.hpp>

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

HLIP_BEGIN

/// Every failure hlip reports. The message says operation (with module path), what came, what was wanted
/// and, where the cause is usually one thing, a hint; file readers add path and place.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws hlip::error("where: message").
/// @param where the operation, e.g. "matmul"; @param message an fmt format string and its arguments
template <class... Args>
[[noreturn]] void fail(std::string_view where, fmt::format_string<Args...> message, Args&&... args) {
  throw error(fmt::format("{}: {}", where, fmt::format(message, std::forward<Args>(args)...)));
}

/// Throws hlip::error("path: place: message"); `place` is a byte offset, line or field and may be empty.
template <class... Args>
[[noreturn]] void fail_file(std::string_view path, std::string_view place, fmt::format_string<Args...> message, Args&&... args) {
  throw error(fmt::format("{}: {}{}{}", path, place, place.empty() ? "" : ": ", fmt::format(message, std::forward<Args>(args)...)));
}

HLIP_END
