#include <hlip/cli/process_time.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("process time: goes forward, and laps add up to it") {
  const double first = seconds_since_start();
  CHECK(first >= 0);
  StartUpTimes times;
  times.lap("start");
  while (seconds_since_start() < first + 0.02) {}
  times.lap("model", true);
  const double all = seconds_since_start();
  CHECK(all >= first + 0.02);
  CHECK(times.without_forward() >= first);
  CHECK(times.without_forward() <= all - 0.01);  // the lap of the model is not in it
  const auto text = times.to_text();
  CHECK(text.find("start ") == 0);
  CHECK(text.find(", model ") != std::string::npos);
  CHECK(text.find("without the forward passes") != std::string::npos);
}
