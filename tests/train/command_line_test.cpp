#include <hlip/train/command_line.hpp>

#include <doctest/doctest.h>

using namespace hlip;

namespace {
int run(std::vector<const char*> words, std::string* seen = nullptr) {
  CLI::App app("a test", "tester");
  std::string name = "nobody";
  double rate = 0.5;
  app.add_option("--name", name)->capture_default_str();
  app.add_option("--learning-rate", rate)->capture_default_str();
  words.insert(words.begin(), "tester");
  return run_program(app, static_cast<int>(words.size()), const_cast<char**>(words.data()), [&]() -> int {
    if (name == "bad") fail("tester", "a failed run");
    if (seen) *seen = config_text(app);
    return 0;
  });
}
}  // namespace

TEST_CASE("command line: exit codes are 0 done, 1 failed, 2 wrong usage") {
  CHECK(run({}) == 0);
  CHECK(run({"--name", "bad"}) == 1);
  CHECK(run({"--nmae", "x"}) == 2);
  CHECK(run({"--learning-rate", "fast"}) == 2);
}

TEST_CASE("command line: the configuration text holds given values and defaults") {
  std::string text;
  run({"--name", "somebody"}, &text);
  CHECK(text == "name = \"somebody\"\nlearning-rate = \"0.5\"\n");
}

TEST_CASE("command line: edit distance") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("--stesp", "--steps") == 1);  // neighbours exchanged
  CHECK(edit_distance("ca", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("command line: a suggestion is near what was given, or there is none") {
  const std::vector<std::string> names{"steps", "text-steps", "lr", "lr-scheduler", "batch-size", "warmup", "out"};
  CHECK(nearest_name("stesp", names) == "steps");
  CHECK(nearest_name("batch_size", names) == "batch-size");
  CHECK(nearest_name("batchsize", names) == "batch-size");
  CHECK(nearest_name("lr-sched", names) == "lr-scheduler");
  CHECK(nearest_name("warm", names) == "warmup");
  CHECK(nearest_name("output", names).empty());  // "out" is three letters away
  CHECK(nearest_name("zzzzzzz", names).empty());
  CHECK(nearest_name("x", names).empty());
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name("vit_base_multiscan_h3_token1167", {"vit_base_multiscan_h2_token1176", "vit_base_multiscan_h3_token1176"}) == "vit_base_multiscan_h3_token1176");
}
