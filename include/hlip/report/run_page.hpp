// report.html: a run on one page, made of the files in its folder. Needs nlohmann_json, libcsv and
// zlib.
#pragma once

#include <hlip/eval/pca.hpp>
#include <hlip/eval/roc_curve.hpp>
#include <hlip/eval/score_table.hpp>
#include <hlip/eval/zero_shot_table.hpp>
#include <hlip/io/csv.hpp>
#include <hlip/io/json.hpp>
#include <hlip/io/safetensors.hpp>
#include <hlip/report/chart.hpp>
#include <hlip/report/html.hpp>

#include <sys/utsname.h>

#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

HLIP_BEGIN

/// The names of what a run leaves for its report, below its folder.
struct RunFiles {
  static constexpr std::string_view metrics = "metrics.csv", config = "config.toml",
                                    table = "zero_shot.csv", scores = "zero_shot_scores.csv",
                                    summary = "report/summary.json",
                                    embeddings = "report/embeddings.safetensors";
};

/// What the machine and the build were, for anybody who wants to repeat a run.
/// @param threads the run computed with
HLIP_LAZY Json describe_environment(int threads) {
  std::string processor = "unknown";
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (const auto colon = line.find(": "); line.starts_with("model name") && colon != line.npos) {
      processor = line.substr(colon + 2);
      break;
    }
  utsname system{};
  Json j = Json::array();
  const auto add = [&](const char* name, const std::string& value) { j.push_back({name, value}); };
  add("processor", processor);
  add("compute threads", fmt::format("{} of {}", threads, std::thread::hardware_concurrency()));
  if (::uname(&system) == 0)
    add("system", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  add("compiler", __VERSION__);
#if defined(__AVX512F__)
  add("instructions", "AVX-512");
#elif defined(__AVX2__)
  add("instructions", "AVX2");
#else
  add("instructions", "generic");
#endif
#ifdef HLIP_WITH_CBLAS
  add("matrix products", "CBLAS");
#else
  add("matrix products", "hlip's own");
#endif
  return j;
}

/// The scores of an evaluation as a table: volume, then P(positive) and label of every finding.
HLIP_LAZY std::string scores_to_csv(const std::vector<std::string>& findings,
                                    const std::vector<std::string>& volumes,
                                    std::span<const double> scores,
                                    std::span<const std::int64_t> labels) {
  std::string text = "VolumeName";
  for (const auto& f : findings)
    text += fmt::format(",{},{}", csv_field("score " + f), csv_field("label " + f));
  text += '\n';
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    text += csv_field(volumes[i]);
    for (std::size_t c = 0; c < findings.size(); ++c)
      text += fmt::format(",{},{}", scores[i * findings.size() + c],
                          labels[i * findings.size() + c]);
    text += '\n';
  }
  return text;
}

