// How fast each parameter of a self-distilled model learns, and which of them decay.
// Source: reference document RAD-DINO §6.
#pragma once

#include <hlip/optim/parameters.hpp>

#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

struct LayerwiseSettings {
  double decay = 0.9;               ///< of the learning rate, for every block further down
  double patch_embed_factor = 0.2;  ///< on top of that
};

/// The learning-rate factor of a parameter: decay^(depth + 1 − layer), with layer 0 for everything
/// before the blocks, k + 1 for block k, depth + 1 for the final norm and the heads.
/// @param name as in SelfDistillationModel, "backbone.blocks.3.attn.qkv.weight"
HLIP_LAZY double layerwise_lr_factor(std::string_view name, index_t depth,
                                     const LayerwiseSettings& settings) {
  index_t layer = depth + 1;
  const std::string_view backbone = "backbone.", blocks = "blocks.";
  const bool below = name.starts_with(backbone);
  const std::string_view rest = below ? name.substr(backbone.size()) : name;
  if (below && rest.starts_with(blocks)) {
    index_t k = 0;
    std::from_chars(rest.data() + blocks.size(), rest.data() + rest.size(), k);
    layer = k + 1;
  } else if (below && !rest.starts_with("norm.")) {
    layer = 0;
  }
  const double factor = std::pow(settings.decay, static_cast<double>(depth + 1 - layer));
  return below && rest.starts_with("patch_embed.") ? factor * settings.patch_embed_factor : factor;
}

/// Whether a parameter decays: not biases, norms and LayerScale; tokens, positions and the gains of
/// weight normalisation do.
inline bool decays_in_self_distillation(std::string_view name) {
  return !name.ends_with("bias") && name.find("norm") == name.npos &&
         name.find("gamma") == name.npos;
}

/// The parameters of a SelfDistillationModel that train. Their decay is that of the schedule
/// "weight_decay" or none; prototypes follow the schedule "last_layer" beside the learning rate;
/// encoder and heads are clipped apart.
template <class T, class B>
std::vector<OptimizedParameter<T, B>> self_distillation_parameters(
    const std::vector<std::pair<std::string, Var<T, B>*>>& named, index_t depth,
    const LayerwiseSettings& settings) {
  std::vector<OptimizedParameter<T, B>> list;
  for (const auto& [name, var] : named) {
    if (!var->requires_grad()) continue;
    OptimizedParameter<T, B> p;
    p.name = name;
    p.var = *var;
    p.weight_decay = decays_in_self_distillation(name) ? 1 : 0;
    p.lr_factor = layerwise_lr_factor(name, depth, settings);
    p.clip_group = name.starts_with("backbone.") ? 0 : name.starts_with("dino_head.") ? 1 : 2;
    if (name.find("last_layer") != name.npos) p.lr_schedule = "last_layer";
    list.push_back(std::move(p));
  }
  return list;
}

HLIP_END
