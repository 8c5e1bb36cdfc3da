#include <hlip/train/checkpoint_store.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>

using namespace hlip;

namespace {

std::string save(const CheckpointStore& store, const std::string& prefix, int step,
                 const std::string& content) {
  return store.save(prefix, step, [&](const std::string& path) {
    for (const auto& file : checkpoint_files()) atomic_write(path + "/" + file, content);
  });
}
const auto no_report = [](const std::string& fault) { FAIL(fault); };

}  // namespace

TEST_CASE("checkpoint store: the newest checkpoint is the highest step of the last stage") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"text_step", "step"});
  CHECK(store.latest(no_report).path.empty());
  save(store, "text_step", 500, "a");
  save(store, "step", 9, "b");
  save(store, "step", 10, "c");
  const auto newest = store.latest(no_report);
  CHECK(newest.prefix == "step");
  CHECK(newest.step == 10);
  CHECK(read_file(newest.path + "/model.safetensors") == "c");
  CHECK(store.list().size() == 3);
}

TEST_CASE(
    "checkpoint store: an unfinished or damaged checkpoint is passed over and left where it is") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"step"});
  save(store, "step", 1, "good");
  const std::string damaged = save(store, "step", 2, "soon damaged");
  atomic_write(damaged + "/model.safetensors", "SOON damaged");
  const std::string unfinished = save(store, "step", 3, "no marker");
  std::filesystem::remove(unfinished + "/COMPLETE");
  std::vector<std::string> faults;
  CHECK(store.latest([&](const std::string& fault) { faults.push_back(fault); }).step == 1);
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].find("step_2/model.safetensors: checksum") != std::string::npos);
  CHECK(is_file(damaged + "/model.safetensors"));
  CHECK(is_file(unfinished + "/model.safetensors"));
}

TEST_CASE("checkpoint store: a failed save leaves nothing of its own and all earlier checkpoints") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"step"});
  save(store, "step", 1, "good");
  CHECK_THROWS_AS(
      store.save("step", 2,
                 [](const std::string&) { fail("test", "the model cannot be written"); }),
      error);

  // A file-size limit makes write() fail as a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    save(store, "step", 3, std::string(5000, 'x'));
  } catch (const error& e) {
    message = e.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(message.find("model.safetensors") != std::string::npos);
  CHECK(store.latest(no_report).step == 1);
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.string()))
    entries += !entry.path().empty();
  CHECK(entries == 1);
  save(store, "step", 3, std::string(5000, 'x'));  // with room again, the same step can be saved
  CHECK(store.latest(no_report).step == 3);
}

TEST_CASE("checkpoint store: keep_newest removes the oldest of one stage only") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"text_step", "step"});
  save(store, "text_step", 1, "t");
  for (int step = 1; step <= 4; ++step) save(store, "step", step, "m");
  store.keep_newest("step", 2);
  const auto left = store.list();
  REQUIRE(left.size() == 3);
  CHECK(left[0].prefix == "text_step");
  CHECK(left[1].step == 3);
  CHECK(left[2].step == 4);
  store.keep_newest("step", 0);
  CHECK(store.list().size() == 3);
}

TEST_CASE(
    "checkpoint store: a run that went back keeps what it writes, whatever lies ahead of it") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"step"});
  for (int step : {1, 2, 8}) save(store, "step", step, "m");
  store.keep_newest("step", 1, 2);
  const auto left = store.list();
  REQUIRE(left.size() == 2);
  CHECK(left[0].step == 2);
  CHECK(left[1].step == 8);
}

TEST_CASE("checkpoint store: names that are no checkpoints are not taken for one") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"step"});
  for (const char* name : {"step_", "step_x", "step_1x", "steps_1", "step_99999999999999999999"}) {
    std::filesystem::create_directories(folder.string() + "/" + name);
    atomic_write(folder.string() + "/" + std::string(name) + "/COMPLETE", "");
  }
  CHECK(store.list().empty());
}

TEST_CASE(
    "checkpoint store: a checkpoint whose files are missing is not sound, whatever COMPLETE says") {
  const TempFolder folder;
  const CheckpointStore store(folder.string(), {"step"});
  save(store, "step", 1, "good");
  for (const auto& file : checkpoint_files()) {
    CAPTURE(file);
    const std::string path = save(store, "step", 2, "two runs wrote here");
    std::string sums = read_file(path + "/COMPLETE");
    const std::size_t at = sums.find(file) - 10;  // behind the checksum
    sums.erase(at, sums.find('\n', at) + 1 - at);
    atomic_write(path + "/COMPLETE", sums);
    std::filesystem::remove(path + "/" + file);
    CHECK(CheckpointStore::verify(path).find("does not name " + file) != std::string::npos);
    CHECK(CheckpointStore::verify(path, {file}).find("does not name " + file) != std::string::npos);
    CHECK(store.latest([](const std::string&) {}).step == 1);
  }
}
