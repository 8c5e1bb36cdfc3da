// A field of a table of labels, as CheXpert's labeller and those after it write them.
#pragma once

#include <hlip/core/abi.hpp>
#include <hlip/core/config.hpp>

#include <charconv>
#include <limits>
#include <string_view>
#include <system_error>

HLIP_BEGIN

/// What a field says of a finding. @param label gets 0, 1, -1 (uncertain) or NaN (blank)
/// @return false for anything else
HLIP_LAZY bool parse_label_field(std::string_view text, float& label) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  label = std::numeric_limits<float>::quiet_NaN();
  if (text.empty()) return true;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), label);
  return code == std::errc() && end == text.data() + text.size() &&
         (label == 0 || label == 1 || label == -1);
}

HLIP_END