namespace detail {

/// Column-wise scores of one finding.
struct FindingScores {
  std::string name;
  std::vector<double> scores;
  std::vector<std::int64_t> labels;
};

/// Reads what scores_to_csv writes.
HLIP_LAZY std::vector<FindingScores> read_scores(const std::string& path) {
  const auto table = read_csv(path, {"VolumeName"});
  std::vector<FindingScores> out;
  for (const auto& column : table.columns()) {
    if (!column.starts_with("score ")) continue;
    FindingScores f;
    f.name = column.substr(6);
    const int score = table.column(column), label = table.column("label " + f.name);
    for (std::size_t r = 0; r < table.rows(); ++r) {
      f.scores.push_back(table_number<double>(table, r, score));
      f.labels.push_back(table_number<std::int64_t>(table, r, label));
    }
    out.push_back(std::move(f));
  }
  return out;
}

/// Curves of one stage of metrics.csv.
struct StageCurves {
  std::string stage;
  ChartPoints loss, lr, grad_norm;
  double rate = 0, wait = 0;  ///< of the last row: means since its start
  std::int64_t skipped = 0;
};

HLIP_LAZY std::vector<StageCurves> read_curves(const std::string& path) {
  std::vector<StageCurves> stages;
  const auto table = read_csv(path, {"stage", "step", "loss", "lr", "grad_norm",
                                     "samples_per_second", "data_wait", "skipped"});
  const auto column = [&](const char* name) { return table.column(name); };
  for (std::size_t r = 0; r < table.rows(); ++r) {
    const std::string stage(table.at(r, column("stage")));
    if (stages.empty() || stages.back().stage != stage)
      stages.push_back({stage, {}, {}, {}, 0, 0, 0});
    auto& s = stages.back();
    const auto step = table_number<double>(table, r, column("step"));
    s.loss.emplace_back(step, table_number<double>(table, r, column("loss")));
    s.lr.emplace_back(step, table_number<double>(table, r, column("lr")));
    s.grad_norm.emplace_back(step, table_number<double>(table, r, column("grad_norm")));
    s.rate = table_number<double>(table, r, column("samples_per_second"));
    s.wait = table_number<double>(table, r, column("data_wait"));
    s.skipped += table_number<std::int64_t>(table, r, column("skipped"));
  }
  return stages;
}

/// @param titles of stages by their name; a stage without one is called by its name
HLIP_LAZY std::string curves_section(const std::vector<StageCurves>& stages,
                                     const std::map<std::string, std::string>& titles) {
  std::string out = "<h2>Training</h2>\n";
  for (const auto& s : stages) {
    const auto title = titles.find(s.stage);
    out += fmt::format(
        "<h3>{}</h3>\n<p class=\"soft\">{} steps, {:.3g} samples/s, {:.0f} % of the time waiting "
        "for data{}. Faint: every step; strong: mean of the last {}.</p>\n<div class=\"row\">\n",
        escape_html(title == titles.end() ? s.stage : title->second), s.loss.size(), s.rate,
        100 * s.wait,
        s.skipped > 0
            ? fmt::format(", {} steps skipped because loss or gradient was not finite", s.skipped)
            : "",
        s.loss.size() / 50 + 1);
    const std::size_t reach = s.loss.size() / 50;
    out += line_chart({{"faint", s.loss}, {"a", running_mean(s.loss, reach)}},
                      {.title = "loss", .x_label = "step"});
    out += line_chart({{"b", s.lr}}, {.title = "learning rate", .x_label = "step"});
    out += "</div>\n<details><summary>gradient norm</summary><div class=\"row\">\n" +
           line_chart({{"faint", s.grad_norm}, {"a", running_mean(s.grad_norm, reach)}},
                      {.title = "gradient norm", .x_label = "step"}) +
           "</div></details>\n";
  }
  return out;
}

/// A bar from low to high with a dot at the value, on the scale 0 … 1.
inline std::string interval_bar(double value, const Interval& interval) {
  if (std::isnan(value) || std::isnan(interval.low)) return "";
  const auto x = [](double v) { return 4 + 192 * v; };
  return fmt::format(
      "<svg viewBox=\"0 0 200 16\" style=\"width:200px\"><line class=\"axis\" x1=\"4\" x2=\"196\" "
      "y1=\"8\" y2=\"8\"/><line class=\"half\" x1=\"100\" x2=\"100\" y1=\"1\" y2=\"15\"/><line "
      "class=\"bar\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"8\" "
      "y2=\"8\"/><circle class=\"dot-b\" cx=\"{:.1f}\" cy=\"8\" r=\"4\"/></svg>",
      x(interval.low), x(interval.high), x(value));
}

HLIP_LAZY std::string zero_shot_section(const ZeroShotTable& table,
                                        const std::vector<FindingScores>& findings) {
  const auto cell = [](double v) {
    return std::isnan(v) ? std::string("–") : fmt::format("{:.3f}", v);
  };
  const auto range = [&](const Interval& i, std::string_view mark = "") {
    return std::isnan(i.low) ? std::string("–")
                             : fmt::format("{:.3f} – {:.3f}{}", i.low, i.high, mark);
  };
  bool marked = false;
  std::string out =
      "<h2>Zero-shot findings</h2>\n<div "
      "class=\"wide\"><table>\n<thead><tr><th>finding</th><th>with</th><th>without</th><th>AUC</"
      "th><th>95 % interval</th><th style=\"text-align: center\">0 to 1</th><th>balanced "
      "accuracy</th><th>weighted F1</th><th>recall</th><th>precision</th></tr></thead>\n<tbody>\n";
  for (const auto& r : table.rows()) {
    const auto& m = r.metrics;
    out += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</"
        "td><td>{}</td><td>{}</td></tr>\n",
        escape_html(r.name), m.positives, m.negatives, cell(m.auc),
        range(r.auc_interval, mark_of(r.note())), interval_bar(m.auc, r.auc_interval),
        cell(m.balanced_accuracy), cell(m.weighted_f1), cell(m.recall), cell(m.precision));
    marked = marked || !r.note().empty();
  }
  const auto& means = table.means();
  out += fmt::format(
      "</tbody>\n<tfoot><tr><td>mean of "
      "findings</td><td></td><td></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</"
      "td><td>{}</td><td>{}</td></tr></tfoot>\n</table></div>\n",
      cell(table.macro_auc()),
      range(table.macro_interval(), mark_of(interval_note(table.macro_interval()))),
      interval_bar(table.macro_auc(), table.macro_interval()), cell(means[0]), cell(means[1]),
      cell(means[2]), cell(means[3]));
  if (marked) out += fmt::format("<p class=\"soft\">{}</p>\n", interval_mark_line);
  out +=
      "<p class=\"soft\">Decisions at a probability of one half, nothing fitted on these labels. "
      "Intervals by resampling volumes. The dashed mark is chance.</p>\n<h3>ROC curves</h3>\n<div "
      "class=\"small\">\n";
  for (const auto& f : findings) {
    const auto curve = roc_curve(f.scores, f.labels);
    if (curve.empty()) continue;
    out += line_chart({{"dash", {{0, 0}, {1, 1}}}, {"a", curve}},
                      {.title = f.name.size() > 26 ? f.name.substr(0, 25) + "…" : f.name,
                       .x_label = fmt::format("AUC {:.3f}", roc_auc(f.scores, f.labels)),
                       .width = 240,
                       .height = 230,
                       .x_range = {0, 1},
                       .y_range = {0, 1}});
  }
  return out +
         "</div>\n<p class=\"soft\">Across: share of volumes without the finding called positive; "
         "up: share of those with it.</p>\n";
}

