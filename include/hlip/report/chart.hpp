// Charts as SVG, for pages of html.hpp: lines, and points in a plane.
#pragma once

#include <hlip/report/html.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

using ChartPoints = std::vector<std::pair<double, double>>;

/// A line of a chart. What is not finite is a gap.
struct ChartLine {
  std::string_view style = "a";  ///< class of html_page: a, b, faint, dash
  ChartPoints points;
};

/// Sizes in pixels, ranges of the axes (empty: what the data span) and plain text.
struct ChartOptions {
  std::string title = {}, x_label = {}, y_label = {};
  double width = 560, height = 260;
  std::array<double, 2> x_range{0, 0}, y_range{0, 0};
  bool ticks = true;
};

namespace detail {

/// About `wanted` round numbers that cover a range.
inline std::vector<double> chart_ticks(double low, double high, int wanted) {
  const double raw = (high - low) / wanted, power = std::pow(10.0, std::floor(std::log10(raw)));
  const double step = raw / power < 1.5   ? power
                      : raw / power < 3.5 ? 2 * power
                      : raw / power < 7.5 ? 5 * power
                                          : 10 * power;
  std::vector<double> ticks;
  for (double t = std::ceil(low / step - 1e-9) * step; t <= high + 1e-9 * step && ticks.size() < 32;
       t += step)
    ticks.push_back(std::abs(t) < step * 1e-9 ? 0 : t);
  return ticks;
}

/// At most about 2·`buckets` points that show the same line: the lowest and highest of every
/// bucket, in order.
inline ChartPoints thin_points(const ChartPoints& points, std::size_t buckets) {
  if (points.size() <= 2 * buckets) return points;
  ChartPoints out;
  for (std::size_t b = 0; b < buckets; ++b) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(b * points.size() / buckets),
               end = points.begin() +
                     static_cast<std::ptrdiff_t>((b + 1) * points.size() / buckets);
    auto [low, high] = std::minmax_element(
        begin, end, [](const auto& x, const auto& y) { return x.second < y.second; });
    if (low > high) std::swap(low, high);
    out.push_back(*low);
    if (high != low) out.push_back(*high);
  }
  return out;
}

/// The range of an axis: as given, or what `value` of the points spans and a share of that on
/// either side.
template <class Value>
std::array<double, 2> chart_range(const std::array<double, 2>& given,
                                  const std::vector<const ChartPoints*>& data, Value value,
                                  double margin) {
  if (given[0] < given[1]) return given;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const auto* points : data)
    for (const auto& p : *points)
      if (const double v = value(p); std::isfinite(p.first) && std::isfinite(p.second))
        low = std::min(low, v), high = std::max(high, v);
  if (!(low <= high)) return {0, 1};
  if (low == high)
    return {low - std::max(0.5, std::abs(low) / 10), high + std::max(0.5, std::abs(high) / 10)};
  return {low - margin * (high - low), high + margin * (high - low)};
}

/// The frame all charts share: ranges, ticks, labels, and where a value lies.
class ChartFrame {
 public:
  ChartFrame(const ChartOptions& o, const std::vector<const ChartPoints*>& data)
      : o_(o),
        left_(o.ticks ? 58 : 12),
        right_(o.width - 12),
        top_(o.title.empty() ? 12 : 30),
        bottom_(o.height - (o.ticks ? 40 : 12)) {
    x_ = chart_range(
        o.x_range, data, [](const auto& p) { return p.first; }, o.ticks ? 0 : 0.05);
    y_ = chart_range(
        o.y_range, data, [](const auto& p) { return p.second; }, 0.05);
  }
  double x(double v) const { return left_ + (v - x_[0]) / (x_[1] - x_[0]) * (right_ - left_); }
  double y(double v) const { return bottom_ - (v - y_[0]) / (y_[1] - y_[0]) * (bottom_ - top_); }

