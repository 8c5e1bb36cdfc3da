// The result of check_ct_rate as JSON and as a page. Needs nlohmann_json and the libraries of
// datasets/ct_rate/check.hpp.
#pragma once

#include <hlip/datasets/ct_rate/check.hpp>
#include <hlip/io/json.hpp>
#include <hlip/report/html.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

HLIP_BEGIN

/// Everything found, for programs.
HLIP_LAZY Json data_check_json(const DataCheck& check) {
  Json j = {{"root", check.root},
            {"faults", check.faults()},
            {"warnings", check.findings.size() - check.faults()},
            {"splits", Json::array()},
            {"findings", Json::array()},
            {"volumes", Json::array()}};
  for (const auto& s : check.splits)
    j["splits"].push_back({{"name", s.name},
                           {"studies", s.studies},
                           {"volumes", s.volumes},
                           {"absent", s.absent},
                           {"labelled", s.labelled},
                           {"with_report", s.with_report},
                           {"longest_report_tokens", s.longest_report},
                           {"cut_reports", s.cut_reports}});
  for (const auto& f : check.findings)
    j["findings"].push_back({{"severity", f.fault ? "fault" : "warning"},
                             {"kind", f.kind},
                             {"where", f.where},
                             {"what", f.what}});
  for (const auto& v : check.volumes) {
    Json entry = {{"split", v.split}, {"study", v.study}, {"name", v.name}, {"read", v.read}};
    if (v.read) {
      entry["shape"] = {v.shape[0], v.shape[1], v.shape[2]};
      entry["spacing"] = v.spacing;
      entry["orientation"] = v.orientation;
      entry["hu"] = {v.range.min, v.range.max};
      entry["hash"] = fmt::format("{:016x}{:016x}", v.hash[0], v.hash[1]);
    }
    j["volumes"].push_back(std::move(entry));
  }
  return j;
}

namespace detail {

HLIP_LAZY std::string findings_table(const DataCheck& check, bool faults) {
  constexpr std::size_t most = 2000;
  std::string rows;
  std::size_t count = 0;
  for (const auto& f : check.findings)
    if (f.fault == faults && ++count <= most)
      rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", escape_html(f.kind),
                          escape_html(f.where), escape_html(f.what));
  if (count == 0) return fmt::format("<p class=\"{}\">none</p>\n", faults ? "good" : "soft");
  std::string out =
      "<div class=\"wide\"><table "
      "class=\"text\"><thead><tr><th>kind</th><th>where</th><th>what</th></tr></thead>\n<tbody>" +
      rows + "</tbody></table></div>\n";
  if (count > most)
    out += fmt::format("<p class=\"soft\">and {} more, in check_data.json</p>\n", count - most);
  return out;
}

/// Lowest, middle and highest of a figure of the volumes.
template <class Value>
std::string range_row(const char* name, const std::vector<VolumeLook>& volumes, Value value) {
  std::vector<double> all;
  for (const auto& v : volumes)
    if (v.read) all.push_back(value(v));
  if (all.empty()) return "";
  std::sort(all.begin(), all.end());
  return fmt::format("<tr><td>{}</td><td>{:.4g}</td><td>{:.4g}</td><td>{:.4g}</td></tr>\n", name,
                     all.front(), all[all.size() / 2], all.back());
}

}  // namespace detail

/// Everything found, for people.
HLIP_LAZY std::string data_check_page(const DataCheck& check) {
  const std::size_t faults = check.faults(), unread = static_cast<std::size_t>(std::count_if(
                                                 check.volumes.begin(), check.volumes.end(),
                                                 [](const auto&v) { return !v.read; }));
  std::string body = "<p class=\"soft\">hlip check_data</p>\n<h1>" + escape_html(check.root) +
                     "</h1>\n";
  body += html_tiles({{"faults", fmt::format("{}", faults)},
                      {"warnings", fmt::format("{}", check.findings.size() - faults)},
                      {"volumes read", fmt::format("{}", check.volumes.size() - unread)},
                      {"volumes not readable", fmt::format("{}", unread)}});
  body +=
      "<h2>Splits</h2>\n<div "
      "class=\"wide\"><table><thead><tr><th>split</th><th>studies</th><th>volumes</th><th>not on "
      "disk</th><th>with report</th><th>with labels</th><th>longest report, tokens</th><th>reports "
      "cut</th></tr></thead>\n<tbody>";
  for (const auto& s : check.splits)
    body += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</"
        "td></tr>\n",
        escape_html(s.name), s.studies, s.volumes, s.absent, s.with_report, s.labelled,
        s.longest_report, s.cut_reports);
  body +=
      "</tbody></table></div>\n<h2>Faults</h2>\n<p class=\"soft\">To be repaired, or left out, "
      "before training.</p>\n" +
      detail::findings_table(check, true);
  body +=
      "<h2>Warnings</h2>\n<p class=\"soft\">For a person to judge; training goes on with "
      "them.</p>\n" +
      detail::findings_table(check, false);
  body +=
      "<h2>The volumes</h2>\n<div "
      "class=\"row\"><table><thead><tr><th></th><th>lowest</th><th>middle</th><th>highest</th></"
      "tr></thead>\n<tbody>";
  body +=
      detail::range_row("slices", check.volumes,
                        [](const auto& v) { return static_cast<double>(v.shape[0]); }) +
      detail::range_row("rows", check.volumes,
                        [](const auto& v) { return static_cast<double>(v.shape[1]); }) +
      detail::range_row("columns", check.volumes,
                        [](const auto& v) { return static_cast<double>(v.shape[2]); }) +
      detail::range_row("slice distance, mm", check.volumes,
                        [](const auto& v) { return v.spacing[0]; }) +
      detail::range_row("pixel, mm", check.volumes, [](const auto& v) { return v.spacing[2]; }) +
      detail::range_row(
          "length, mm", check.volumes,
          [](const auto& v) { return v.spacing[0] * static_cast<double>(v.shape[0]); }) +
      detail::range_row("lowest HU", check.volumes, [](const auto& v) { return v.range.min; }) +
      detail::range_row("highest HU", check.volumes, [](const auto& v) { return v.range.max; }) +
      detail::range_row("share of air", check.volumes, [](const auto& v) { return v.range.air; });
  std::map<std::string, std::size_t> orientations;
  for (const auto& v : check.volumes)
    if (v.read) ++orientations[v.orientation];
  body +=
      "</tbody></table>\n<table><thead><tr><th>columns, rows, slices lead "
      "to</th><th>volumes</th></tr></thead>\n<tbody>";
  for (const auto& [code, count] : orientations)
    body += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escape_html(code), count);
  return html_page("check_data", body + "</tbody></table></div>\n");
}

HLIP_END
