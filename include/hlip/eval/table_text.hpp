// How numbers and names stand in tables: NaN is "-" for people and an empty field for programs.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/io/csv_text.hpp>

#include <cmath>
#include <string>
#include <string_view>

HLIP_BEGIN

namespace detail {

HLIP_LAZY std::string table_cell(double v) {
  return std::isnan(v) ? "-" : fmt::format("{:.3f}", v);
}
/// "0.861-0.884", "-" for an interval that could not be estimated; with a mark behind it where
/// there is something to know about it.
HLIP_LAZY std::string table_range(double low, double high, std::string_view mark = "") {
  return std::isnan(low) ? "-" : fmt::format("{:.3f}-{:.3f}{}", low, high, mark);
}
HLIP_LAZY std::string csv_number(double v) { return std::isnan(v) ? "" : fmt::format("{}", v); }

}  // namespace detail

HLIP_END
