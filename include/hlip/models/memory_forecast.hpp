// How much memory a training step of the joint model takes, told from its sizes before the first
// step.
//
// A step is a chain of stages: patches, the attention and the MLP half of every block, the head,
// and the same for text. On the way there a stage takes `there` bytes while it runs and leaves
// `keeps` behind; on the way back, in the opposite order, it takes `back` (what it kept included),
// leaves the gradients of its parameters and frees the rest. The peak is the largest sum on the
// way.
//
// Elements per row of tokens, C the width, M the hidden width of the MLP, H heads:
//
//                     there        keeps                          back
//   block, attention  7C (+C)      x, qkv, mixed: 5C              10C: x, qkv, mixed; dx, dmixed,
//                                                                 dqkv
//   block, MLP        3C + M (+C)  x: C                           2C + 2M (+C): x, dx; hidden
//                                                                 computed again, dhidden
//   BERT, attention   7C (+C)      q, k, v, mixed, sum: 5C (+2C)  9C (+C): as above
//   BERT, MLP         3C + M (+C)  sum: C (+2C)                   2M + C (+C)
//
// (+…): with drop path, which needs the branch beside the sum, or dropout, whose sum keeps its
// operands. What LayerNorm and GELU give is computed again from what they were given, a thousand
// rows at a time; patches are cut again. Each attention also keeps H numbers, each LayerNorm 2. The
// hidden activations are kept, M more, where they are small (keep_hidden_bytes); then `back`
// computes none again. Where matrix products round to 16 bits, attention keeps rounded copies of q,
// k, v and mixed: 2C instead of 4C. They lie beside the originals for a moment: `there` and `back`
// grow by C and 2C. Where a backend stores operands in 16 bits, normalised rows, q, k, v, mixed,
// the hidden activations and all their gradients take half from the start. A checkpointed block
// keeps x alone and goes through both of its halves on the way back. A stage below which nothing
// trains keeps nothing.
//
// Left out, being small: the heads, the loss, ids and masks, and the workspace of kernels, which is
// no tensor.
#pragma once

#include <hlip/models/clip.hpp>
#include <hlip/tensor/memory_statistics.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

HLIP_BEGIN

/// What a step works on.
struct StepSizes {
  index_t batch_size = 1;        ///< studies
  index_t scans = 1;             ///< of a study; 0: the step has no volumes
  index_t texts = 1;             ///< of a study
  index_t text_length = 0;       ///< tokens of a text, padding included
  index_t batches = 1;           ///< in memory: the one in use and those loaded ahead
  std::size_t stored_bytes = 0;  ///< data kept in memory besides
  bool averaged = false;         ///< a moving average of the weights is kept
};

namespace detail {

/// A stage of the step, in elements.
struct ForecastStage {
  double there = 0, keeps = 0, back = 0;
  double gradients = 0;   ///< of the stage's own parameters
  bool recorded = false;  ///< something trains here or in front
};

/// The largest sum on the way.
struct ForecastPeak {
  double activations = 0, gradients = 0;
  void include(double a, double g) {
    if (a + g > activations + gradients) activations = a, gradients = g;
  }
};

/// @param besides_there, besides_back what is held besides on the way there and back
HLIP_LAZY ForecastPeak forecast_peak(const std::vector<ForecastStage>& stages,
                                     double besides_there = 0, double besides_back = 0) {
  ForecastPeak peak;
  double kept = besides_there, gradients = 0;
  for (const ForecastStage& s : stages) {
    peak.include(kept + std::max(s.there, s.recorded ? s.keeps : 0), 0);
    if (s.recorded) kept += s.keeps;
  }
  kept += besides_back - besides_there;
  for (auto s = stages.rbegin(); s != stages.rend(); ++s) {
    if (!s->recorded) continue;
    kept -= s->keeps;
    gradients += s->gradients;
    peak.include(kept + s->back, gradients);
  }
  return peak;
}

/// Appends stages; each is recorded as soon as something trains in it or in front of it.
struct ForecastPath {
  std::vector<ForecastStage>& stages;
  bool recorded = false;

