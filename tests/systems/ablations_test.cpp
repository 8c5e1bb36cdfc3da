#include "../io/temp_folder.hpp"
#include "../support/errors.hpp"

#include <hlip/systems/rad_dino/ablation_results.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace hlip;

namespace {
std::string probe_csv(double tube, const std::string& hernia) {
  return fmt::format(
      "encoder,finding,auprc\nx,Tube,{}\nx,Emphysema,0.5\nx,Hiatal hernia,{}\nx,macro,0.9\n", tube,
      hernia);
}
void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  atomic_write(path, text);
}
bool has(const ProgramStep& step, const std::string& word) {
  return std::count(step.words.begin(), step.words.end(), word) > 0;
}
}  // namespace

TEST_CASE("rad_dino_ablation: what is expected, compared and made of others has a name") {
  for (const auto& name : ablation_names()) {
    CAPTURE(name);
    const Ablation a = rad_dino_ablation(name, {});
    std::set<std::string> encoders, variants;
    for (const auto& e : a.encoders) {
      CHECK((e.pretrained.empty() || encoders.contains(e.pretrained)));
      CHECK(encoders.insert(e.name).second);
    }
    for (const auto& v : a.variants) {
      CHECK(encoders.contains(v.encoder));
      CHECK(variants.insert(v.name).second);
    }
    CHECK(variants.contains(a.reference));
    CHECK(!a.expectations.empty());
    for (const auto& e : a.expectations) {
      CHECK(variants.contains(e.above));
      CHECK(variants.contains(e.below));
    }
  }
  CHECK(test::error_of([] { rad_dino_ablation("size", {}); }).find("is none of resolution") !=
        std::string::npos);
}

TEST_CASE("ablation_steps: each after those it reads, with what the variant says and no more") {
  const AblationRun run{"o", "bin", "o/phantom", 3, 2, 5};
  const auto steps = ablation_steps(rad_dino_ablation("initialisation", {}), {}, run);
  REQUIRE(steps.size() == 1 + 3 * (3 * 2 + 3));
  CHECK(steps[0].makes == "o/phantom/radiographs.csv");
  CHECK(steps[1].name == "seed_5/noise/pretrain");
  CHECK(!has(steps[1], "--pretrained"));
  CHECK(steps[1].more == std::vector<std::string>{"--resume", "latest", "--threads", "2"});
  CHECK(has(steps[3], "--shuffle-patches"));
  CHECK(steps[5].name == "seed_5/continued/pretrain");
  CHECK(has(steps[5], "o/seed_5/stage-1/run"));
  CHECK(steps.back().name == "seed_7/continued/probe");
  const auto few = ablation_steps(rad_dino_ablation("few-labels", {}), {}, run);
  CHECK(few.size() == 1 + 3 * (2 * 2 + 6 * 2));
  CHECK(has(few[5], "0.01"));
  CHECK(few[5].name == "seed_5/pre-trained_1_%/probe");
  CHECK(has(few[6], "--train-fraction"));
  CHECK(few[6].words[0] == "bin/segment_radiographs");
  const auto sizes = ablation_steps(rad_dino_ablation("data-size", {}), {}, run);
  CHECK(has(sizes[1], "o/phantom_750"));
  CHECK(has(sizes[5], "o/phantom"));
}

TEST_CASE("read_ablation: findings, means of those that all probes have, and structures") {
  TempFolder folder;
  Ablation a{"x", "X", "", "", {}, {{"a", "a"}, {"b", "b"}}, "a", {"lungs"}};
  a.numbers = {{{"AUPRC", "macro"}, {"AUPRC *"}},
               {{"AUPRC", "tube less emphysema"}, {"AUPRC Tube"}, {"AUPRC Emphysema"}}};
  const AblationRun run{folder.string(), "", "", 2, 0, 0};
  for (const char* variant : {"a", "b"})
    for (int s = 0; s < 2; ++s) {
      const std::string at = run.folder_of(static_cast<std::uint64_t>(s), variant);
      write(at + "/probe/probe.csv", probe_csv(0.1 + s, *variant == 'b' && s == 1 ? "" : "0.02"));
      write(at + "/masks/dice_summary.csv",
            "structure,class,dice,dice_present\nlungs,left,0.9,0.7\nlungs,,0.9,0.8\n");
    }
  const AblationResults found = read_ablation(a, run);
  CHECK(found.left_out == std::vector<std::string>{"Hiatal hernia"});
  const AblationTable& t = found.table;
  CHECK(t.values(0, t.metric("AUPRC macro"))[0] == doctest::Approx(0.3));
  CHECK(t.values(1, t.metric("AUPRC macro"))[1] == doctest::Approx(0.8));
  CHECK(t.values(0, t.metric("AUPRC tube less emphysema"))[1] == doctest::Approx(0.6));
  CHECK(t.values(0, t.metric("Dice lungs"))[0] == 0.8);
  CHECK(t.values(0, t.metric("AUPRC Hiatal hernia"))[0] == 0.02);
  CHECK(std::isnan(t.values(1, t.metric("AUPRC Hiatal hernia"))[1]));
  write(run.folder_of(1, "b") + "/masks/dice_summary.csv",
        "structure,class,dice_present\nribs,,0.1\n");
  CHECK(test::error_of([&] { read_ablation(a, run); }).find("has no line for \"lungs\"") !=
        std::string::npos);
  write(run.folder_of(1, "b") + "/masks/dice_summary.csv",
        "structure,class,dice_present\nlungs,,\n");  // which no tested picture has
  const AblationTable without = read_ablation(a, run).table;
  CHECK(std::isnan(without.values(1, without.metric("Dice lungs"))[1]));
  std::filesystem::remove(run.folder_of(1, "a") + "/probe/probe.csv");
  CHECK(test::error_of([&] {
          read_ablation(a, run);
        }).find("seed_1/a/probe/probe.csv: cannot open") != std::string::npos);
}
