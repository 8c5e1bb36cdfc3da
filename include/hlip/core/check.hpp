// Conditions that end in hlip::error. Checks stay on in release builds: they cost nothing next to a kernel.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/scope.hpp>

HLIP_BEGIN

/// Throws "where: message" (where = operation with module path) unless `ok`.
template <class... Args>
void expect(bool ok, std::string_view operation, fmt::format_string<Args...> message, Args&&... args) {
  if (!ok) fail(located(operation), message, std::forward<Args>(args)...);
}

HLIP_END