  void add(double there, double keeps, double back, index_t gradients) {
    recorded = recorded || gradients > 0;
    stages.push_back({there, keeps, back, static_cast<double>(gradients), recorded});
  }
};

/// How many of `hidden` elements are kept for the way back.
template <class T> double kept_hidden(double hidden) {
  return hidden * static_cast<double>(sizeof(T)) <= static_cast<double>(keep_hidden_bytes) ? hidden
                                                                                           : 0;
}

/// How a block differs where products round to 16 bits: what an attention keeps, what more it needs
/// for a moment, in widths of a token, and the size of a hidden activation.
struct ForecastRounding {
  double kept = 4, more_there = 0, more_back = 0, hidden = 1;
};
template <class T, class B> ForecastRounding forecast_rounding() {
  if (stores_operands<T, B>()) return {2, -3, -3.5, 0.5};
  return keeps_rounded<T, B>() ? ForecastRounding{2, 1, 2, 1} : ForecastRounding{};
}

template <int Levels, class T, class B>
void forecast_images(std::vector<ForecastStage>& stages, VisualTower<Levels, T, B>& tower,
                     const StepSizes& step) {
  auto& trunk = tower.trunk;
  const HlipVitConfig& v = trunk.config;
  const auto parts = [](auto&... module) { return (count_parameters(module, true) + ...); };
  const auto of = [](const auto& var) { return var.requires_grad() ? var.numel() : 0; };
  const Shape grid = v.grid();
  const double studies = static_cast<double>(step.batch_size), c = static_cast<double>(v.embed_dim),
               heads = static_cast<double>(v.num_heads);
  const double all = studies * static_cast<double>(step.scans * grid.numel()),
               patches = all * (1 - v.patch_dropout);
  // Prefix rows of the finest level in use, and as many again left free behind what a block gives.
  const index_t finest[] = {step.scans * grid[0], step.scans, 1};
  const std::vector<int> levels = v.levels();
  const auto level = static_cast<std::size_t>(*std::min_element(levels.begin(), levels.end()) - 1);
  const double prefix = studies * static_cast<double>(v.prefix_tokens() * finest[level]),
               room = studies * static_cast<double>(v.prefix_tokens() * finest[0]);
  const double held = all * c;  // the embedded patches, until the tower is through
  const ForecastRounding mixing = forecast_rounding<T, B>();
  const double rows = patches + prefix, hidden = mixing.hidden * std::floor(c * v.mlp_ratio),
               cut = static_cast<double>(v.in_chans * v.patch_size.numel());

  ForecastPath path{stages};
  path.add(all * (cut + c), v.patch_dropout > 0 ? patches * c : 0,
           (v.patch_dropout > 0 ? all + patches : rows) * c + std::min(all, 1024.0) * cut,
           parts(trunk.patch_embed) + of(trunk.cls_token) + of(trunk.reg_token));
  for (auto& block : trunk.blocks) {
    const double drop = block.drop_path > 0 ? c : 0, x = c + 2, pre = kept_hidden<T>(rows * hidden);
    std::vector<ForecastStage> inside;
    ForecastPath halves{inside, path.recorded};
    halves.add(rows * ((7 + mixing.more_there) * c + drop),
               rows * (x + heads + mixing.kept * c) + room * c,
               rows * (x + heads + (9 + mixing.more_back) * c) + room * c,
               parts(block.norm1, block.attn));
    halves.add(rows * (3 * c + hidden + drop) + pre, rows * x + pre,
               rows * (x + c + drop + 2 * hidden), parts(block.norm2, block.mlp));
    if (v.grad_checkpointing) {
      // On the way back: both halves as if they were a step, beside the gradient of what they give;
      // then that, too.
      const double there = std::max(inside[0].there, inside[1].there - pre + rows * c);
      path.add(held + there, rows * c + room * c,
               forecast_peak(inside, rows * c, 2 * rows * c).activations, parts(block));
    } else {
      for (ForecastStage& half : inside) half.there += held;
      stages.insert(stages.end(), inside.begin(), inside.end());
      path.recorded = halves.recorded;
    }
  }
  if (v.pooling == VisualPooling::token)
    path.add(rows * c, 0, 2 * rows * c, parts(trunk.norm, tower.head));
  // Every row is normalised
  else path.add(rows * c, 2 * rows, 3 * rows * c, parts(trunk.norm, tower.head));
}

template <class T, class B>
void forecast_text(std::vector<ForecastStage>& stages, TextTower<T, B>& tower,
                   const StepSizes& step) {
  auto& bert = tower.transformer;
  const BertConfig& t = bert.config;
  const auto parts = [](auto&... module) { return (count_parameters(module, true) + ...); };
  const double length = static_cast<double>(step.text_length),
               rows = static_cast<double>(step.batch_size) * length;
  const ForecastRounding mixing = forecast_rounding<T, B>();
  const double c = static_cast<double>(t.hidden_size),
               hidden = mixing.hidden * static_cast<double>(t.intermediate_size),
               heads = static_cast<double>(t.num_heads);
  const double drop = t.dropout > 0 ? c : 0, pre = kept_hidden<T>(rows * hidden);

  ForecastPath path{stages};
  const index_t tables = parts(bert.embeddings.word, bert.embeddings.position,
                               bert.embeddings.token_type);
  // The sum of three tables keeps its operands
  const double words = tables > 0 ? (rows + length) * c : 0;
  path.add((3 * rows + length) * c, words + rows * (2 * c + 2 - drop),
           words + rows * (tables > 0 ? 4 * c : 2 * c), tables + parts(bert.embeddings.layer_norm));
  for (auto& layer : bert.encoder.layer) {
    path.add(rows * ((7 + mixing.more_there) * c + drop),
             rows * ((1 + mixing.kept) * c + 2 * drop + heads + 2),
             rows * ((9 + mixing.more_back) * c + drop + heads), parts(layer.attention));
    path.add(rows * (3 * c + hidden + drop) + pre, rows * (c + 2 * drop + 2) + pre,
             rows * std::max(2 * hidden + c + drop, 3 * c + 2 * drop),
             parts(layer.intermediate, layer.output));
  }
  const double mean = tower.pooling == TextPooling::mean ? rows * c : 0;
  path.add(rows * c + mean, mean, rows * c + 2 * mean, parts(tower.proj));
}

}  // namespace detail

