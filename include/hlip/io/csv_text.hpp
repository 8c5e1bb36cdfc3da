// How a table is written that io/csv.hpp, and every other reader, reads.
#pragma once

#include <hlip/core/abi.hpp>

#include <string>
#include <string_view>

HLIP_BEGIN

/// One CSV field after RFC 4180: quoted where it holds a comma, a quote or a line end.
HLIP_LAZY std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

/// A line of fields.
template <class Fields> std::string csv_row(const Fields& fields) {
  std::string row;
  for (const auto& field : fields) (row += csv_field(field)) += ',';
  if (!row.empty()) row.pop_back();
  return row + "\n";
}

HLIP_END
