// Where the encoder looked: relevance of every patch for one class, from a block's attention
// probabilities and their gradient. Source: reference document HLIP §8; Chefer et al. 2021,
// "Generic attention-model explainability".
#pragma once

#include <hlip/models/hlip_vit.hpp>
#include <hlip/nn/attention_probabilities.hpp>

#include <optional>

HLIP_BEGIN

/// The tokens of every sequence one after the other, prefix tokens first: (rows, C) in two spans ->
/// (sequences, tokens, C).
template <class T, class B>
Tensor<T, B> token_sequences(const Tensor<T, B>& rows, const TokenLayout& layout) {
  const index_t c = rows.dim(-1), s = layout.sequences;
  const auto part = [&](index_t begin, index_t tokens) {
    return rows.slice(0, begin, begin + s * tokens).reshape({s, tokens, c});
  };
  return concat(std::vector<Tensor<T, B>>{part(layout.prefix_begin, layout.prefix),
                                          part(layout.patch_begin, layout.patches)},
                1);
}

/// Back to rows: (sequences, tokens, C), prefix tokens first, as the tokens of `like`, whose values
/// do not matter.
template <int Levels, class T, class B>
Tokens<Levels, T, B> tokens_of_sequences(const Var<T, B>& sequences, Tokens<Levels, T, B> like) {
  const index_t prefix = like.layout().prefix, c = sequences.dim(2);
  const auto part = [&](index_t begin, index_t end) {
    return reshape(slice(sequences, 1, begin, end), {sequences.dim(0) * (end - begin), c});
  };
  like.x = concat(std::vector<Var<T, B>>{part(prefix, sequences.dim(1)), part(0, prefix)}, 0);
  like.prefix_first = false;
  like.free_rows = 0;
  return like;
}

template <class T, class B> struct Interpretation {
  index_t block = 0;  ///< the block that was looked at
  /// (groups, heads, tokens, tokens): its probabilities; one group at the study level
  Tensor<T, B> attention;
  Tensor<T, B> gradient;  ///< d logit / d attention
  Tensor<T, B> logits;    ///< (1, classes)
  /// (N, d, h, w): relevance of every patch for the class token of its group
  Tensor<T, B> relevance;
};

/// The last block that attends at a level (1 = finest), or -1.
HLIP_LAZY index_t last_block_of_level(const HlipVitConfig& config, int level) {
  const auto levels = config.levels();
  for (auto i = static_cast<index_t>(levels.size()); i-- > 0;)
    if (levels[static_cast<std::size_t>(i)] == level) return i;
  return -1;
}

