// Kind visual_encoder: the HLIP trunk with any level lists, scans, prefix tokens and patch dropout;
// stages, features, all gradients.
#pragma once

#include "model_configs.hpp"

#include <hlip/models/interpret.hpp>

namespace golden {

template <class B> void check_visual_encoder(Fixture& f) {
  const Json& j = f.config();
  const HlipVitConfig config = vit_config(f, j, "param.");
  const Shape size = shape_of(j.contains("input_size") ? j["input_size"] : entry(j, "img_size"),
                              "input_size", 3);
  const index_t batch = size_at(j, "batch"), scans = size_at_or(j, "scans", 1);
  f.require("input.volume", {batch, scans, config.in_chans, size[0], size[1], size[2]});
  f.require("input.cotangent", {batch, config.embed_dim});
  Initializer init(0);
  HlipVit<3, float, B> trunk(config, init);
  const Group parameters(f, "param.");
  load_state_dict(trunk, parameters);
  set_requires_grad(trunk, false,
                    [](const std::string& name) { return name.ends_with("_posemb"); });

  // Every stage is in the file, or those that the configuration lists.
  const bool listed = j.contains("stages") && !j["stages"].is_null();
  const auto wanted = [&](std::string_view stage) {
    if (!listed) return true;
    for (const auto& s : list_of(j["stages"], "stages"))
      if (s == stage) return true;
    return f.contains("output." + std::string(stage));
  };
  // In training the reference draws; the file says what it drew.
  const bool train = flag_at(j, "train");
  HlipVitInput<B> input;
  if (train && config.max_num_scans > 1) f.shape("input.scan_perm");
  input.scan_positions = scan_positions(f, 0);
  if ((train && number_at_or(j, "patch_drop", 0) > 0) || f.contains("input.keep_indices"))
    input.keep_indices = f.indices<B>("input.keep_indices");
  const Var<float, B> volume(f.tensor<B>("input.volume"), true);
  const Var<float, B> features = trunk(
      volume, {}, input, [&](std::string_view stage, const auto& at) {
        if (!wanted(stage)) return;
        const std::string name = "output." + std::string(stage);
        if constexpr (requires { at.layout(); })
          f.compare(name, token_sequences(at.x.value(), at.layout()), forward);
        else f.compare(name, at.value(), forward);
      });
  f.compare("output.features", features.value(), forward);
  const Tensor<float, B> cotangent = f.tensor<B>("input.cotangent");
  f.compare("output.loss", sum(Tensor<float, B>(features.value() * cotangent)), forward);
  features.backward(cotangent);
  f.compare_grads(trunk);
  f.compare_grad("grad.input.volume", volume);
}

}  // namespace golden
