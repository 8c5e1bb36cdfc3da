// Model configurations from the JSON of a fixture, each size confirmed by the weights beside it.
#pragma once

#include "fixture.hpp"

namespace golden {

/// @param prefix of the trunk's weights in the file, "param." or "param.visual.trunk."
inline HlipVitConfig vit_config(const Fixture& f, const Json& j, const std::string& prefix) {
  HlipVitConfig c;
  c.name = "trunk";
  c.img_size = shape_of(entry(j, "img_size"), "img_size", 3);
  c.patch_size = shape_of(entry(j, "patch_size"), "patch_size", 3);
  c.embed_dim = size_at(j, "embed_dim");
  c.depth = size_at(j, "depth");
  c.num_heads = size_at(j, "num_heads");
  c.mlp_ratio = mlp_ratio_of(j);
  c.reg_tokens = size_at_or(j, "reg_tokens", 0, 0);
  c.max_num_scans = std::max<index_t>(1, size_at_or(j, "max_num_scans", 1, 0));
  for (const char* level : {"slice", "scan", "study"}) {
    c.blocks_of_level.emplace_back();
    if (!j.contains(level) || j[level].is_null()) continue;
    for (const auto& block : list_of(j[level], level))
      c.blocks_of_level.back().push_back(
          static_cast<int>(std::min<index_t>(size_of(block, level, 0), c.depth)));
  }
  const index_t dim = c.embed_dim,
                hidden = static_cast<index_t>(static_cast<double>(dim) * c.mlp_ratio);
  const Shape grid = c.grid(), &patch = c.patch_size;
  const Shape filter = f.shape(prefix + "patch_embed.proj.weight");
  c.in_chans = filter.rank() == 5 ? filter[1] : 1;
  f.require(prefix + "cls_token", {1, 1, dim});
  if (c.reg_tokens > 0) f.require(prefix + "reg_token", {1, c.reg_tokens, dim});
  f.require(prefix + "patch_embed.proj.weight", {dim, c.in_chans, patch[0], patch[1], patch[2]});
  f.require(prefix + "spatial_posemb", {1, grid[0], grid[1], grid[2], dim});
  if (c.max_num_scans > 1) f.require(prefix + "sequential_posemb", {1, c.max_num_scans, dim});
  for (index_t i = 0; i < c.depth; ++i)
    f.require(fmt::format("{}blocks.{}.mlp.fc1.weight", prefix, i), {hidden, dim});
  return c;
}

/// @param prefix of the transformer's weights in the file
inline BertConfig bert_config(const Fixture& f, const Json& j, const std::string& prefix) {
  BertConfig c;
  c.vocab_size = size_at(j, "vocab");
  c.hidden_size = size_at(j, "hidden");
  c.num_layers = size_at(j, "layers");
  c.num_heads = size_at(j, "heads");
  c.intermediate_size = size_at(j, "inter");
  c.max_positions = size_at(j, "max_pos");
  c.dropout = 0;
  const std::string types = prefix + "embeddings.token_type_embeddings.weight";
  c.type_vocab_size = f.shape(types).rank() == 2 ? f.shape(types)[0] : 2;
  f.require(types, {c.type_vocab_size, c.hidden_size});
  f.require(prefix + "embeddings.word_embeddings.weight", {c.vocab_size, c.hidden_size});
  f.require(prefix + "embeddings.position_embeddings.weight", {c.max_positions, c.hidden_size});
  for (index_t i = 0; i < c.num_layers; ++i)
    f.require(fmt::format("{}encoder.layer.{}.intermediate.dense.weight", prefix, i),
              {c.intermediate_size, c.hidden_size});
  return c;
}

/// Row `i` of an (n, N) table of scan positions; empty when the file has none.
inline std::vector<index_t> scan_positions(const Fixture& f, index_t i) {
  const std::string name = "input.scan_perm";
  if (!f.contains(name)) return {};
  const auto all = f.integers(name);
  const Shape shape = f.shape(name);
  const index_t rows = shape.rank() == 1 ? 1 : shape[0],
                width = shape.rank() == 0 ? 0 : shape.back();
  if (shape.rank() < 1 || shape.rank() > 2 || i >= rows)
    fail_file(f.path(), name, "is {}, forward pass {} has no row in it", to_string(shape), i);
  return {all.begin() + i * width, all.begin() + (i + 1) * width};
}

}  // namespace golden
