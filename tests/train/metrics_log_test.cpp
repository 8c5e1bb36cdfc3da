#include <hlip/train/metrics_log.hpp>

#include "../io/temp_folder.hpp"
#include "../support/synced_files.hpp"

#include <hlip/train/checkpoint_store.hpp>

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>

using namespace hlip;
using test::synced_files;

TEST_CASE("metrics log: a resumed run drops the rows it will write again and a line that was cut") {
  const TempFolder folder;
  const std::string
      path = folder / "metrics.csv",
      header = "stage,step,loss,lr,grad_norm,logit_scale,samples_per_second,data_wait,skipped\n";
  {
    MetricsLog log(path, [](const std::string&, std::int64_t) { return false; });
    log.add({"text_step", 1, 0.5, 0, 0, {{"logit_scale", 0}}});
    log.add({"step", 1, 0.4, 0, 0, {{"logit_scale", 0}}});
    log.add({"step", 2, 0.3, 0, 0, {{"logit_scale", 0}}});
  }
  std::string text = read_file(path);
  atomic_write(path, text + "step,3,0.");  // killed in the middle of a line
  MetricsLog log(path, [](const std::string& stage, std::int64_t step) {
    return stage == "text_step" || step <= 1;
  });
  log.add({"step", 2, 0.3, 1e-3, 2, {{"logit_scale", 14.25}}, 100, 0.5, true});
  CHECK(read_file(path) == header +
                               "text_step,1,0.5,0,0,0,0,0.000,0\nstep,1,0.4,0,0,0,0,0.000,0\nstep,"
                               "2,0.3,0.001,2,14.25,100,0.500,1\n");
}

TEST_CASE("metrics log: a file with another header is begun anew") {
  const TempFolder folder;
  const std::string path = folder.string() + "/metrics.csv";
  atomic_write(path, "something else\n1,2,3\n");
  MetricsLog log(path, [](const std::string&, std::int64_t) { return true; });
  CHECK(read_file(path) == log.header());
  CHECK(log.header() == "stage,step,loss,lr,grad_norm,samples_per_second,data_wait,skipped\n");
}

TEST_CASE(
    "metrics log: what only some stages name gets a column when it first comes, and rows keep "
    "their places") {
  const TempFolder folder;
  const std::string path = folder / "metrics.csv";
  {
    MetricsLog log(path, [](const std::string&, std::int64_t) { return true; });
    log.add({"first", 1, 0.5, 1e-3, 2, {}, 10, 0.25});
    log.add({"second", 1, 0.4, 1e-3, 2, {{"momentum", 0.9}, {"entropy", 3}}, 10, 0.25});
  }
  // Resumed: the columns are those of the file
  MetricsLog log(path, [](const std::string&, std::int64_t) { return true; });
  log.add({"second", 2, 0.3, 1e-3, 2, {{"entropy", 2.5}, {"loss_ibot", 7}}, 10, 0.25});
  CHECK(read_file(path) ==
        "stage,step,loss,lr,grad_norm,momentum,entropy,loss_ibot,samples_per_second,data_wait,"
        "skipped\n"
        "first,1,0.5,0.001,2,,,,10,0.250,0\n"
        "second,1,0.4,0.001,2,0.9,3,,10,0.250,0\n"
        "second,2,0.3,0.001,2,,2.5,7,10,0.250,0\n");
}

TEST_CASE(
    "metrics log: TensorBoard events are written only when asked for, each stage in a folder of "
    "its own") {
  const TempFolder folder;
  MetricsLog log(folder / "metrics.csv", [](const std::string&, std::int64_t) { return true; });
  log.add({"step", 1, 0.5});
  log.add_scalar("val/macro_auc", 0.9, 1);
  CHECK(folder.entries() == 1);
  log.report_to_tensorboard(folder / "tensorboard",
                            {{"text_step", "text", "text", 0}, {"step", "image", "train", 2}});
  log.add({"text_step", 1, 0.5});
  log.add({"step", 2, 0.25});
  log.add_scalar("val/macro_auc", 0.9, 2);
  const auto events = [&](const std::string& name) {
    std::string all;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder / "tensorboard" + "/" + name))
      all += read_file(entry.path().string());
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
  log.report_to_tensorboard(folder / "tensorboard",
                            {{"text_step", "text", "text", 0}, {"step", "image", "train", 0}});
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

TEST_CASE("metrics log: on a full disk a new column waits, and rows stay as long as their header") {
  const TempFolder folder;
  const std::string path = folder / "metrics.csv";
  MetricsLog log(path, [](const std::string&, std::int64_t) { return true; });
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{8, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &full) == 0);
  CHECK_THROWS_AS(log.add({"step", 1, 0.5, 0, 0, {{"logit_scale", 14}}}), error);
  CHECK_THROWS_AS(log.add({"step", 2, 0.5, 0, 0, {{"logit_scale", 14}}}), error);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, ignored);
  log.sync();
  log.add({"step", 3, 0.5, 0, 0, {{"logit_scale", 14}}});
  CHECK(read_file(path) == log.header() + "step,3,0.5,0,0,14,0,0.000,0\n");
}
