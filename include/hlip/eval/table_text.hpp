// How numbers and names stand in tables: NaN is "-" for people and an empty field for programs.
#pragma once

#include <hlip/core/error.hpp>

#include <cmath>
#include <string>

HLIP_BEGIN

namespace detail {

inline std::string table_cell(double v) { return std::isnan(v) ? "-" : fmt::format("{:.3f}", v); }
inline std::string csv_number(double v) { return std::isnan(v) ? "" : fmt::format("{}", v); }
inline std::string csv_field(const std::string& s) {
  if (s.find_first_of(",\"\r\n") == std::string::npos) return s;
  std::string out = "\"";
  for (const char c : s) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

}  // namespace detail

HLIP_END
