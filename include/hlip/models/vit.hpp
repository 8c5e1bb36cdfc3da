// The vision transformer of pictures: class, register and patch tokens, learned positions, pictures
// of several sizes in one pass. Parameters are named as DINOv2's.
// Source: Dosovitskiy et al. 2021; Oquab et al. 2023 (DINOv2); reference document RAD-DINO §2.
#pragma once

#include <hlip/autograd/checkpoint.hpp>
#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/nn/block.hpp>
#include <hlip/nn/grid_positions.hpp>
#include <hlip/nn/patch_embed.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

struct VitConfig {
  std::string name = "custom";
  index_t img_size = 518;  ///< pixels of the square that the position table is made for
  index_t patch_size = 14;
  index_t in_chans = 3;
  index_t embed_dim = 768, depth = 12, num_heads = 12;
  double mlp_ratio = 4.0;
  FeedForward ffn = FeedForward::mlp;
  index_t reg_tokens = 0;    ///< register tokens behind the class token; they have no position
  double layer_scale = 1.0;  ///< initial value of LayerScale, 0: none
  bool mask_token = true;    ///< whether patches can be masked
  double init_std = 0.02;    ///< of the linear layers
  GridPositionOptions positions;
  double drop_path = 0;  ///< rate of stochastic depth, the same for every block
  DropPath drop_path_form = DropPath::by_subset;
  bool grad_checkpointing = false;

  index_t prefix_tokens() const { return 1 + reg_tokens; }
};

/// Pictures of one size.
template <class T, class B> struct VitInput {
  Var<T, B> images;               ///< (N, in_chans, H, W)
  Tensor<std::uint8_t, B> masks;  ///< (N, h·w), 1 hides a patch; empty for none

  VitInput() = default;
  VitInput(const Var<T, B>& pictures) : images(pictures) {}
};

/// What became of the pictures of one size: rows of the packed tokens.
struct VitGrid {
  index_t images = 0, rows = 0, columns = 0;  ///< pictures, and patches of each
  index_t prefix = 1;                         ///< class and register tokens of each
  index_t begin = 0;                          ///< first row

  index_t patches() const { return rows * columns; }
  index_t tokens() const { return prefix + patches(); }
  /// Row of the class token of picture n, and of its patch number p.
  index_t cls(index_t n) const { return begin + n * tokens(); }
  index_t patch(index_t n, index_t p) const { return cls(n) + prefix + p; }
};

/// All tokens of a pass, packed, before the final norm.
template <class T, class B> struct VitTokens {
  Var<T, B> x;                 ///< (rows, C)
  std::vector<VitGrid> grids;  ///< one for each input, in their order

  TokenLayouts layouts() const {
    std::vector<TokenLayout> list;
    for (const VitGrid& g : grids)
      list.push_back(TokenLayout::plain(g.images, g.tokens(), g.begin));
    return TokenLayouts(std::move(list));
  }
};

