// The published configurations by name, and the small ones of the phantom demos.
// Source: reference document HLIP §1.1; reference document phantom §3.
#pragma once

#include <hlip/models/clip.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Names clip_config understands: the published ones, those of later versions, and those of the
/// demos.
HLIP_LAZY std::vector<std::string> clip_config_names() {
  return {"vit_base_singlescan_h2_token2744",
          "vit_base_multiscan_h2_token588",
          "vit_base_multiscan_h2_token1176",
          "vit_base_multiscan_h3_token1176",
          "vit_base_slice_scan_token2744",
          "vit_base_slice_scan_dualdinotxt2744",
          "vit_base_scan_study_token1176",
          "vit_base_scan_study_dualdinotxt1568",
          "vit_large_scan_study_dualdinotxt1568",
          "phantom",
          "brain_phantom"};
}

/// Those names as a text: "a, b, c".
HLIP_LAZY std::string clip_config_list() {
  std::string list;
  for (const auto& name : clip_config_names()) list += (list.empty() ? "" : ", ") + name;
  return list;
}

/// The variant with two text targets: a register token beside the class token, each an output
/// together with the mean of the patch tokens. Source: reference document HLIP §1.11.
HLIP_LAZY void with_dual_text(ClipConfig& c) {
  c.dual_text = true;
  c.vision.reg_tokens = 1;
  c.vision.pooling = VisualPooling::token_and_mean;
}

/// A configuration by name. @throws on an unknown name, listing the known ones
HLIP_LAZY ClipConfig clip_config(std::string_view name) {
  // One function: a table of models, each as it differs from those before it.
  ClipConfig c;
  c.name = c.vision.name = std::string(name);
  HlipVitConfig& v = c.vision;
  v.drop_path = 0.2;
  const std::vector<int> every_third{2, 5, 8, 11};
  if (name == "vit_base_singlescan_h2_token2744") {
    v.img_size = {112, 336, 336}, v.patch_size = {8, 24, 24};
    v.blocks_of_level = {{0, 1, 3, 4, 6, 7, 9, 10}, {}, every_third};
    return c;
  }
  // ends at the scan
  if (name == "vit_base_slice_scan_token2744" || name == "vit_base_slice_scan_dualdinotxt2744") {
    c = clip_config("vit_base_singlescan_h2_token2744");
    c.name = c.vision.name = std::string(name);
    std::swap(v.blocks_of_level[1], v.blocks_of_level[2]);
    if (name == "vit_base_slice_scan_dualdinotxt2744") with_dual_text(c);
    return c;
  }
  c.context_length = 256;
  v.img_size = {48, 224, 224}, v.patch_size = {8, 16, 16};
  v.max_num_scans = 40;
  v.blocks_of_level = {{}, {0, 1, 3, 4, 6, 7, 9, 10}, every_third};
  if (name == "vit_base_multiscan_h2_token1176" || name == "vit_base_scan_study_token1176")
    return c;
  if (name == "vit_base_scan_study_dualdinotxt1568" ||
      name == "vit_large_scan_study_dualdinotxt1568") {
    v.patch_size = {6, 16, 16};
    v.max_num_scans = 0;
    with_dual_text(c);
    if (name == "vit_base_scan_study_dualdinotxt1568") return c;
    c.embed_dim = 768;
    v.embed_dim = 1024, v.depth = 24, v.num_heads = 16;
    v.blocks_of_level = {{}, {}, {}};
    for (int block = 0; block < 24; ++block)
      (block % 6 == 5 ? v.blocks_of_level[2] : v.blocks_of_level[1]).push_back(block);
    return c;
  }
  if (name == "vit_base_multiscan_h2_token588") {
    v.patch_size = {16, 16, 16};
    return c;
  }
  if (name == "vit_base_multiscan_h3_token1176") {
    v.blocks_of_level = {{0, 3, 6, 9}, {1, 4, 7, 10}, every_third};
    return c;
  }
  if (name == "phantom") {
    c.embed_dim = 96, c.context_length = 128, c.text_pooling = TextPooling::mean;
    v = HlipVitConfig{};
    v.name = "phantom";
    v.img_size = {32, 48, 64}, v.patch_size = {8, 12, 16};
    v.embed_dim = 96, v.depth = 4, v.num_heads = 3, v.init_std = 0.08;
    v.blocks_of_level = {{0, 2}, {}, {1, 3}};
    c.text = {.vocab_size = 512,
              .hidden_size = 96,
              .num_layers = 1,
              .num_heads = 3,
              .intermediate_size = 384,
              .max_positions = 128,
              .dropout = 0.0,
              .init_std = 0.1};
    return c;
  }
  if (name == "brain_phantom") {
    c = clip_config("phantom");
    c.name = c.vision.name = "brain_phantom";
    v.img_size = {12, 32, 32}, v.patch_size = {4, 8, 8};
    v.depth = 6;
    v.max_num_scans = 4;
    v.blocks_of_level = {{0, 3}, {1, 4}, {2, 5}};
    return c;
  }
  fail("model", "'{}' is not a known configuration, expected one of {}", name, clip_config_list());
}

/// A line about each of them, for people: what it is made for, its size, what blocks attend within.
HLIP_LAZY std::string clip_config_table() {
  std::string table;
  for (const auto& name : clip_config_names()) {
    const ClipConfig c = clip_config(name);
    const HlipVitConfig& v = c.vision;
    const bool small = name == "phantom" || name == "brain_phantom";
    std::string levels;
    for (std::size_t l = 0; l < v.blocks_of_level.size(); ++l)
      if (!v.blocks_of_level[l].empty())
        levels += (levels.empty() ? "" : ", ") +
                  std::string(std::array{"slice", "scan", "study"}[l]);
    table += fmt::format("  {:<38}{:<22} {} x {} x {} voxels, {} blocks of width {}, within {}{}\n",
                         name,
                         small                  ? "generated studies,"
                         : v.img_size[0] == 112 ? "chest CT,"
                                                : "studies of scans,",
                         v.img_size[0], v.img_size[1], v.img_size[2], v.depth, v.embed_dim, levels,
                         c.dual_text ? "; two outputs" : "");
  }
  return table;
}

/// Takes away the levels above `highest` (1: slice, 2: scan, 3: study): their blocks attend at
/// `highest` instead. The encoder then joins what it found by averaging class tokens, as it does
/// after any last block below the study.
HLIP_LAZY void limit_levels(HlipVitConfig& v, int highest) {
  if (highest < 1) fail("limit_levels", "level {}, expected at least 1", highest);
  const auto keep = static_cast<std::size_t>(highest);
  for (std::size_t l = keep; l < v.blocks_of_level.size(); ++l) {
    auto& target = v.blocks_of_level[keep - 1];
    target.insert(target.end(), v.blocks_of_level[l].begin(), v.blocks_of_level[l].end());
    std::sort(target.begin(), target.end());
    v.blocks_of_level[l].clear();
  }
}

HLIP_END
