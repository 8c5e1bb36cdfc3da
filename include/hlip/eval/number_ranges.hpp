// Numbers as classes: where they are cut into ranges, and in which range each is.
#pragma once

#include <hlip/eval/bootstrap.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

HLIP_BEGIN

/// A finite number that is the whole text, or nothing.
inline std::optional<double> finite_number(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

/// Into how many ranges of as many numbers a rule may cut.
inline constexpr std::size_t most_ranges = 50;

/// Where a rule cuts numbers.
/// @param rule "4" for so many ranges of as many values, "20,40,60" for there, "60," for one place
/// @param values what "4" counts, in any order; @param where named in messages
/// @return rising edges, one fewer than there are ranges; fewer where many values are equal
/// @throws hlip::error for anything else
HLIP_LAZY std::vector<double> range_edges(const std::string& rule, std::vector<double> values,
                                          std::string_view where = "bins") {
  std::vector<double> numbers;
  std::size_t at = 0;
  do {
    const std::size_t end = std::min(rule.find(',', at), rule.size());
    const auto number = finite_number(std::string_view(rule).substr(at, end - at));
    if (!number)
      fail(where, "{} is neither a number of parts nor a list of numbers", quote_text(rule));
    numbers.push_back(*number), at = end + 1;
  } while (at < rule.size());
  if (numbers.size() > 1 || rule.find(',') != rule.npos) {
    for (std::size_t i = 1; i < numbers.size(); ++i)
      if (!(numbers[i - 1] < numbers[i])) fail(where, "{} does not rise", quote_text(rule));
    return numbers;
  }
  const double parts = numbers[0];
  if (!(parts >= 2 && parts <= static_cast<double>(most_ranges) && parts == std::floor(parts)))
    fail(where, "{} parts, expected 2 to {}", rule, most_ranges);
  std::sort(values.begin(), values.end());
  std::vector<double> edges;
  for (double k = 1; k < parts; ++k) {
    edges.push_back(quantile_of_sorted(values, k / parts));
    if (edges.size() > 1 && edges.end()[-1] == edges.end()[-2]) edges.pop_back();
  }
  return edges;
}

/// The number of the range that a value is in: 0 below the first edge, k from edge k - 1 on.
/// @param edges rising
inline std::int64_t range_of(double value, const std::vector<double>& edges) {
  return std::upper_bound(edges.begin(), edges.end(), value) - edges.begin();
}

/// What the ranges are called: "<20", "20-40", ">=40". @param edges rising, one at least
HLIP_LAZY std::vector<std::string> range_names(const std::vector<double>& edges) {
  expect(!edges.empty(), "range_names", "no edges, expected one or more");
  std::vector<std::string> names = {fmt::format("<{:g}", edges.front())};
  for (std::size_t k = 1; k < edges.size(); ++k)
    names.push_back(fmt::format("{:g}-{:g}", edges[k - 1], edges[k]));
  names.push_back(fmt::format(">={:g}", edges.back()));
  return names;
}

HLIP_END