/// The encoder.
template <class T = float, class B = Cpu> struct Vit {
  using value_type = T;
  using backend = B;
  VitConfig config;
  Var<T, B> cls_token;        ///< (1, 1, C)
  Var<T, B> pos_embed;        ///< (1, 1 + M², C): the class token's position first
  Var<T, B> register_tokens;  ///< (1, R, C), or empty
  Var<T, B> mask_token;       ///< (1, C), or empty
  PatchEmbed2D<T, B> patch_embed;
  std::vector<Block<1, T, B>> blocks;
  LayerNorm<T, B> norm;

  Vit() = default;
  Vit(const VitConfig& c, Initializer& init) : config(c) {
    expect(c.patch_size >= 1 && c.img_size >= c.patch_size && c.img_size % c.patch_size == 0,
           c.name, "img_size {} is not a multiple of patch_size {}", c.img_size, c.patch_size);
    expect(c.in_chans >= 1 && c.embed_dim >= 1 && c.depth >= 1 && c.reg_tokens >= 0, c.name,
           "in_chans {}, embed_dim {}, depth {}, reg_tokens {}, expected at least 1, 1, 1, 0",
           c.in_chans, c.embed_dim, c.depth, c.reg_tokens);
    const index_t dim = c.embed_dim, side = c.img_size / c.patch_size;
    cls_token = init.normal<T, B>({1, 1, dim}, 1e-6);
    pos_embed = init.normal<T, B>({1, 1 + side * side, dim}, 0.02);
    if (c.reg_tokens > 0) register_tokens = init.normal<T, B>({1, c.reg_tokens, dim}, 1e-6);
    if (c.mask_token) mask_token = Initializer::constant<T, B>({1, dim}, 0);
    patch_embed = PatchEmbed2D<T, B>(c.in_chans, dim, c.patch_size, init);
    BlockOptions options;
    options.mlp_ratio = c.mlp_ratio;
    options.ffn = c.ffn;
    options.layer_scale = c.layer_scale;
    options.init_std = c.init_std;
    options.drop_path = c.drop_path;
    options.drop_path_form = c.drop_path_form;
    for (index_t i = 0; i < c.depth; ++i) blocks.emplace_back(dim, c.num_heads, options, init);
    norm = LayerNorm<T, B>(dim, 1e-6);
  }
  template <class V> void visit(V&& v) {
    v("cls_token", cls_token);
    v("pos_embed", pos_embed);
    v("register_tokens", register_tokens);
    v("mask_token", mask_token);
    v("patch_embed", patch_embed);
    v("blocks", blocks);
    v("norm", norm);
  }

  /// Tokens with positions, before the first block.
  VitTokens<T, B> embed(const std::vector<VitInput<T, B>>& inputs) const {
    expect(!inputs.empty(), config.name, "no pictures");
    VitTokens<T, B> tokens;
    std::vector<Var<T, B>> parts;
    for (const auto& input : inputs) {
      parts.push_back(embed_one(input.images, input.masks, tokens.grids));
    }
    tokens.x = parts.size() == 1 ? parts[0] : concat(parts, 0);
    return tokens;
  }

  /// Runs all blocks. @param visit called as visit(index, tokens) after every block
  template <class Visit>
  VitTokens<T, B> run_blocks(VitTokens<T, B> tokens, const Context& context, Visit visit) const {
    PackedTokens<T, B> packed{tokens.x, tokens.layouts()};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string name = "blocks." + std::to_string(i);
      ModuleScope at(name);
      packed.x = run_block(blocks[i], packed, context.child(static_cast<std::uint32_t>(i)));
      tokens.x = packed.x;
      visit(i, static_cast<const VitTokens<T, B>&>(tokens));
    }
    return tokens;
  }

  /// All tokens after the last block, before the final norm: whoever needs only some rows picks
  /// them first and norms those, see `norm`.
  /// @throws hlip::error for pictures smaller than a patch or with other channels, and for masks of
  /// a model without mask token
  VitTokens<T, B> operator()(const std::vector<VitInput<T, B>>& inputs,
                             const Context& context = {}) const {
    return run_blocks(embed(inputs), context, [](std::size_t, const VitTokens<T, B>&) {});
  }

  /// Patches, masked where wanted, with class and register tokens in front and positions added.
  /// @param images (N, in_chans, H, W)  @param masks (N, h·w), or empty
  /// @param grids gets the entry of these pictures  @return (N·(P + h·w), C)
  Var<T, B> embed_one(const Var<T, B>& images, const Tensor<std::uint8_t, B>& masks,
                      std::vector<VitGrid>& grids) const {
    expect_shape(config.name, "images", images.shape(),
                 {{"N"}, {"in_chans", config.in_chans}, {"H"}, {"W"}});
    VitGrid grid;
    grid.images = images.dim(0), grid.rows = images.dim(2) / config.patch_size,
    grid.columns = images.dim(3) / config.patch_size, grid.prefix = config.prefix_tokens();
    grid.begin = grids.empty() ? 0
                               : grids.back().begin + grids.back().images * grids.back().tokens();
    const Var<T, B> patches = patch_embed(images);
    grids.push_back(grid);
    return with_prefix(patches, masks, grid);
  }

 private:
  /// Token n of every picture is its class token plus position, its registers, or a patch (or the
  /// mask token in its place) plus position.
  Var<T, B> with_prefix(const Var<T, B>& patches, const Tensor<std::uint8_t, B>& masks,
                        const VitGrid& g) const {
    const index_t c = config.embed_dim, n = g.images, l = g.patches(), p = g.prefix;
    const bool masked = masks.numel() > 0;
    if (masked) {
      expect(mask_token.numel() > 0, config.name, "masks for a model without mask token");
      expect_shape(config.name, "masks", masks.shape(), {{"N", n}, {"h·w", l}});
    }
    const Var<T, B> positions = resize_grid_positions(pos_embed, 1, g.rows, g.columns,
                                                      config.positions);
    const auto all = Tensor<T, B>::empty({n, p + l, c});
    const Tensor<T, B> table = positions.value();
    all.slice(1, 0, 1).assign(cls_token.value() + table.slice(1, 0, 1));
    if (p > 1) all.slice(1, 1, p).assign(register_tokens.value().expand({n, p - 1, c}));
    const Tensor<T, B> patch = patches.value().reshape({n, l, c}), place = table.slice(1, 1, 1 + l);
    Tensor<T, B> hidden;  // 1 where a patch is masked
    if (masked) {
      hidden = masks.template to<T>().reshape({n, l, 1});
      all.slice(1, p, p + l)
          .assign(patch * (1.0 - hidden) + mask_token.value().reshape({1, 1, c}) * hidden + place);
    } else {
      all.slice(1, p, p + l).assign(patch + place);
    }
    return record("tokens", all.reshape({n * (p + l), c}),
                  {patches, cls_token, positions, register_tokens, mask_token},
                  [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                    const Tensor<T, B> d = dy.reshape({n, p + l, c}), dpatch = d.slice(1, p, p + l);
                    const Tensor<T, B> dcls = sum(d.slice(1, 0, 1), {0}, true);
                    grads.add(1, dcls);
                    if (grads.wants(2)) {
                      const auto dtable = Tensor<T, B>::empty({1, 1 + l, c});
                      dtable.slice(1, 0, 1).assign(dcls);
                      dtable.slice(1, 1, 1 + l).assign(sum(dpatch, {0}, true));
                      grads.add(2, dtable);
                    }
                    if (p > 1) grads.add(3, sum(d.slice(1, 1, p), {0}, true));
                    if (masked && grads.wants(4))
                      grads.add(4, sum(Tensor<T, B>(dpatch * hidden), {0, 1}).reshape({1, c}));
                    if (!grads.wants(0)) return;
                    grads.add(0,
                              (masked ? Tensor<T, B>(dpatch * (1.0 - hidden)) : dpatch.contiguous())
                                  .reshape({n * l, c}));
                  });
  }

  Var<T, B> run_block(const Block<1, T, B>& block, const PackedTokens<T, B>& tokens,
                      const Context& context) const {
    if (!config.grad_checkpointing) return block(tokens, context).x;
    const TokenLayouts layouts = tokens.layouts;
    return checkpoint(
        [&block, layouts, context](const Var<T, B>& x) {
          return block(PackedTokens<T, B>{x, layouts}, context).x;
        },
        tokens.x);
  }
};

HLIP_END
