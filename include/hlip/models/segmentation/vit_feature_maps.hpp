// Feature maps of a vision transformer: patch tokens of some of its blocks on their grid.
// Source: reference document RAD-DINO §9.
#pragma once

#include <hlip/models/segmentation/feature_maps.hpp>
#include <hlip/models/vit_outputs.hpp>

#include <algorithm>

HLIP_BEGIN

/// The last block of every quarter, counted from 1: 3, 6, 9, 12 of twelve. Of fewer than four
/// blocks some come twice.
HLIP_LAZY std::vector<index_t> quarter_blocks(index_t depth) {
  return {(depth + 3) / 4, (2 * depth + 3) / 4, (3 * depth + 3) / 4, depth};
}

/// Patch tokens after some blocks, each with the final norm.
/// @param images (N, in_chans, H, W)
/// @param blocks numbers from 1 on, rising, repeats allowed: see quarter_blocks
/// @return a map (N, C, H / patch, W / patch) for each of them
/// @throws hlip::error for a block that the model does not have, or that comes after a later one
template <class T, class B>
FeatureMaps<T, B> vit_feature_maps(const Vit<T, B>& vit, const Var<T, B>& images,
                                   const std::vector<index_t>& blocks) {
  const auto depth = static_cast<index_t>(vit.blocks.size());
  index_t least = 1;
  for (const index_t block : blocks) {
    expect(least <= block && block <= depth, vit.config.name,
           "a feature map of block {}, expected {} to {}", block, least, depth);
    least = block;
  }
  FeatureMaps<T, B> maps;
  vit.run_blocks(vit.embed({images}), {}, [&](std::size_t i, const VitTokens<T, B>& tokens) {
    const auto here = std::count(blocks.begin(), blocks.end(), static_cast<index_t>(i) + 1);
    if (here == 0) return;
    const VitGrid& g = tokens.grids[0];
    const Var<T, B> patches = features_of(vit.norm(tokens.x), g).patches,
                    grid = reshape(patches, {g.images, g.rows, g.columns, patches.dim(2)}),
                    map = permute(grid, {0, 3, 1, 2});
    maps.insert(maps.end(), static_cast<std::size_t>(here), map);
  });
  return maps;
}

HLIP_END
