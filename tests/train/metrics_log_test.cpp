#include <hlip/train/metrics_log.hpp>

#include "../io/temp_folder.hpp"
#include "../support/synced_files.hpp"

#include <hlip/train/checkpoint_store.hpp>

#include <doctest/doctest.h>

using namespace hlip;
using test::synced_files;

TEST_CASE("metrics log: a resumed run drops the rows it will write again and a line that was cut") {
  const TempFolder folder;
  const std::string path = folder / "metrics.csv", header(MetricsLog::header);
  {
    MetricsLog log(path, [](const std::string&, std::int64_t) { return false; });
    log.add({"text_step", 1, 0.5});
    log.add({"step", 1, 0.4});
    log.add({"step", 2, 0.3});
  }
  std::string text = read_file(path);
  atomic_write(path, text + "step,3,0.");  // killed in the middle of a line
  MetricsLog log(path, [](const std::string& stage, std::int64_t step) { return stage == "text_step" || step <= 1; });
  log.add({"step", 2, 0.3, 1e-3, 2, 14.25, 100, 0.5, true});
  CHECK(read_file(path) == header + "text_step,1,0.5,0,0,0,0,0.000,0\nstep,1,0.4,0,0,0,0,0.000,0\nstep,2,0.3,0.001,2,14.25,100,0.500,1\n");
}

TEST_CASE("metrics log: a file with another header is begun anew") {
  const TempFolder folder;
  const std::string path = folder.string() + "/metrics.csv";
  atomic_write(path, "something else\n1,2,3\n");
  MetricsLog log(path, [](const std::string&, std::int64_t) { return true; });
  CHECK(read_file(path) == MetricsLog::header);
}

TEST_CASE("metrics log: TensorBoard events are written only when asked for, each stage in a folder of its own") {
  const TempFolder folder;
  MetricsLog log(folder / "metrics.csv", [](const std::string&, std::int64_t) { return true; });
  log.add({"step", 1, 0.5});
  log.add_scalar("val/macro_auc", 0.9, 1);
  CHECK(folder.entries() == 1);
  log.report_to_tensorboard(folder / "tensorboard", 0, 2);
  log.add({"text_step", 1, 0.5});
  log.add({"step", 2, 0.25});
  log.add_scalar("val/macro_auc", 0.9, 2);
  const auto events = [&](const std::string& name) {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "tensorboard" + "/" + name)) all += read_file(entry.path().string());
    return all;
  };
  CHECK(events("text").find("text/loss") != std::string::npos);
  CHECK(events("text").find("train/loss") == std::string::npos);
  CHECK(events("image").find("train/loss") != std::string::npos);
  CHECK(events("image").find("val/macro_auc") != std::string::npos);
}

TEST_CASE("metrics log: sync brings rows and events to disk") {
  const TempFolder folder;
  MetricsLog log(folder / "metrics.csv", [](const std::string&, std::int64_t) { return true; });
  log.report_to_tensorboard(folder / "tensorboard", 0, 0);
  log.add({"step", 1, 0.5});
  std::vector<std::string> names;
  synced_files = &names;
  log.sync();
  synced_files = nullptr;
  REQUIRE(names.size() == 3);
  CHECK(names[0] == "metrics.csv");
  CHECK(names[1].starts_with("events.out.tfevents."));
  CHECK(names[2].starts_with("events.out.tfevents."));
}
