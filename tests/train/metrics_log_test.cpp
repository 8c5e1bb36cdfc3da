#include <hlip/train/metrics_log.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("metrics log: a resumed run drops the rows it will write again and a line that was cut") {
  const TempFolder folder;
  const std::string path = folder / "metrics.csv", header(MetricsLog::header);
  {
    MetricsLog log(path, [](const std::string&, std::int64_t) { return false; });
    log.add("text_step,1,0.5,0,0,0,0,0,0\n");
    log.add("step,1,0.4,0,0,0,0,0,0\n");
    log.add("step,2,0.3,0,0,0,0,0,0\n");
    log.add("step,3,0.");  // killed in the middle of a line
  }
  MetricsLog log(path, [](const std::string& stage, std::int64_t step) { return stage == "text_step" || step <= 1; });
  log.add("step,2,0.3,0,0,0,0,0,0\n");
  CHECK(read_file(path) == header + "text_step,1,0.5,0,0,0,0,0,0\nstep,1,0.4,0,0,0,0,0,0\nstep,2,0.3,0,0,0,0,0,0\n");
}

TEST_CASE("metrics log: a file with another header is begun anew") {
  const TempFolder folder;
  const std::string path = folder.string() + "/metrics.csv";
  atomic_write(path, "something else\n1,2,3\n");
  MetricsLog log(path, [](const std::string&, std::int64_t) { return true; });
  CHECK(read_file(path) == MetricsLog::header);
}