/// Image and text embeddings in a plane. @param labels of the images for the finding that colours
/// them
HLIP_LAZY std::string map_section(const SafetensorsFile& file, const FindingScores* finding) {
  const auto images = file.values<float>("image"), texts = file.values<float>("text");
  const auto rows = file.values<std::int64_t>("image_row"),
             text_of = file.values<std::int64_t>("text_of");
  const index_t dim = file.info("image").shape[1], n = file.info("image").shape[0],
                m = file.info("text").shape.rank() == 2 ? file.info("text").shape[0] : 0;
  if (n < 3) return "";
  expect(rows.size() == static_cast<std::size_t>(n) &&
             text_of.size() == static_cast<std::size_t>(m) &&
             texts.size() == static_cast<std::size_t>(m * dim),
         "run_report", "{}: its tensors do not belong together", file.path());
  std::vector<double> all(images.begin(), images.end());
  all.insert(all.end(), texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(m * dim));
  const auto centre = [&](index_t begin, index_t count) {
    for (index_t e = 0; e < dim && count > 0; ++e) {
      double mean = 0;
      for (index_t i = begin; i < begin + count; ++i)
        mean += all[static_cast<std::size_t>(i * dim + e)] / static_cast<double>(count);
      for (index_t i = begin; i < begin + count; ++i)
        all[static_cast<std::size_t>(i * dim + e)] -= mean;
    }
  };
  centre(0, n), centre(n, m);
  const auto plane = principal_components(all, n + m, dim, 2);
  const auto at = [&](index_t i) {
    return std::pair{plane.scores[static_cast<std::size_t>(2 * i)],
                     plane.scores[static_cast<std::size_t>(2 * i + 1)]};
  };
  const auto has = [&](index_t image) {
    const auto row = static_cast<std::size_t>(rows[static_cast<std::size_t>(image)]);
    return finding && row < finding->labels.size() && finding->labels[row] == 1;
  };
  std::vector<ChartCloud> clouds = {{"dot-a", {}}, {"ring-a", {}}, {"dot-b", {}}, {"ring-b", {}}};
  std::vector<std::pair<std::pair<double, double>, std::pair<double, double>>> links;
  for (index_t i = 0; i < n; ++i) clouds[has(i) ? 2 : 0].points.push_back(at(i));
  for (index_t t = 0; t < m; ++t) {
    const auto image = text_of[static_cast<std::size_t>(t)];
    if (image < 0 || image >= n) continue;
    clouds[has(image) ? 3 : 1].points.push_back(at(n + t));
    links.emplace_back(at(image), at(n + t));
  }
  const std::string name =
      finding ? fmt::format("; orange: with {}, blue: without", escape_html(finding->name)) : "";
  return "<h2>Map of embeddings</h2>\n" +
         scatter_chart(clouds, links, {.title = "", .width = 900, .height = 520}) +
         fmt::format(
             "<p class=\"soft\">{} held-out volumes (circles) and {} of their reports (squares), "
             "each joined to its volume{}. The two directions in which they differ most hold "
             "{:.0f} % and {:.0f} % of the variance. Images and texts lie apart in "
             "such a space whatever was learned; here each kind is drawn around its own "
             "centre.</p>\n",
             n, m, name, 100 * plane.explained[0], 100 * plane.explained[1]);
}