/// Relevance of the patches of one study for one class: the class token's row of I + cam, without
/// its prefix columns, where cam is the mean over heads of max(0, A∘dlogit/dA) and A the attention
/// of the last block at `level`. At a level below the study every group (slice or scan) has a class
/// token and a row of its own. The published form is that of a last block at the study level, the
/// default.
///
/// Of an encoder with several outputs the first is explained; what reaches it through the mean of
/// the patch tokens is not in the map.
///
/// @param volume (1, N, C_in, D, H, W)  @param logits called as logits(features (1, width)) -> Var
/// (1, classes)
/// @param level 1 = finest, …, Levels = study
/// @throws hlip::error unless there is one study, a block attends at `level`, and `target` is a
/// class
template <int Levels, class T, class B, class Logits>
Interpretation<T, B> interpret(const HlipVit<Levels, T, B>& trunk, const Tensor<T, B>& volume,
                               Logits&& logits, index_t target, const HlipVitInput<B>& input = {},
                               int level = Levels) {
  const HlipVitConfig& config = trunk.config;
  expect_shape("interpret", "volume", volume.shape(),
               {{"one study", 1}, {"N"}, {"in_chans", config.in_chans}, {"D"}, {"H"}, {"W"}});
  const index_t chosen_block = last_block_of_level(config, level);
  expect(chosen_block >= 0, "interpret", "no block of {} attends at level {}{}", config.name, level,
         level == Levels ? ", the whole study" : "");
  const auto levels = config.levels();
  const auto& block = trunk.blocks[static_cast<std::size_t>(chosen_block)];

  // Up to the attention of that block nothing needs a gradient.
  Tokens<Levels, T, B> tokens;
  Var<T, B> x, qkv, probabilities;
  {
    NoGrad guard;
    const std::string stage = chosen_block == 0 ? "tokens_in"
                                                : "block" + std::to_string(chosen_block - 1);
    std::optional<Tokens<Levels, T, B>> before;
    trunk(Var<T, B>(volume), {}, input, [&](std::string_view name, const auto& at) {
      if constexpr (requires { at.layout(); }) {
        if (name == stage) before = at;
      }
    });
    tokens = move_to_level(*before, level);
    x = Var<T, B>(token_sequences(tokens.x.value(), tokens.layout()));
    qkv = block.attn.qkv(block.norm1(x));
    probabilities = attention_probabilities(qkv, block.attn.num_heads);
  }
  const Var<T, B> a(probabilities.value(), true);
  const Var<T, B> mixed = reshape(
      permute(matmul(a, by_heads(qkv, 2, block.attn.num_heads)), {0, 2, 1, 3}), x.shape());
  const Var<T, B> attended = block.attn.proj(mixed, {Activation::none, x});
  tokens = tokens_of_sequences(block.mlp(block.norm2(attended), {Activation::none, attended}),
                               tokens);
  for (auto i = static_cast<std::size_t>(chosen_block) + 1; i < trunk.blocks.size(); ++i)
    tokens = trunk.blocks[i](move_to_level(tokens, levels[i]), {});
  tokens = move_to_level(tokens, Levels);
  const Var<T, B> scores = logits(slice(trunk.pool(tokens), 0, 0, 1));
  expect(scores.rank() == 2 && scores.dim(0) == 1 && 0 <= target && target < scores.dim(1),
         "interpret", "class {} of logits {}", target, to_string(scores.shape()));
  const Var<T, B> chosen = select(select(scores, 1, target), 0, 0);
  chosen.backward();

  Interpretation<T, B> out{chosen_block, a.value(), a.grad(), scores.value(), {}};
  const Tensor<T, B> cam = mean(Tensor<T, B>(maximum(out.gradient * out.attention, 0)), {1});
  const index_t prefix = config.prefix_tokens(), scans = volume.dim(1);
  const index_t d = volume.dim(3) / config.patch_size[0], h = volume.dim(4) / config.patch_size[1],
                w = volume.dim(5) / config.patch_size[2];
  out.relevance =
      Tensor<T, B>(cam.select(1, 0).slice(1, prefix, cam.dim(2))).reshape({scans, d, h, w});
  return out;
}

/// Relevance on the voxel grid, trilinear. @param relevance (N, d, h, w)  @param size (D, H, W)
template <class T, class B>
Tensor<T, B> relevance_to_voxels(const Tensor<T, B>& relevance, const Shape& size) {
  return interpolate(relevance, {size[0], size[1], size[2]}, Interpolation::linear);
}

/// The slice shown for each patch layer: ⌊(j+½)·pd⌋.
HLIP_LAZY std::vector<std::int64_t> displayed_slices(index_t layers, index_t patch_depth) {
  std::vector<std::int64_t> rows;
  for (index_t j = 0; j < layers; ++j) rows.push_back((2 * j + 1) * patch_depth / 2);
  return rows;
}

/// Those slices, each stretched to [0, 1] on its own; a slice that is the same everywhere becomes
/// 0.
/// @param voxels (N, D, H, W)  @return (N, slices, H, W)
template <class T, class B>
Tensor<T, B> stretched_slices(const Tensor<T, B>& voxels, const std::vector<std::int64_t>& rows) {
  std::vector<Tensor<T, B>> slices;
  for (const auto row : rows) slices.push_back(voxels.select(1, row));
  const Tensor<T, B> x = stack(slices, 1);
  const Tensor<T, B> low = min(x, {2, 3}, true), range = max(x, {2, 3}, true) - low;
  return (x - low) / where(range > 0, range, 1);
}

/// What is drawn: values below a quarter are hidden (0).
inline constexpr double hidden_relevance = 0.25;
template <class T, class B> Tensor<T, B> visible_relevance(const Tensor<T, B>& stretched) {
  return where(stretched < hidden_relevance, 0, stretched);
}

HLIP_END
