#include <hlip/backend/cpu.hpp>
#include <hlip/models/config_json.hpp>

#include "../support/errors.hpp"

#include <doctest/doctest.h>

using namespace hlip;
using test::error_of;

TEST_CASE("config json: every named configuration survives writing and reading") {
  for (const auto& name : clip_config_names()) {
    const ClipConfig c = clip_config(name);
    const Json written = to_json(c);
    CHECK(to_json(clip_config_from_json(parse_json(written.dump(), "test"), "test")) == written);
    CHECK(written["vision"]["img_size"].size() == 3);
  }
}

TEST_CASE("config json: entries left out keep the values of the named configuration") {
  const auto c = clip_config_from_json(
      parse_json(
          R"({"name": "phantom", "vision": {"depth": 2, "blocks_of_level": [[0], [], [1]]}})",
          "test"),
      "test");
  CHECK(c.vision.depth == 2);
  CHECK(c.vision.embed_dim == 96);
  CHECK(c.text_pooling == TextPooling::mean);
}

TEST_CASE("config json: a published CLIP file gives the configuration of its trunk") {
  const auto c = clip_config_from_json(
      parse_json(R"({"embed_dim": 512,)"
                 R"( "vision_cfg": {"timm_model_name": "vit_base_multiscan_h3_token1176"},)"
                 R"( "text_cfg": {}})",
                 "test"),
      "test");
  CHECK(c.vision.max_num_scans == 40);
  CHECK(c.vision.blocks_of_level[0] == std::vector<int>{0, 3, 6, 9});
}

TEST_CASE("config json: the variants of an encoder are entries like the others") {
  const char* text =
      R"({"name": "phantom", "dual_text": true, "vision": {"reg_tokens": 1,)"
      R"( "pooling": "token_and_mean", "max_num_scans": 0, "blocks_of_level": [[0, 2], [1, 3],)"
      R"( []]}})";
  const auto c = clip_config_from_json(parse_json(text, "test"), "test");
  CHECK(c.dual_text);
  CHECK(c.vision.pooling == VisualPooling::token_and_mean);
  CHECK(c.vision.outputs() == 2);
  CHECK(c.vision.max_num_scans == 0);
  const Json written = to_json(c);
  CHECK(written["vision"]["pooling"] == "token_and_mean");
  CHECK(to_json(clip_config_from_json(parse_json(written.dump(), "test"), "test")) == written);
  CHECK(to_json(clip_config("phantom"))["vision"]["pooling"] == "token");
}

TEST_CASE("config json: unknown and unfit entries are named") {
  const auto read = [](const char* text) {
    return error_of([&] { clip_config_from_json(parse_json(text, "m.json"), "m.json"); });
  };
  CHECK(read(R"({"embed_dims": 3})") == "m.json: embed_dims: is not a known entry");
  CHECK(read(R"({"vision": {"depth": "deep"}})") ==
        "m.json: vision: depth: is \"deep\", which does not fit");
  CHECK(read(R"({"vision": {"depth": 12.5}})") ==
        "m.json: vision: depth: is 12.5, expected a whole number");
  CHECK(read(R"({"vision": {"img_size": [1, 2]}})") ==
        "m.json: vision: img_size: has 2 numbers, expected 3");
  CHECK(read(R"({"text_pooling": "max"})") == "text_pooling: is max, expected cls or mean");
  CHECK(read(R"({"vision": {"pooling": "max"}})") ==
        "pooling: is max, expected token or token_and_mean");
  CHECK(read("[]") == "m.json: is array, expected an object");
}
