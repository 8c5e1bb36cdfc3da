#include <hlip/backend/cpu.hpp>

#include <hlip/models/configs.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("configurations: the published ones have their tokens, levels and scan tables") {
  struct Published {
    const char* name;
    index_t tokens, scans, context;
    std::vector<std::size_t> blocks_per_level;
    index_t outputs = 1, width = 768, shared = 512;
  };
  const std::vector<Published> all = {
      {"vit_base_singlescan_h2_token2744", 2744, 1, 512, {8, 0, 4}},
      {"vit_base_multiscan_h2_token588", 588, 40, 256, {0, 8, 4}},
      {"vit_base_multiscan_h2_token1176", 1176, 40, 256, {0, 8, 4}},
      {"vit_base_multiscan_h3_token1176", 1176, 40, 256, {4, 4, 4}},
      {"vit_base_slice_scan_token2744", 2744, 1, 512, {8, 4, 0}},
      {"vit_base_slice_scan_dualdinotxt2744", 2744, 1, 512, {8, 4, 0}, 2},
      {"vit_base_scan_study_token1176", 1176, 40, 256, {0, 8, 4}},
      {"vit_base_scan_study_dualdinotxt1568", 1568, 0, 256, {0, 8, 4}, 2},
      {"vit_large_scan_study_dualdinotxt1568", 1568, 0, 256, {0, 20, 4}, 2, 1024, 768}};
  for (const auto& p : all) {
    CAPTURE(p.name);
    const ClipConfig c = clip_config(p.name);
    CHECK(c.name == p.name);
    CHECK(c.vision.grid().numel() == p.tokens);
    CHECK(c.vision.max_num_scans == p.scans);
    CHECK(c.context_length == p.context);
    CHECK(c.embed_dim == p.shared);
    CHECK(c.vision.name == p.name);
    CHECK(c.vision.outputs() == p.outputs);
    CHECK(c.dual_text == (p.outputs == 2));
    CHECK(c.vision.drop_path == 0.2);
    CHECK(c.vision.embed_dim == p.width);
    std::vector<std::size_t> counts;
    for (const auto& list : c.vision.blocks_of_level) counts.push_back(list.size());
    CHECK(counts == p.blocks_per_level);
    const auto levels = c.vision.levels();
    REQUIRE(static_cast<index_t>(levels.size()) == c.vision.depth);
    const int highest = p.blocks_per_level[2] > 0 ? 3 : 2;
    const std::size_t period = levels.size() / 4;
    for (std::size_t block = 0; block < levels.size(); ++block)
      CHECK((levels[block] == highest) == (block % period == period - 1));
  }
}

TEST_CASE("configurations: every known name is valid, and an unknown one lists them") {
  for (const auto& name : clip_config_names()) CHECK_NOTHROW(clip_config(name).vision.levels());
  std::string message;
  try {
    clip_config("vit_huge");
  } catch (const error& e) {
    message = e.what();
  }
  CHECK(message.find("model: 'vit_huge' is not a known configuration, expected one of "
                     "vit_base_singlescan_h2_token2744, ") == 0);
}

TEST_CASE("configurations: a limited model has the same blocks, none above the level") {
  for (const char* name : {"vit_base_multiscan_h3_token1176", "brain_phantom"}) {
    HlipVitConfig v = clip_config(name).vision;
    const auto before = v.levels();
    limit_levels(v, 2);
    const auto after = v.levels();
    for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == std::min(before[i], 2));
    limit_levels(v, 1);
    for (const int level : v.levels()) CHECK(level == 1);
    CHECK_THROWS_AS(limit_levels(v, 0), error);
  }
}
