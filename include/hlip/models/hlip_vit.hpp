// The HLIP visual encoder: a vision transformer whose blocks attend within a slice, a scan or the
// whole study. Source: HLIP (arXiv 2505.21862); reference document HLIP §1.
#pragma once

#include <hlip/autograd/checkpoint.hpp>
#include <hlip/autograd/functions/index.hpp>
#include <hlip/autograd/functions/reduce.hpp>
#include <hlip/nn/block.hpp>
#include <hlip/nn/patch_dropout.hpp>
#include <hlip/nn/patch_embed.hpp>
#include <hlip/nn/pos_embed.hpp>

#include <algorithm>
#include <string>
#include <vector>

HLIP_BEGIN

/// What an encoder gives of a study.
enum class VisualPooling {
  token,  ///< the class token
  /// every prefix token, each with the mean of all patch tokens behind it: one output of width 2C
  /// for each
  token_and_mean,
};

/// Sizes of a visual encoder. `blocks_of_level[l-1]` lists the blocks that attend at level l (1 =
/// finest).
struct HlipVitConfig {
  std::string name = "custom";
  Shape img_size{112, 336, 336};  ///< voxels (D, H, W) the position table is made for
  Shape patch_size{8, 24, 24};    ///< voxels (pd, ph, pw)
  index_t in_chans = 1;
  index_t embed_dim = 768, depth = 12, num_heads = 12;
  double mlp_ratio = 4.0;
  index_t reg_tokens = 0;     ///< register tokens beside the class token
  index_t max_num_scans = 1;  ///< rows of the scan-position table; 0 or 1: no table
  /// Published quirk: random scan positions for batches of more than one study and the first ones
  /// for a single study, whether or not the model is training. Without it they are random in
  /// training only.
  bool scan_positions_by_batch = false;
  std::vector<std::vector<int>> blocks_of_level;
  /// only for more than three levels: groups of scans, from the third level outwards
  std::vector<index_t> outer_groups;
  double drop_path = 0.0;  ///< rate of the last block; earlier ones grow linearly from 0
  double patch_dropout = 0.0;
  double init_std = 0.02;  ///< of the linear layers
  VisualPooling pooling = VisualPooling::token;
  bool grad_checkpointing = false;

  Shape grid() const {
    return {img_size[0] / patch_size[0], img_size[1] / patch_size[1], img_size[2] / patch_size[2]};
  }
  index_t prefix_tokens() const { return 1 + reg_tokens; }
  /// How many outputs a study has, and their width.
  index_t outputs() const { return pooling == VisualPooling::token ? 1 : prefix_tokens(); }
  index_t output_width() const {
    return pooling == VisualPooling::token ? embed_dim : 2 * embed_dim;
  }

  /// The level of every block. @throws unless every block is in exactly one list
  HLIP_LAZY std::vector<int> levels() const {
    if (depth < 1) fail(name, "depth {}, expected at least 1", depth);
    std::vector<int> level(static_cast<std::size_t>(depth), 0);
    for (std::size_t l = 0; l < blocks_of_level.size(); ++l)
      for (int block : blocks_of_level[l]) {
        if (block < 0 || block >= depth)
          fail(name, "block {} at level {} does not exist, depth is {}", block, l + 1, depth);
        int& at = level[static_cast<std::size_t>(block)];
        if (at != 0) fail(name, "block {} is listed at levels {} and {}", block, at, l + 1);
        at = static_cast<int>(l) + 1;
      }
    for (std::size_t i = 0; i < level.size(); ++i)
      if (level[i] == 0)
        fail(name,
             "block {} is at no level (hint: every block belongs to exactly one of the slice, scan "
             "and study lists)",
             i);
    return level;
  }
};

/// What a forward pass may be told instead of drawing it.
template <class B = Cpu> struct HlipVitInput {
  /// row of the scan table for each scan; empty: 0…N−1, in training a random choice
  std::vector<index_t> scan_positions;
  /// (rows, kept) patch tokens kept by patch dropout; empty: drawn
  Tensor<std::int64_t, B> keep_indices;
};

