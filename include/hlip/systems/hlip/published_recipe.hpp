// How published models were trained.
#pragma once

#include <hlip/core/abi.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

HLIP_BEGIN

/// What training takes beside data and model.
struct TrainingRecipe {
  /// times every study is seen; studies a step; steps
  std::int64_t epochs = 0, batch_size = 0, warmup = 0;
  double lr = 0, wd = 0;
  bool lock_text = false;  ///< a text tower that can read stays as it is, LayerNorms apart
};

/// The recipe of a model, if one was published: CT-RATE's for the chest models of 2744 tokens. The
/// one of the brain models was not: there is none for them. Source: reference document HLIP §5.
inline std::optional<TrainingRecipe> published_recipe(std::string_view model) {
  if (model != "vit_base_singlescan_h2_token2744" && model != "vit_base_slice_scan_token2744" &&
      model != "vit_base_slice_scan_dualdinotxt2744")
    return std::nullopt;
  return TrainingRecipe{
      .epochs = 20, .batch_size = 64, .warmup = 377, .lr = 1e-5, .wd = 0.2, .lock_text = true};
}

HLIP_END
