#include <hlip/report/chart.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("escape_html: nothing of a text can become markup, in an element or in an attribute") {
  CHECK(escape_html("<script>alert('x')</script>") ==
        "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
  CHECK(escape_html("\" onload=\"x & y") == "&quot; onload=&quot;x &amp; y");
  CHECK(escape_html("Türkçe \xE2\x80\x93 ok\n") == "Türkçe \xE2\x80\x93 ok\n");
  CHECK(escape_html(std::string("a\0b\x1B[2J\xFF\x7F", 9)) ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD[2J\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE("base64: the vectors of RFC 4648, and all byte values") {
  CHECK(base64("") == "");
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xFB\xEF\xFF") == "++//");
}

TEST_CASE("html_page: text is escaped everywhere, and the policy forbids scripts and the net") {
  const std::string evil = "</title><script>x</script>\"";
  const std::string page = html_page(
      evil, html_pairs({{evil, evil}}) + html_list({evil}) + html_tiles({{evil, evil}}) +
                html_figure("png", evil) +
                line_chart({}, {.title = evil, .x_label = evil, .y_label = evil}));
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("default-src 'none'") != std::string::npos);
  CHECK(page.find("http") == page.find("http-equiv"));  // no address, anywhere
  CHECK(page.find("http", page.find("http-equiv") + 1) == std::string::npos);
  CHECK(page.find("&lt;script&gt;") != std::string::npos);
}

TEST_CASE(
    "line_chart: points lie where the axes say, gaps split the line, and long lines keep their "
    "extremes") {
  const ChartOptions o{.width = 100, .height = 100, .x_range = {0, 10}, .y_range = {0, 10}};
  const std::string chart = line_chart({{"a", {{0, 0}, {10, 10}, {std::nan(""), 1}, {5, 5}}}}, o);
  CHECK(chart.find("d=\"M58.0 60.0L88.0 12.0M73.0 36.0\"") != std::string::npos);
  ChartPoints many;
  for (int i = 0; i < 100000; ++i) many.emplace_back(i, i == 77777 ? 9.0 : 1.0);
  const auto thin = detail::thin_points(many, 600);
  CHECK(thin.size() <= 1200);
  CHECK(std::max_element(thin.begin(), thin.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        })->first == 77777);
  CHECK(line_chart({{"a", {}}}, {}).find("nan") == std::string::npos);
  CHECK(line_chart({{"a", {{1, 2}}}}, {}).find("nan") == std::string::npos);
  CHECK(line_chart({{"a", {{1, 1e300}, {2, -1e300}}}}, {}).find("nan") == std::string::npos);
}

TEST_CASE("line_chart: the last number below the axis lies inside the picture") {
  const ChartOptions o{.width = 560, .x_range = {0, 100000}, .y_range = {0, 1}};
  const std::string chart = line_chart({{"a", {{0, 0}, {100000, 1}}}}, o);
  const auto end = chart.find(">100000<"), begin = chart.rfind("<text x=\"", end);
  REQUIRE(end != std::string::npos);
  // widths of digits at 12 pixels
  const double centre = std::stod(chart.substr(begin + 9)), half = 0.5 * 6 * 7.4;
  CHECK(centre + half <= 560);
  CHECK(centre > 535);
}

TEST_CASE("chart_ticks: round numbers inside the range") {
  CHECK(detail::chart_ticks(0, 10, 5) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(detail::chart_ticks(-0.3, 0.31, 3).size() == 3);
  CHECK(detail::chart_ticks(1, 1 + 1e-15, 5).size() <= 32);
}

TEST_CASE(
    "running_mean: the mean of the values so far, then of the last few; what is not finite is left "
    "out") {
  const auto m = running_mean({{1, 2}, {2, 4}, {3, std::nan("")}, {4, 6}}, 1);
  CHECK(m[0].second == 2);
  CHECK(m[1].second == 3);
  CHECK(m[2].second == 4);
  CHECK(m[3].second == 6);
}
