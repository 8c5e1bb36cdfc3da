#include <hlip/report/ablation_page.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("strip_chart: a dot for each value that is one, a stroke at their mean, in the range") {
  const std::string chart = strip_chart({{"a<b", {0, 10}}, {"none", {std::nan("")}}},
                                        {.title = "T", .width = 386, .x_range = {0, 10}});
  CHECK(chart.find("a&lt;b") != std::string::npos);
  CHECK(chart.find("<circle class=\"dot-a\" cx=\"170.0\" cy=\"43.0\"") != std::string::npos);
  CHECK(chart.find("<circle class=\"dot-a\" cx=\"370.0\" cy=\"43.0\"") != std::string::npos);
  CHECK(chart.find("<line class=\"b\" x1=\"270.0\"") != std::string::npos);
  CHECK(chart.find("nan") == std::string::npos);
  CHECK(chart.find("<circle", chart.find("cx=\"370.0\"")) == std::string::npos);
  CHECK(strip_chart({}, {}).find("nan") == std::string::npos);
}

TEST_CASE("ablation_page: claim, notes, every number and what it says, escaped") {
  AblationTable table({"none", "<all>"}, 0, {{"AUPRC", "Tube"}}, 2);
  table.at(0, 0, 0) = 0.1, table.at(0, 0, 1) = 0.2;
  table.at(1, 0, 0) = 0.4, table.at(1, 0, 1) = 0.502;
  const AblationStory story{"A <title>",
                            "what",
                            "more & more",
                            "a paper",
                            {"All pictures are synthetic."},
                            {{"all is better", "<all>", "none", "AUPRC Tube"}},
                            {{"steps", "7"}}};
  const std::string page = ablation_page(table, story);
  for (const std::string text :
       {"A &lt;title&gt;", "(a paper): more &amp; more", "All pictures are synthetic.",
        "1 of 1 agree", "<td class=\"good\">agrees</td>", "0.451 (0.072)", "&lt;all&gt; less none",
        "over 2 seeds", "<svg", "steps"})
    CHECK_MESSAGE(page.find(text) != std::string::npos, text);
  CHECK(page.find("<all>") == std::string::npos);
}
