// A chart of a few values for each of a few names, every value to be seen: a line for each name,
// its values as dots and their mean as a stroke.
#pragma once

#include <hlip/report/chart.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// A line of the chart. What is not finite is left out.
struct ChartStrip {
  std::string name;
  std::vector<double> values;
};

/// An SVG of the width and title of the options; its height goes with the number of strips, and
/// x_range may say what it spans.
inline std::string strip_chart(const std::vector<ChartStrip>& strips, ChartOptions options) {
  constexpr double row = 26, left = 170;
  ChartPoints points;  // all values, for the range
  for (const auto& s : strips)
    for (const double v : s.values) points.emplace_back(v, 0);
  const double top = 30, bottom = top + row * static_cast<double>(strips.size());
  options.height = bottom + 24;
  const auto [low, high] = detail::chart_range(
      options.x_range, {&points}, [](const auto& p) { return p.first; }, 0.05);
  const auto x = [&, low = low, high = high](double v) {
    return left + (v - low) / (high - low) * (options.width - 16 - left);
  };
  std::string out = fmt::format(
      "<svg viewBox=\"0 0 {0:g} {1:g}\" role=\"img\" aria-label=\"{2}\">\n<text class=\"title\" "
      "x=\"4\" y=\"17\">{2}</text>\n",
      options.width, options.height, escape_html(options.title));
  for (const double t : detail::chart_ticks(low, high, 5))
    out += fmt::format(
        "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text "
        "x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.4g}</text>\n",
        x(t), x(t), top, bottom, x(t), bottom + 16, t);
  for (std::size_t i = 0; i < strips.size(); ++i) {
    const double y = top + row * (static_cast<double>(i) + 0.5);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 10,
                       y + 4, escape_html(strips[i].name));
    ChartPoints finite;
    for (const double v : strips[i].values)
      if (std::isfinite(v)) finite.emplace_back(v, 0);
    double sum = 0;
    for (const auto& [v, unused] : finite) {
      sum += v;
      out += fmt::format("<circle class=\"dot-a\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n", x(v),
                         y);
    }
    if (finite.empty()) continue;
    const double mean = x(sum / static_cast<double>(finite.size()));
    out += fmt::format(
        "<line class=\"b\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n", mean, mean,
        y - 9, y + 9);
  }
  return out + "</svg>\n";
}

HLIP_END
