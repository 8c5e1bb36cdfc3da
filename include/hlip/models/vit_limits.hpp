// How large an encoder of pictures may be: sizes that come from files are held to these before
// memory is taken for them.
#pragma once

#include <hlip/models/vit.hpp>

#include <string>

HLIP_BEGIN

/// Throws unless the sizes are within reason: ten times those of the largest published encoder.
/// @param path of the file they come from  @throws hlip::error naming file and size
HLIP_LAZY void expect_vit_sizes(const VitConfig& c, const std::string& path) {
  const auto within = [&](const char* key, index_t value, index_t low, index_t high) {
    if (value < low || value > high)
      fail_file(path, key, "is {}, expected {} to {}", value, low, high);
  };
  within("patch_size", c.patch_size, 1, 1024);
  within("img_size", c.img_size, 1, 16384);
  within("in_chans", c.in_chans, 1, 1024);
  within("embed_dim", c.embed_dim, 1, 16384);
  within("depth", c.depth, 1, 1024);
  within("num_heads", c.num_heads, 1, 1024);
  within("reg_tokens", c.reg_tokens, 0, 1024);
  if (!(c.mlp_ratio > 0 && c.mlp_ratio <= 64))
    fail_file(path, "mlp_ratio", "is {}, expected a number above 0, at most 64", c.mlp_ratio);
  if (c.img_size % c.patch_size != 0)
    fail_file(path, "img_size", "is {}, expected a multiple of patch_size {}", c.img_size,
              c.patch_size);
  if (c.embed_dim % c.num_heads != 0)
    fail_file(path, "num_heads", "is {}, into which embed_dim {} does not divide", c.num_heads,
              c.embed_dim);
}

/// How many numbers the parameters of an encoder are. @param c as expect_vit_sizes lets pass
HLIP_LAZY index_t vit_parameter_count(const VitConfig& c) {
  const index_t dim = c.embed_dim, side = c.img_size / c.patch_size,
                hidden = static_cast<index_t>(static_cast<double>(dim) * c.mlp_ratio),
                gated = SwiGlu<>::hidden_like(hidden);
  const index_t mlp = c.ffn == FeedForward::mlp ? hidden * (2 * dim + 1) + dim
                                                : gated * (3 * dim + 2) + dim;
  const index_t scales = c.layer_scale != 0 ? 2 * dim : 0;
  const index_t block = 4 * dim + 3 * dim * (dim + 1) + dim * (dim + 1) + mlp + scales;
  const index_t prefix = c.prefix_tokens() + (c.mask_token ? 1 : 0);
  return c.depth * block + dim * (prefix + 1 + side * side) + 2 * dim +
         dim * (c.in_chans * c.patch_size * c.patch_size + 1);
}

HLIP_END
