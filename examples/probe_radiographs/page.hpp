// What probes found, on one page: encoders beside each other, their numbers and their curves.
#pragma once

#include <hlip/eval/average_precision.hpp>
#include <hlip/eval/known_labels.hpp>
#include <hlip/eval/probe_table.hpp>
#include <hlip/report/chart.hpp>
#include <hlip/report/html.hpp>

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace probe {

using namespace hlip;

/// An encoder and the scores of its probes on the tested pictures.
struct Probed {
  ProbeTable table;
  std::vector<std::vector<double>> scores;  ///< of each seed, row-major (tested pictures, findings)
  double lr = 0;                            ///< learning rate that was taken
};

/// The curve of average precision: level from one recall to the next, at the precision there.
inline ChartPoints precision_steps(const PrecisionRecallCurve& curve) {
  ChartPoints points;
  double reached = 0;
  for (std::size_t i = curve.threshold.size(); i-- > 0;) {
    if (curve.recall[i] == reached && !points.empty()) continue;
    points.emplace_back(reached, curve.precision[i]);
    points.emplace_back(curve.recall[i], curve.precision[i]);
    reached = curve.recall[i];
  }
  return points;
}

/// One metric: a row for each finding, for each encoder its mean with sd and its interval.
inline std::string metric_table(const std::vector<Probed>& probed, bool auprc) {
  std::string out =
      "<div class=\"wide\"><table>\n<thead><tr><th>finding</th><th>with</th>"
      "<th>without</th>";
  for (const auto& p : probed)
    out += fmt::format("<th>{}</th><th>95 % CI</th>", escape_html(p.table.encoder()));
  out += "</tr></thead>\n<tbody>\n";
  bool marked = false;
  const auto cells = [&](const ProbeTable::Row& r, const std::string& note) {
    marked = marked || !note.empty();
    return fmt::format("<td>{}</td><td>{}</td>", ProbeTable::cell(auprc ? r.auprc : r.auroc),
                       ProbeTable::range(auprc ? r.auprc_interval : r.auroc_interval, note));
  };
  for (std::size_t k = 0; k < probed.front().table.rows().size(); ++k) {
    const auto& first = probed.front().table.rows()[k];
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td>", escape_html(first.name),
                       first.positives, first.negatives);
    for (const auto& p : probed) out += cells(p.table.rows()[k], p.table.rows()[k].note());
    out += "</tr>\n";
  }
  out += "</tbody>\n<tfoot><tr><td>mean of findings</td><td></td><td></td>";
  for (const auto& p : probed) out += cells(p.table.macro(), "");
  out += "</tr></tfoot>\n</table></div>\n";
  if (marked) out += fmt::format("<p class=\"soft\">{}</p>\n", interval_mark_line);
  return out;
}

/// The curves of the first seed, a small chart for each finding.
inline std::string precision_charts(const std::vector<Probed>& probed,
                                    const std::vector<double>& labels) {
  const auto& rows = probed.front().table.rows();
  std::string out = "<div class=\"small\">\n";
  for (std::size_t k = 0; k < rows.size(); ++k) {
    if (std::isnan(rows[k].auprc.mean)) continue;
    const KnownLabels known(labels, k, rows.size());
    const double share = static_cast<double>(rows[k].positives) /
                         static_cast<double>(rows[k].positives + rows[k].negatives);
    std::vector<ChartLine> lines = {{"dash", {{0, share}, {1, share}}}};
    for (std::size_t e = 0; e < probed.size(); ++e) {
      const std::string_view style = e == 0 ? "a" : e == 1 ? "b" : "faint";
      const auto scores = known.scores(probed[e].scores.front());
      lines.push_back({style, precision_steps(precision_recall_curve(scores, known.labels))});
    }
    const std::string& name = rows[k].name;
    out += line_chart(lines, {.title = std::string(cut_text(name, 26)),
                              .x_label = "recall",
                              .y_label = "precision",
                              .width = 240,
                              .height = 230,
                              .x_range = {0, 1},
                              .y_range = {0, 1}});
  }
  return out + "</div>\n";
}

/// @param labels of the tested pictures, row-major (pictures, findings)  @param about name and
/// value of what was done  @param notes sentences of plain text
inline std::string page(const std::vector<Probed>& probed, const std::vector<double>& labels,
                        const std::vector<std::pair<std::string, std::string>>& about,
                        const std::vector<std::string>& notes) {
  std::vector<std::pair<std::string, std::string>> tiles;
  for (const auto& p : probed)
    tiles.emplace_back("macro AUPRC, " + p.table.encoder(),
                       fmt::format("{:.3f}", p.table.macro().auprc.mean));
  std::string body = fmt::format(
      "<h1>Linear probes</h1>\n<p class=\"soft\">One linear layer on frozen features, {} tested "
      "pictures. For research only: not a medical device.</p>\n{}",
      probed.front().table.pictures(), html_tiles(tiles));
  if (!notes.empty()) body += "<div class=\"note\">" + html_list(notes) + "</div>\n";
  body +=
      "<h2>AUPRC</h2>\n" + metric_table(probed, true) +
      "<p class=\"soft\">Average precision, by steps: mean (sd) over seeds, and the interval of "
      "this mean by resampling tested pictures. Chance is the share of pictures that have the "
      "finding.</p>\n<h2>AUROC</h2>\n" +
      metric_table(probed, false) + "<h2>Precision and recall</h2>\n" +
      precision_charts(probed, labels);
  std::string colours = "<p class=\"soft\">First seed. Blue: " +
                        escape_html(probed.front().table.encoder());
  if (probed.size() > 1) colours += "; orange: " + escape_html(probed[1].table.encoder());
  if (probed.size() > 2) colours += "; faint: the others";
  return html_page("Linear probes",
                   body + colours + "; dashed: chance.</p>\n<h2>How</h2>\n" + html_pairs(about));
}

}  // namespace probe
