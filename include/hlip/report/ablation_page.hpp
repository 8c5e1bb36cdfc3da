// An ablation on one page: what was claimed, what was found, every value that stands behind it.
#pragma once

#include <hlip/eval/ablation_claim.hpp>
#include <hlip/report/strip_chart.hpp>

#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What is said of an ablation, as plain text.
struct AblationStory {
  std::string title;
  std::string what;                ///< is compared
  std::string claim, source;       ///< of others, and where they say it
  std::vector<std::string> notes;  ///< what has to be known before numbers are read
  std::vector<AblationExpectation> expectations;
  std::vector<std::pair<std::string, std::string>> recipe;  ///< name and value
};

namespace detail {

HLIP_LAZY std::string ablation_claims(const AblationTable& table, const AblationStory& story) {
  std::string out = fmt::format(
      "<h2>Claimed and found</h2>\n<p><b>The paper</b> ({}): {}</p>\n<p><b>Here</b>, {}:</p>\n"
      "<div class=\"wide\"><table class=\"text\">\n",
      escape_html(story.source), escape_html(story.claim),
      escape_html(agreements_text(table, story.expectations)));
  for (const auto& e : story.expectations) {
    const Agreement a = agreement(table, e);
    const char* style = a == Agreement::agrees      ? " class=\"good\""
                        : a == Agreement::disagrees ? " class=\"bad\""
                                                    : "";
    out += fmt::format("<tr><td>{}</td><td{}>{}</td><td>{}</td></tr>\n", escape_html(e.says), style,
                       to_string(a), escape_html(found_text(table, e)));
  }
  return out +
         "</table></div>\n<p class=\"soft\">\"agrees\" and \"disagrees\" are said only where "
         "the whole interval of the difference lies where it was expected, or none of it "
         "does.</p>\n";
}

HLIP_LAZY std::string ablation_numbers(const AblationTable& table) {
  std::string out = "<div class=\"wide\"><table>\n<thead><tr><th></th>";
  for (std::size_t v = 0; v < table.variants().size(); ++v) {
    out += fmt::format("<th>{}</th>", escape_html(table.variants()[v]));
    if (v != table.reference()) out += "<th>difference</th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t m = 0; m < table.metrics().size(); ++m) {
    out += fmt::format("<tr><td>{}</td>", escape_html(table.metrics()[m].title()));
    for (std::size_t v = 0; v < table.variants().size(); ++v) {
      out += fmt::format("<td>{}</td>", table.spread_cell(v, m));
      if (v != table.reference()) out += fmt::format("<td>{}</td>", table.reference_cell(v, m));
    }
    out += "</tr>\n";
  }
  return out + fmt::format("</tbody>\n</table></div>\n<p class=\"soft\">{}.</p>\n",
                           escape_html(table.legend()));
}

HLIP_LAZY std::string ablation_charts(const AblationTable& table) {
  std::string out = "<div class=\"row\">\n";
  for (std::size_t m = 0; m < table.metrics().size(); ++m) {
    std::vector<ChartStrip> strips;
    for (std::size_t v = 0; v < table.variants().size(); ++v)
      strips.push_back({table.variants()[v], table.values(v, m)});
    out += strip_chart(strips, {.title = table.metrics()[m].title()});
  }
  return out + "</div>\n<p class=\"soft\">A dot for each seed, a stroke at their mean.</p>\n";
}

}  // namespace detail

/// The page. @throws hlip::error when an expectation names what the table has not
HLIP_LAZY std::string ablation_page(const AblationTable& table, const AblationStory& story) {
  const std::string body = fmt::format(
      "<p class=\"soft\">hlip ablation</p>\n<h1>{}</h1>\n<div class=\"note\">{}</div>\n<p>{}</p>\n",
      escape_html(story.title), html_list(story.notes), escape_html(story.what));
  return html_page(story.title + " – hlip ablation",
                   body + detail::ablation_claims(table, story) + "<h2>Numbers</h2>\n" +
                       detail::ablation_numbers(table) + "<h2>Seeds</h2>\n" +
                       detail::ablation_charts(table) + "<h2>How</h2>\n" +
                       html_pairs(story.recipe));
}

HLIP_END
