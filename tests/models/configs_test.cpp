#include <hlip/backend/cpu.hpp>

#include <hlip/models/configs.hpp>

#include <doctest/doctest.h>

using namespace hlip;

TEST_CASE("configurations: the published ones have their tokens, levels and scan tables") {
  struct Published {
    const char* name;
    index_t tokens, scans, context;
    std::vector<std::size_t> blocks_per_level;
  };
  const std::vector<Published> all = {{"vit_base_singlescan_h2_token2744", 2744, 1, 512, {8, 0, 4}},
                                      {"vit_base_multiscan_h2_token588", 588, 40, 256, {0, 8, 4}},
                                      {"vit_base_multiscan_h2_token1176", 1176, 40, 256, {0, 8, 4}},
                                      {"vit_base_multiscan_h3_token1176", 1176, 40, 256, {4, 4, 4}}};
  for (const auto& p : all) {
    CAPTURE(p.name);
    const ClipConfig c = clip_config(p.name);
    CHECK(c.name == p.name);
    CHECK(c.vision.grid().numel() == p.tokens);
    CHECK(c.vision.max_num_scans == p.scans);
    CHECK(c.context_length == p.context);
    CHECK(c.embed_dim == 512);
    CHECK(c.vision.drop_path == 0.2);
    CHECK(c.vision.embed_dim == 768);
    std::vector<std::size_t> counts;
    for (const auto& list : c.vision.blocks_of_level) counts.push_back(list.size());
    CHECK(counts == p.blocks_per_level);
    const auto levels = c.vision.levels();
    REQUIRE(levels.size() == 12);
    for (int block : {2, 5, 8, 11}) CHECK(levels[static_cast<std::size_t>(block)] == 3);
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
  CHECK(message.find("model: 'vit_huge' is not a known configuration, expected one of vit_base_singlescan_h2_token2744, ") == 0);
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