  std::string begin() const {
    std::string out = fmt::format(
        "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">\n", o_.width, o_.height,
        escape_html(o_.title));
    if (!o_.title.empty())
      out += fmt::format("<text class=\"title\" x=\"{:g}\" y=\"17\">{}</text>\n", left_,
                         escape_html(o_.title));
    if (o_.ticks) {
      for (const double t : chart_ticks(y_[0], y_[1], o_.height < 220 ? 3 : 5))
        out += fmt::format(
            "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text "
            "x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n",
            left_, right_, y(t), y(t), left_ - 6, y(t) + 4, t);
      for (const double t : chart_ticks(x_[0], x_[1], o_.width < 300 ? 3 : 6)) {
        const std::string label = fmt::format("{:.6g}", t);
        // of its width, at 12 pixels: what would stand over the edge is cut off there
        const double half = 4.0 * static_cast<double>(label.size());
        out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                           std::min(x(t), o_.width - half), bottom_ + 17, label);
      }
    }
    out += fmt::format("<path class=\"axis\" fill=\"none\" d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\"/>\n",
                       left_, top_, bottom_, right_);
    if (!o_.x_label.empty())
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", right_,
                         o_.height - 6, escape_html(o_.x_label));
    if (!o_.y_label.empty())
      out += fmt::format("<text x=\"{:.1f}\" y=\"17\" text-anchor=\"end\">{}</text>\n", right_,
                         escape_html(o_.y_label));
    return out;
  }

 private:
  const ChartOptions& o_;
  double left_, right_, top_, bottom_;
  std::array<double, 2> x_{}, y_{};
};

}  // namespace detail

/// Lines over a common pair of axes.
inline std::string line_chart(const std::vector<ChartLine>& lines, const ChartOptions& options) {
  std::vector<const ChartPoints*> data;
  for (const auto& l : lines) data.push_back(&l.points);
  const detail::ChartFrame frame(options, data);
  std::string out = frame.begin();
  for (const auto& l : lines) {
    std::string path;
    bool pen = false;
    for (const auto& [x, y] : detail::thin_points(l.points, 600)) {
      if (!std::isfinite(x) || !std::isfinite(y)) {
        pen = false;
        continue;
      }
      path += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", frame.x(x), frame.y(y));
      pen = true;
    }
    out += fmt::format("<path class=\"{}\" d=\"{}\"/>\n", l.style, path);
  }
  return out + "</svg>\n";
}

/// The mean of each point and those up to `reach` before it; what is not finite is left out.
inline ChartPoints running_mean(const ChartPoints& points, std::size_t reach) {
  ChartPoints out;
  double sum = 0;
  std::size_t count = 0;
  const auto add = [&](double v, double sign) {
    if (std::isfinite(v)) sum += sign * v, sign > 0 ? ++count : --count;
  };
  for (std::size_t i = 0; i < points.size(); ++i) {
    add(points[i].second, 1);
    if (i > reach) add(points[i - reach - 1].second, -1);
    out.emplace_back(points[i].first, count > 0 ? sum / static_cast<double>(count)
                                                : std::numeric_limits<double>::quiet_NaN());
  }
  return out;
}

/// A group of points of a plane.
struct ChartCloud {
  /// class of html_page: dot-a, dot-b (filled circles), ring-a, ring-b (open squares)
  std::string_view style = "dot-a";
  ChartPoints points;
};

/// Points in a plane without ticks, for maps whose units mean nothing.
/// @param links pairs of points that belong together, drawn as faint lines
inline std::string scatter_chart(
    const std::vector<ChartCloud>& clouds,
    const std::vector<std::pair<std::pair<double, double>, std::pair<double, double>>>& links,
    ChartOptions options) {
  options.ticks = false;
  std::vector<const ChartPoints*> data;
  for (const auto& c : clouds) data.push_back(&c.points);
  const detail::ChartFrame frame(options, data);
  std::string out = frame.begin();
  for (const auto& [a, b] : links)
    out += fmt::format(
        "<line class=\"pair\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
        frame.x(a.first), frame.y(a.second), frame.x(b.first), frame.y(b.second));
  for (const auto& c : clouds)
    for (const auto& [x, y] : c.points)
      out += c.style.starts_with("dot")
                 ? fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n",
                               c.style, frame.x(x), frame.y(y))
                 : fmt::format(
                       "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"7\" height=\"7\"/>\n",
                       c.style, frame.x(x) - 3.5, frame.y(y) - 3.5);
  return out + "</svg>\n";
}

HLIP_END
