// What is taken from a vision transformer of pictures: normed class and patch tokens, the outputs
// of several blocks, the attention of a block. Source: reference document RAD-DINO §2, §9.
#pragma once

#include <hlip/models/vit.hpp>
#include <hlip/nn/attention_probabilities.hpp>

HLIP_BEGIN

/// Tokens of the pictures of one size.
template <class T, class B> struct VitFeatures {
  Var<T, B> cls;      ///< (N, C)
  Var<T, B> patches;  ///< (N, h·w, C), row by row of the grid
};

/// The tokens of one input, cut out of the packed rows. @param x (rows, C)
template <class T, class B> VitFeatures<T, B> features_of(const Var<T, B>& x, const VitGrid& g) {
  const index_t c = x.dim(-1);
  const Var<T, B> all = reshape(slice(x, 0, g.begin, g.begin + g.images * g.tokens()),
                                {g.images, g.tokens(), c});
  return {select(all, 1, 0), slice(all, 1, g.prefix, g.tokens())};
}

/// Class and patch tokens after the last block and the final norm.
/// @param images (N, in_chans, H, W)
template <class T, class B>
VitFeatures<T, B> vit_features(const Vit<T, B>& vit, const Var<T, B>& images,
                               const Context& context = {}) {
  const VitTokens<T, B> tokens = vit({images}, context);
  return features_of(vit.norm(tokens.x), tokens.grids[0]);
}

/// The same after each of the last n blocks, every one with the final norm, first to last.
/// @throws hlip::error unless the model has n blocks
template <class T, class B>
std::vector<VitFeatures<T, B>> vit_intermediate(const Vit<T, B>& vit, const Var<T, B>& images,
                                                index_t n) {
  const auto depth = static_cast<index_t>(vit.blocks.size());
  expect(1 <= n && n <= depth, vit.config.name, "{} last blocks of {}", n, depth);
  std::vector<VitFeatures<T, B>> features;
  vit.run_blocks(vit.embed({images}), {}, [&](std::size_t i, const VitTokens<T, B>& tokens) {
    if (static_cast<index_t>(i) >= depth - n)
      features.push_back(features_of(vit.norm(tokens.x), tokens.grids[0]));
  });
  return features;
}

/// Attention probabilities of the last block: row 0 of a head is what the class token looks at.
/// @param images (N, in_chans, H, W)  @return (N, heads, tokens, tokens), prefix tokens first
template <class T, class B>
Tensor<T, B> vit_last_attention(const Vit<T, B>& vit, const Var<T, B>& images) {
  NoGrad guard;
  VitTokens<T, B> before = vit.embed({images});
  vit.run_blocks(before, {}, [&](std::size_t i, const VitTokens<T, B>& tokens) {
    if (i + 2 == vit.blocks.size()) before = tokens;
  });
  const VitGrid& g = before.grids[0];
  const Block<1, T, B>& last = vit.blocks.back();
  return attention_probabilities(reshape(last.attn.qkv(last.norm1(before.x)),
                                         {g.images, g.tokens(), 3 * vit.config.embed_dim}),
                                 last.attn.num_heads)
      .value();
}

HLIP_END
