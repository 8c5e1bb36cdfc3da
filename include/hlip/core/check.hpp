// Conditions that end in hlip::error. Checks stay on in release builds: they cost nothing next to a
// kernel.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/scope.hpp>

HLIP_BEGIN

/// Throws "where: message" (where = operation with module path) unless `ok`.
template <class... Args>
void expect(bool ok, std::string_view operation,
            std::type_identity_t<detail::message_format<Args...>> message, const Args&... args) {
  if (!ok)
    detail::throw_error_with(located(operation), message.text, detail::message_argument(args)...);
}

HLIP_END
