#include <hlip/io/safetensors_writer.hpp>
#include <hlip/report/run_page.hpp>
#include <hlip/train/metrics_log.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;

namespace {

const std::string evil = "<script>alert(1)</script>";

/// A run folder, every text of which tries to become markup.
void write_run(const TempFolder& folder) {
  {
    MetricsLog log(folder / "metrics.csv", [](const std::string&, std::int64_t) { return false; });
    for (int i = 1; i <= 40; ++i)
      log.add({"text_step", i, 3.0 / i, 1e-3, 1, {{"logit_scale", 14}}, 100, 0.01});
    for (int i = 1; i <= 60; ++i)
      log.add({"step",
               i,
               i == 7 ? std::nan("") : 3.0 / i,
               2e-3,
               1,
               {{"logit_scale", 14}},
               33.3,
               0.02,
               i == 7});
  }
  atomic_write(folder / "config.toml", "model = \"" + evil + "\"\nlr = \"0.002\"\n");
  const std::vector<std::string> findings = {"Emphysema", evil},
                                 volumes = {"valid_1_a_1", "valid_2_a_1", "valid_3_a_1", evil};
  const std::vector<double> scores = {0.9, 0.2, 0.4, 0.3, 0.1, 0.7, 0.6, 0.6};
  const std::vector<std::int64_t> labels = {1, 0, 0, 0, 0, 1, 1, 1};
  atomic_write(folder / "zero_shot_scores.csv", scores_to_csv(findings, volumes, scores, labels));
  atomic_write(folder / "zero_shot.csv", ZeroShotTable(findings, scores, labels).to_csv());
  std::filesystem::create_directories(folder / "report");
  Json summary = {{"title", evil},
                  {"notes", {evil}},
                  {"facts", {{"vocabulary", evil}}},
                  {"environment", {{evil, "x"}}}};
  summary["examples"] = {{{"picture", "example_1.png"}, {"caption", evil}},
                         {{"picture", "../metrics.csv"}, {"caption", "outside"}}};
  atomic_write(folder / "report/summary.json", summary.dump());
  atomic_write(folder / "report/example_1.png", "not looked into");
  SafetensorsWriter file;
  const std::vector<float> image = {1, 0, 0, 1, 0.5, 0.5, 0.2, 0.1},
                           text = {0.9f, 0.1f, 0.1f, 0.8f};
  const std::vector<std::int64_t> rows = {0, 1, 2, 3}, text_of = {0, 2};
  file.add("image", std::span<const float>(image), {4, 2});
  file.add("text", std::span<const float>(text), {2, 2});
  file.add("image_row", std::span<const std::int64_t>(rows), {4});
  file.add("text_of", std::span<const std::int64_t>(text_of), {2});
  file.write(folder / "report/embeddings.safetensors");
}
std::size_t count(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("run report: one page with every part, and no text of the run becomes markup") {
  const TempFolder folder;
  write_run(folder);
  const std::string page = run_report(folder.string(),
                                      {{"text_step", "Text stage"}, {"step", "Image stage"}});
  CHECK(page.find("<script") == std::string::npos);
  CHECK(page.find("src=\"http") == std::string::npos);
  for (const char* part : {"Text stage", "Image stage", "Zero-shot findings", "ROC curves",
                           "Map of embeddings", "Where the model looked", "Configuration",
                           "Environment", "1 steps skipped", "not a medical device"})
    CHECK_MESSAGE(page.find(part) != std::string::npos, part);
  // The name that leads out of the folder is not followed
  CHECK(count(page, "data:image/png;base64,") == 1);
  CHECK(count(page, "class=\"bar\"") == 3);  // two findings and their mean
  CHECK(count(page, "<circle class=\"dot-") == 3 + 4);
  CHECK(count(page, "<rect class=\"ring-") == 2);
}

TEST_CASE(
    "run report: a run that was killed has curves and a configuration, and what is no run is "
    "refused") {
  const TempFolder folder;
  write_run(folder);
  std::filesystem::remove_all(folder / "report");
  std::filesystem::remove(folder / "zero_shot_scores.csv");
  const std::string page = run_report(folder.string());
  // A stage is called by its name where nothing says what readers call it
  CHECK(page.find("<h3>step</h3>") != std::string::npos);
  CHECK(page.find("Configuration") != std::string::npos);
  CHECK(page.find("Zero-shot findings") == std::string::npos);
  const TempFolder empty;
  CHECK_THROWS_WITH_AS(run_report(empty.string()), doctest::Contains("is no run"), error);
}

TEST_CASE("run report: damaged files are named with their fault") {
  const TempFolder folder;
  write_run(folder);
  atomic_write(folder / "zero_shot_scores.csv", "VolumeName,score A,label A\nx,much,1\n");
  CHECK_THROWS_WITH_AS(run_report(folder.string()),
                       doctest::Contains("column score A: is \"much\", expected a number"), error);
  atomic_write(folder / "zero_shot_scores.csv", "VolumeName,score A\nx,0.5\n");
  CHECK_THROWS_WITH_AS(run_report(folder.string()), doctest::Contains("label A"), error);
  write_run(folder);
  atomic_write(folder / "zero_shot.csv",
               ZeroShotTable(std::vector<std::string>{"Other"}, std::vector<double>{0.1, 0.2},
                             std::vector<std::int64_t>{0, 1})
                   .to_csv());
  CHECK_THROWS_WITH_AS(run_report(folder.string()),
                       doctest::Contains("has other findings than zero_shot_scores.csv"), error);
}
