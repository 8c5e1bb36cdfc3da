#include <hlip/cli/config_file.hpp>

#include <hlip/io/file.hpp>
#include <hlip/train/progress.hpp>

#include "../io/temp_folder.hpp"

#include <doctest/doctest.h>

using namespace hlip;

namespace {
int run(std::vector<const char*> words, std::string* seen = nullptr) {
  CLI::App app("a test", "tester");
  std::string name = "nobody";
  double rate = 0.5;
  std::int64_t steps = 1;
  std::uint64_t seed = 0;
  app.add_option("--name", name)->capture_default_str();
  app.add_option("--learning-rate", rate)->capture_default_str();
  app.add_option("--steps", steps);
  app.add_option("--seed", seed);
  add_config_option(app);
  words.insert(words.begin(), "tester");
  return run_program(app, static_cast<int>(words.size()), const_cast<char**>(words.data()),
                     [&]() -> int {
                       if (name == "bad") fail("tester", "a failed run");
                       if (seen) *seen = app.config_to_str(true);
                       return 0;
                     });
}
}  // namespace

TEST_CASE("command line: exit codes are 0 done, 1 failed, 2 wrong usage") {
  CHECK(run({}) == 0);
  CHECK(run({"--name", "bad"}) == 1);
  CHECK(run({"--nmae", "x"}) == 2);
  CHECK(run({"--learning-rate", "fast"}) == 2);
  CHECK(run({"--version"}) == 0);
}

TEST_CASE(
    "command line: a number is decimal, finite and in the range of its type, or it is refused") {
  std::string text;
  run({"--steps", "010", "--seed", "+18446744073709551615", "--learning-rate", "+.5e-3"}, &text);
  CHECK(text ==
        "name = \"nobody\"\nlearning-rate = \"+.5e-3\"\nsteps = \"10\"\nseed = "
        "\"18446744073709551615\"\n");
  for (const char* wrong : {"nan", "inf", "-inf", "1e999", "0x10", "1,5", "1 ", "", "+-1"}) {
    CAPTURE(wrong);
    CHECK(run({"--learning-rate", wrong}) == 2);
    CHECK(run({"--steps", wrong}) == 2);
    CHECK(run({"--seed", wrong}) == 2);
  }
  CHECK(run({"--steps", "9223372036854775808"}) == 2);
  CHECK(run({"--seed", "18446744073709551616"}) == 2);
  CHECK(run({"--seed", "-1"}) == 2);
  CHECK(run({"--steps", "-1"}) == 0);
}

TEST_CASE("command line: the configuration text holds given values and defaults") {
  std::string text;
  run({"--name", "somebody"}, &text);
  CHECK(text == "name = \"somebody\"\nlearning-rate = \"0.5\"\n");
}

TEST_CASE("command line: what the configuration text says is read back, whatever it holds") {
  const TempFolder folder;
  std::string all = "a # b \"quoted\" and 'quoted' [1, 2]\r\n";
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& value : {all, std::string(), std::string(" true "), std::string("0x1")}) {
    std::string written, read;
    REQUIRE(run({"--name", value.c_str(), "--steps", "3"}, &written) == 0);
    atomic_write(folder / "config.toml", written);
    CHECK(run({"--config", (folder / "config.toml").c_str()}, &read) == 0);
    CHECK(read == written);
  }
}

TEST_CASE("command line: options at their defaults are those that say nothing new") {
  CLI::App app("a test", "tester");
  std::vector<std::string> window{"-1150", "350"}, more{"1", "2"};
  std::string name = "nobody", other = "other", none;
  app.add_option("--window", window)->expected(2)->capture_default_str();
  app.add_option("--more", more)->expected(2)->capture_default_str();
  app.add_option("--name", name)->capture_default_str();
  app.add_option("--other", other)->capture_default_str();
  app.add_option("--none", none);
  app.parse("--window -1150 350 --more 1 3 --other x");
  CHECK(options_at_default(app) == std::vector<std::string>{"window", "name"});
}