/// What a training step with AdamW will hold at its peak.
/// @param model as it will be trained: parameters that do not require gradients have none, and no
/// moments
template <int Levels, class T, class B>
MemoryUse memory_forecast(Clip<Levels, T, B>& model, const StepSizes& step) {
  static_assert(Levels == 3, "the forecast knows slices, scans and studies");
  std::vector<detail::ForecastStage> stages;
  if (step.scans > 0) detail::forecast_images(stages, model.visual, step);
  for (index_t i = 0; i < step.texts; ++i) detail::forecast_text(stages, model.text, step);
  detail::ForecastPeak peak = detail::forecast_peak(stages);

  // Parameters that train share their gradients between the texts of a step. After the way back the
  // gradient norm squares one gradient at a time.
  const auto trainable = static_cast<double>(count_parameters(model, true));
  peak.gradients = std::min(peak.gradients, trainable);
  index_t largest = 0;
  each_parameter(model, [&](const std::string&, auto& p) {
    largest = p.requires_grad() ? std::max(largest, p.numel()) : largest;
  });
  peak.include(static_cast<double>(largest), trainable);

  const HlipVitConfig& v = model.config.vision;
  MemoryUse use;
  use[MemoryCategory::parameters] = static_cast<std::size_t>(count_parameters(model)) * sizeof(T);
  use[MemoryCategory::gradients] = static_cast<std::size_t>(peak.gradients) * sizeof(T);
  use[MemoryCategory::optimizer] = static_cast<std::size_t>(trainable) * (step.averaged ? 3 : 2) *
                                   sizeof(T);
  use[MemoryCategory::activations] = static_cast<std::size_t>(peak.activations) * sizeof(T);
  use[MemoryCategory::data] = static_cast<std::size_t>(step.batches * step.batch_size * step.scans *
                                                       v.in_chans * v.img_size.numel()) *
                                  sizeof(T) +
                              step.stored_bytes;
  return use;
}

HLIP_END