namespace detail {
struct NoObserver {
  template <class X> void operator()(std::string_view, const X&) const {}
};
}  // namespace detail

/// The trunk. `Levels` is the nesting depth: 3 for slice, scan, study; 1 is an ordinary ViT over
/// the whole study.
template <int Levels = 3, class T = float, class B = Cpu> struct HlipVit {
  using value_type = T;
  using backend = B;
  HlipVitConfig config;
  Var<T, B> cls_token;          ///< (1, 1, C)
  Var<T, B> reg_token;          ///< (1, R, C), or empty
  Var<T, B> spatial_posemb;     ///< (1, d, h, w, C), frozen
  Var<T, B> sequential_posemb;  ///< (1, max_num_scans, C), frozen, or empty
  PatchEmbed3D<T, B> patch_embed;
  std::vector<Block<Levels, T, B>> blocks;
  LayerNorm<T, B> norm;

  HlipVit() = default;
  HlipVit(const HlipVitConfig& c, Initializer& init) : config(c), level_of_block_(c.levels()) {
    expect(static_cast<int>(c.blocks_of_level.size()) <= Levels, c.name,
           "{} level lists, this encoder has {} levels", c.blocks_of_level.size(), Levels);
    for (const auto& [what, size] :
         {std::pair{"img_size", c.img_size}, std::pair{"patch_size", c.patch_size}})
      expect(size.rank() == 3 && size[0] > 0 && size[1] > 0 && size[2] > 0, c.name,
             "{} {}, expected three positive sizes", what, to_string(size));
    expect(c.in_chans >= 1, c.name, "in_chans {}, expected at least 1", c.in_chans);
    expect(c.img_size[0] % c.patch_size[0] == 0 && c.img_size[1] % c.patch_size[1] == 0 &&
               c.img_size[2] % c.patch_size[2] == 0,
           c.name, "img_size {} is not a multiple of patch_size {}", to_string(c.img_size),
           to_string(c.patch_size));
    expect(c.max_num_scans >= 0, c.name, "max_num_scans {}, expected at least 0", c.max_num_scans);
    expect(c.reg_tokens >= 0, c.name, "reg_tokens {}, expected at least 0", c.reg_tokens);
    const index_t dim = c.embed_dim;
    const Shape grid = c.grid();
    cls_token = init.normal<T, B>({1, 1, dim}, 1e-6);
    if (c.reg_tokens > 0) reg_token = init.normal<T, B>({1, c.reg_tokens, dim}, 1e-6);
    {
      const MemoryScope scope(MemoryCategory::parameters);
      spatial_posemb = sincos_3d<T, B>(grid[0], grid[1], grid[2], dim);
      if (c.max_num_scans > 1)
        sequential_posemb =
            sincos_1d<T, B>(c.max_num_scans, dim).reshape({1, c.max_num_scans, dim});
    }
    patch_embed = PatchEmbed3D<T, B>(c.in_chans, dim, c.patch_size, init);
    for (index_t i = 0; i < c.depth; ++i) {
      const double rate = c.depth > 1 ? c.drop_path * static_cast<double>(i) /
                                            static_cast<double>(c.depth - 1)
                                      : c.drop_path;
      BlockOptions options;
      options.mlp_ratio = c.mlp_ratio;
      options.drop_path = rate;
      options.init_std = c.init_std;
      blocks.emplace_back(dim, c.num_heads, options, init);
    }
    norm = LayerNorm<T, B>(dim, 1e-6);
  }
  template <class V> void visit(V&& v) {
    v("cls_token", cls_token);
    v("reg_token", reg_token);
    v("spatial_posemb", spatial_posemb);
    v("sequential_posemb", sequential_posemb);
    v("patch_embed", patch_embed);
    v("blocks", blocks);
    v("norm", norm);
  }

  /// Features of studies.
  ///
  /// @param x (B, N, C_in, D, H, W): studies of N scans  @param observe called as observe(name,
  /// stage): "patch_embed" with a Var, "tokens_in" and "block<i>" with Tokens, "tokens_out" with
  /// Tokens after the last norm
  /// @return (B·outputs, width), the outputs of a study one after the other: see pool
  template <class Observe = detail::NoObserver>
  Var<T, B> operator()(const Var<T, B>& x, const Context& context = {},
                       const HlipVitInput<B>& input = {}, Observe observe = {}) const {
    constexpr bool observed = !std::is_same_v<Observe, detail::NoObserver>;
    const Shape grid = grid_of(x.shape());
    const Var<T, B> patches = embed(x);
    if constexpr (observed)
      observe("patch_embed",
              reshape(patches, {grid[0], grid[1], grid[2], grid[3], grid[4], config.embed_dim}));
    const Tokens<Levels, T, B> tokens = run_blocks(patches, grid, context, input, observe);
    ModuleScope at("norm");
    if constexpr (observed) {
      Tokens<Levels, T, B> normed = tokens;
      normed.x = norm(tokens.x);
      observe("tokens_out", normed);
    }
    return pool(tokens);
  }

  /// (B, N, d, h, w) of studies: patches of each axis. @throws hlip::error for what are none
  Shape grid_of(const Shape& studies) const {
    expect_shape("hlip_vit", "x", studies,
                 {{"B"}, {"N"}, {"in_chans", config.in_chans}, {"D"}, {"H"}, {"W"}});
    const Shape& p = config.patch_size;
    return {studies[0], studies[1], studies[3] / p[0], studies[4] / p[1], studies[5] / p[2]};
  }
  /// Patches of studies without positions. @param x as above  @return (B·N·d·h·w, C)
  Var<T, B> embed(const Var<T, B>& x) const {
    return patch_embed(reshape(x, {x.dim(0) * x.dim(1), x.dim(2), x.dim(3), x.dim(4), x.dim(5)}));
  }
  /// Tokens of studies after the last block, at the top level, before the last norm.
  /// @param patches as `embed` gives them  @param grid as `grid_of` does
  template <class Observe = detail::NoObserver>
  Tokens<Levels, T, B> run_blocks(const Var<T, B>& patches, const Shape& grid,
                                  const Context& context = {}, const HlipVitInput<B>& input = {},
                                  Observe observe = {}) const {
    constexpr bool observed = !std::is_same_v<Observe, detail::NoObserver>;
    const index_t studies = grid[0], scans = grid[1], d = grid[2], h = grid[3], w = grid[4];
    Tokens<Levels, T, B> tokens;
    tokens.hierarchy = Hierarchy<Levels>::from_sizes(studies, config.prefix_tokens(),
                                                     group_sizes(scans, d, h * w));
    tokens.level = level_of_block_.empty() ? Levels : level_of_block_[0];
    tokens.x = add_positions(patches, positions(studies, scans, d, h, w, context, input),
                             tokens.hierarchy, context, input, tokens.level);
    tokens.x = with_prefix(tokens);
    tokens.free_rows = tokens.hierarchy.room();
    if constexpr (observed) observe("tokens_in", tokens);

    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string name = "blocks." + std::to_string(i);
      ModuleScope at(name);
      tokens = move_to_level(tokens, level_of_block_[i]);
      tokens = run_block(blocks[i], tokens, context.child(100 + static_cast<std::uint32_t>(i)));
      if constexpr (observed) observe("block" + std::to_string(i), tokens);
    }
    return move_to_level(tokens, Levels);
  }

  /// The outputs of studies from their tokens at the top level. Normalisation works row by row, so
  /// rows that are not asked for are left out.
  /// @return (B, C), the normalised class tokens; with VisualPooling::token_and_mean (B·P, 2C), for
  /// each of the P prefix tokens of a study
  ///         that token and the mean of the study's patch tokens, all normalised
  /// Source: reference document HLIP §1.11 (the head of DINO.txt).
  Var<T, B> pool(const Tokens<Levels, T, B>& tokens) const {
    const TokenLayout at = tokens.layout();
    const index_t studies = at.sequences, p = at.prefix, c = config.embed_dim;
    if (config.pooling == VisualPooling::token)
      return norm(slice(tokens.x, 0, at.prefix_begin, at.prefix_begin + studies * p, p));
    const Var<T, B> x = norm(tokens.x);
    const Var<T, B> prefix = reshape(slice(x, 0, at.prefix_begin, at.prefix_begin + studies * p),
                                     {studies, p, c});
    const Var<T, B> patches = mean(
        reshape(slice(x, 0, at.patch_begin, at.patch_begin + studies * at.patches),
                {studies, at.patches, c}),
        {1}, true);
    return reshape(concat(std::vector<Var<T, B>>{prefix, expand(patches, {studies, p, c})}, 2),
                   {studies * p, 2 * c});
  }

 private:
  std::vector<int> level_of_block_;

  /// {tokens per slice, slices per scan, scans per study, …}, as far as there are levels; missing
  /// levels join the last.
  std::array<index_t, Levels> group_sizes(index_t scans, index_t slices, index_t tokens) const {
    std::array<index_t, Levels> sizes;
    sizes.fill(1);
    if constexpr (Levels == 1) sizes = {scans * slices * tokens};
    else if constexpr (Levels == 2) sizes = {slices * tokens, scans};
    else {
      sizes[0] = tokens, sizes[1] = slices;
      index_t outer = 1;
      expect(static_cast<int>(config.outer_groups.size()) == Levels - 3, config.name,
             "{} outer groups for {} levels", config.outer_groups.size(), Levels);
      for (std::size_t g = 0; g < config.outer_groups.size(); ++g) {
        sizes[3 + g] = config.outer_groups[g];
        outer *= config.outer_groups[g];
      }
      expect(scans % outer == 0, config.name, "{} scans do not divide into {} groups", scans,
             outer);
      sizes[2] = scans / outer;
    }
    return sizes;
  }

  /// Position of every patch of a study: (N·d·h·w, C).
  Tensor<T, B> positions(index_t studies, index_t scans, index_t d, index_t h, index_t w,
                         const Context& context, const HlipVitInput<B>& input) const {
    const index_t c = config.embed_dim;
    const Tensor<T, B> spatial =
        resize_spatial(spatial_posemb.value(), d, h, w).reshape({1, d * h * w, c});
    if (config.max_num_scans <= 1)
      return Tensor<T, B>(spatial.expand({scans, d * h * w, c})).reshape({scans * d * h * w, c});
    const index_t rows = config.max_num_scans;
    const bool random = config.scan_positions_by_batch ? studies > 1 : context.training;
    Tensor<T, B> sequential = resize_sequential(sequential_posemb.value(), scans);
    if (scans <= rows && (!input.scan_positions.empty() || random)) {
      std::vector<std::int64_t> order(input.scan_positions.begin(), input.scan_positions.end());
      if (order.empty()) {
        for (index_t i = 0; i < rows; ++i) order.push_back(i);
        RandomStream(context.child(1).key).shuffle(order);
        order.resize(static_cast<std::size_t>(scans));
      }
      expect(static_cast<index_t>(order.size()) == scans, config.name,
             "{} scan positions for {} scans", order.size(), scans);
      const auto index = Tensor<std::int64_t, B>::from_values({scans},
                                                              std::span<const std::int64_t>(order));
      sequential = index_select(sequential_posemb.value().reshape({rows, c}), index);
    }
    expect(scans <= rows || !random, config.name,
           "{} scans in training, the scan-position table has {} rows (hint: raise max_num_scans)",
           scans, rows);
    return Tensor<T, B>(spatial + sequential.reshape({scans, 1, c}))
        .reshape({scans * d * h * w, c});
  }

  /// Patch rows with their positions, thinned by patch dropout, in memory with room for prefix
  /// rows.
  Var<T, B> add_positions(const Var<T, B>& patches, const Tensor<T, B>& position,
                          Hierarchy<Levels>& hierarchy, const Context& context,
                          const HlipVitInput<B>& input, int level) const {
    const index_t c = config.embed_dim, studies = hierarchy.studies;
    hierarchy.check_level(level);
    const auto sum_into = [&](const Tensor<T, B>& out) {
      const Shape by_study{studies, position.dim(0), c};
      out.reshape(by_study).assign(patches.value().reshape(by_study) + position);
      return record("positions", out, {patches},
                    [](const Tensor<T, B>& dy, InputGrads<T, B>& grads) { grads.add(0, dy); });
    };
    const auto keep = input.keep_indices.numel() > 0 ? input.keep_indices
                      : context.training && config.patch_dropout > 0
                          ? patch_dropout_indices<B>(hierarchy.rows(level),
                                                     hierarchy.patches(level), config.patch_dropout,
                                                     context.child(2).key)
                          : Tensor<std::int64_t, B>();
    if (keep.numel() == 0) return sum_into(patch_memory(hierarchy, level, hierarchy.patch_rows()));
    const index_t rows = hierarchy.rows(level), all = hierarchy.patches(level);
    expect_shape("patch_dropout", "keep_indices", keep.shape(), {{"rows", rows}, {"kept"}});
    const Var<T, B> full = sum_into(Tensor<T, B>::empty({hierarchy.patch_rows(), c}));
    const Tensor<std::int64_t, B> absolute =
        keep + Tensor<std::int64_t, B>::arange(rows, 0, all).reshape({rows, 1});
    const Var<T, B> kept = reshape(index_select(full, absolute), {absolute.numel(), c});
    hierarchy.patches_per_study = absolute.numel() / studies;
    return evaluate_into(kept * T(1), patch_memory(hierarchy, level, absolute.numel()));
  }

  /// The patch part of a token matrix: patch rows first, prefix rows and free room behind them.
  static Tensor<T, B> patch_memory(const Hierarchy<Levels>& h, int level, index_t patch_rows,
                                   index_t columns) {
    return Tokens<Levels, T, B>::allocate(h, patch_rows + h.prefix * h.rows(level), columns, false)
        .slice(0, 0, patch_rows);
  }
  Tensor<T, B> patch_memory(const Hierarchy<Levels>& h, int level, index_t patch_rows) const {
    return patch_memory(h, level, patch_rows, config.embed_dim);
  }

  /// Writes a copy of the class and register tokens for every row behind the patch rows, which stay
  /// where they are.
  Var<T, B> with_prefix(const Tokens<Levels, T, B>& tokens) const {
    const index_t c = config.embed_dim, p = config.prefix_tokens(),
                  rows = tokens.hierarchy.rows(tokens.level), patches = tokens.x.dim(0);
    const Var<T, B> prefix = config.reg_tokens > 0
                                 ? concat(std::vector<Var<T, B>>{cls_token, reg_token}, 1)
                                 : cls_token;
    const auto full = Tensor<T, B>::wrap(tokens.x.value().storage(), tokens.x.value().data(),
                                         {patches + rows * p, c});
    full.slice(0, patches, patches + rows * p).reshape({rows, p, c}).assign(prefix.value());
    return record("prefix_tokens", full, {tokens.x, prefix},
                  [=](const Tensor<T, B>& dy, InputGrads<T, B>& grads) {
                    grads.add(0, dy.slice(0, 0, patches));
                    grads.add(1, sum(dy.slice(0, patches, patches + rows * p).reshape({rows, p, c}),
                                     {0}, true));
                  });
  }

  Tokens<Levels, T, B> run_block(const Block<Levels, T, B>& block, Tokens<Levels, T, B> tokens,
                                 const Context& context) const {
    if (!config.grad_checkpointing) return block(tokens, context);
    Tokens<Levels, T, B> layout = tokens;
    layout.x = {};
    tokens.x = checkpoint(
        [&block, layout, context](const Var<T, B>& x) {
          Tokens<Levels, T, B> inside = layout;
          inside.x = x;
          return block(inside, context).x;
        },
        tokens.x);
    tokens.free_rows = tokens.hierarchy.room();
    return tokens;
  }
};

HLIP_END