TEST_CASE("command line: edit distance") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("--stesp", "--steps") == 1);  // neighbours exchanged
  CHECK(edit_distance("ca", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("command line: a suggestion is near what was given, or there is none") {
  const std::vector<std::string> names{"steps",      "text-steps", "lr", "lr-scheduler",
                                       "batch-size", "warmup",     "out"};
  CHECK(nearest_name("stesp", names) == "steps");
  CHECK(nearest_name("batch_size", names) == "batch-size");
  CHECK(nearest_name("batchsize", names) == "batch-size");
  CHECK(nearest_name("lr-sched", names) == "lr-scheduler");
  CHECK(nearest_name("warm", names) == "warmup");
  CHECK(nearest_name("output", names).empty());  // "out" is three letters away
  CHECK(nearest_name("zzzzzzz", names).empty());
  CHECK(nearest_name("x", names).empty());
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name("vit_base_multiscan_h3_token1167",
                     {"vit_base_multiscan_h2_token1176", "vit_base_multiscan_h3_token1176"}) ==
        "vit_base_multiscan_h3_token1176");
}

TEST_CASE("flat toml: every text comes back as it was written") {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& text :
       {std::string(), all, std::string("a # b"), std::string("\\"),
        std::string("\"quoted\" and 'quoted'"), std::string("[1, 2]"), std::string(" \r\n ")}) {
    const auto entries = parse_flat_toml("name = " + toml_string(text) + " # said\r\n", "x.toml");
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].name == "name");
    CHECK(entries[0].values == std::vector{text});
  }
}

TEST_CASE("flat toml: what people write is read") {
  const auto entries = parse_flat_toml(
      "# options\n\nlr=1e-5\n  epochs = 20 # as published\nsiglip = true\ninput-info = [ -1150, # "
      "low\n  '350',\n \"crop\", ]\nout = 'a\\b'\nnote = \"\\u00e9\\U0001F600\"",
      "x.toml");
  REQUIRE(entries.size() == 6);
  CHECK(entries[0].values == std::vector<std::string>{"1e-5"});
  CHECK(entries[1].values == std::vector<std::string>{"20"});
  CHECK(entries[1].line == 4);
  CHECK(entries[2].values == std::vector<std::string>{"true"});
  CHECK(entries[3].values == std::vector<std::string>{"-1150", "350", "crop"});
  CHECK(entries[4].values == std::vector<std::string>{"a\\b"});
  CHECK(entries[5].values == std::vector<std::string>{"\xc3\xa9\xf0\x9f\x98\x80"});
}

TEST_CASE("flat toml: anything else is refused with its line") {
  for (const char* text : {"[table]",
                           "a.b = 1",
                           "= 1",
                           "a",
                           "a =",
                           "a = b",
                           "a = 1 2",
                           "a = \"b",
                           "a = \"b\nc\"",
                           "a = \"\\q\"",
                           "a = \"\\ud800\"",
                           "a = \"\\u12\"",
                           "a = \"\\",
                           "a = [1",
                           "a = [1 2]",
                           "a = [[1]]",
                           "a = \"\"\"b\"\"\"",
                           "a = 1\na = 1",
                           "a = 1979-05-27",
                           "a = 1_000"}) {
    CAPTURE(text);
    try {
      parse_flat_toml(text, "x.toml");
      FAIL_CHECK("was read");
    } catch (const error& e) {
      CHECK(std::string(e.what()).starts_with("x.toml: line "));
    }
  }
  CHECK_THROWS_AS(parse_flat_toml(std::string("a = \"b\0c\"", 9), "x.toml"), error);
  CHECK_THROWS_AS(parse_flat_toml(std::string("a = 1\n\0b = 2", 12), "x.toml"), error);
}

TEST_CASE(
    "progress: off a terminal a line comes with every milestone, and when the last one is a while "
    "ago") {
  const ProgressLine fresh(std::chrono::seconds(3600)), late(std::chrono::seconds(0));
  if (fresh.terminal()) return;
  CHECK(fresh.wants(true));
  CHECK_FALSE(fresh.wants(false));
  CHECK(late.wants(false));
}