/// The lines of a configuration, "name = value".
HLIP_LAZY std::vector<std::pair<std::string, std::string>> config_rows(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (const auto equals = line.find(" = "); equals != line.npos)
      rows.emplace_back(line.substr(0, equals), line.substr(equals + 3));
  }
  return rows;
}

inline std::vector<std::pair<std::string, std::string>> json_pairs(const Json& list) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (list.is_array())
    for (const auto& item : list)
      if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string())
        rows.emplace_back(item[0].get<std::string>(), item[1].get<std::string>());
  return rows;
}

}  // namespace detail

/// The page of a run. What the folder lacks is left out: a run that was killed has curves and a
/// configuration only.
/// @param folder of a training run  @param titles what readers are told of each stage, by its name
/// in metrics.csv; a stage without one is called by its name  @throws hlip::error when the folder
/// holds no metrics.csv, or a file of it is damaged
HLIP_LAZY std::string run_report(const std::string& folder,
                                 const std::map<std::string, std::string>& titles = {}) {
  // One function: a page from top to bottom.
  const auto file = [&](std::string_view name) { return folder + "/" + std::string(name); };
  if (!is_file(file(RunFiles::metrics)))
    fail_file(folder, "", "is no run: it has no {}", RunFiles::metrics);
  const auto stages = detail::read_curves(file(RunFiles::metrics));
  const Json summary = is_file(file(RunFiles::summary)) ? read_json(file(RunFiles::summary))
                                                        : Json::object();
  std::string name = folder;
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  name = name.substr(name.rfind('/') + 1);

  std::vector<std::pair<std::string, std::string>> tiles;
  std::vector<detail::FindingScores> findings;
  std::string evaluation;
  const detail::FindingScores* best = nullptr;
  if (is_file(file(RunFiles::table)) && is_file(file(RunFiles::scores))) {
    findings = detail::read_scores(file(RunFiles::scores));
    const ZeroShotTable table = read_zero_shot_table(file(RunFiles::table));
    if (!std::equal(findings.begin(), findings.end(), table.rows().begin(), table.rows().end(),
                    [](const auto& f, const auto& r) { return f.name == r.name; }))
      fail_file(file(RunFiles::table), "", "has other findings than {}", RunFiles::scores);
    tiles.emplace_back("macro AUC, zero-shot", fmt::format("{:.3f}", table.macro_auc()));
    tiles.emplace_back("95 % interval", fmt::format("{:.3f}–{:.3f}", table.macro_interval().low,
                                                    table.macro_interval().high));
    tiles.emplace_back("evaluated", fmt::format("{}", table.studies()));
    double highest = -1;
    for (std::size_t c = 0; c < findings.size(); ++c)
      if (const double auc = table.rows()[c].metrics.auc; auc > highest)
        highest = auc, best = &findings[c];
    evaluation = detail::zero_shot_section(table, findings);
  }
  for (const auto& s : stages)
    if (!s.loss.empty() && (&s == &stages.back())) {
      tiles.emplace_back("steps", fmt::format("{:.0f}", s.loss.back().first));
      tiles.emplace_back(
          "loss, mean of the last 2 %",
          fmt::format("{:.3f}", running_mean(s.loss, s.loss.size() / 50).back().second));
      tiles.emplace_back("samples/s", fmt::format("{:.3g}", s.rate));
    }

  std::string body = fmt::format("<p class=\"soft\">hlip training run</p>\n<h1>{}</h1>\n",
                                 escape_html(name));
  if (summary.contains("title") && summary["title"].is_string())
    body += fmt::format("<p>{}</p>\n", escape_html(summary["title"].get<std::string>()));
  std::vector<std::string> notes;
  if (summary.contains("notes") && summary["notes"].is_array())
    for (const auto& n : summary["notes"])
      if (n.is_string()) notes.push_back(n.get<std::string>());
  notes.push_back("For research only: not a medical device.");
  body += html_tiles(tiles) + "<div class=\"note\">" + html_list(notes) + "</div>\n" +
          detail::curves_section(stages, titles) + evaluation;
  if (is_file(file(RunFiles::embeddings)))
    body += detail::map_section(SafetensorsFile(file(RunFiles::embeddings)), best);
  if (summary.contains("examples") && summary["examples"].is_array() &&
      !summary["examples"].empty()) {
    body +=
        "<h2>Where the model looked</h2>\n<p class=\"soft\">Relevance of patches for one finding, "
        "each slice stretched on its own; the figure in a corner is the share of the whole map's "
        "relevance in that layer.</p>\n";
    for (const auto& e : summary["examples"]) {
      const std::string picture = e.is_object() ? e.value("picture", "") : "";
      if (picture.empty() || picture.find('/') != picture.npos ||
          !is_file(folder + "/report/" + picture))
        continue;
      body += html_figure(read_file(folder + "/report/" + picture, std::size_t{1} << 26),
                          e.value("caption", ""));
    }
  }
  std::string parts;
  if (summary.contains("facts"))
    parts += "<div><h3>Data and throughput</h3>\n" +
             html_pairs(detail::json_pairs(summary["facts"])) + "</div>";
  if (summary.contains("environment"))
    parts += "<div><h3>Environment</h3>\n" +
             html_pairs(detail::json_pairs(summary["environment"])) + "</div>";
  if (!parts.empty()) body += "<h2>How it was made</h2>\n<div class=\"row\">" + parts + "</div>\n";
  if (is_file(file(RunFiles::config))) {
    const auto rows = detail::config_rows(read_file(file(RunFiles::config), std::size_t{1} << 24));
    const auto half = rows.begin() + static_cast<std::ptrdiff_t>((rows.size() + 1) / 2);
    body += "<h2>Configuration</h2>\n<div class=\"row\">" + html_pairs({rows.begin(), half}) +
            html_pairs({half, rows.end()}) + "</div>\n";
  }
  return html_page(name + " – hlip run", body);
}

HLIP_END
