// Kind text_tower: BERT and its projection on padded tokens, every hidden state, all gradients.
#pragma once

#include "model_configs.hpp"

namespace golden {

template <class B> void check_text_tower(Fixture& f) {
  const Json& j = f.config();
  const index_t batch = size_at(j, "batch"), length = size_at(j, "length"),
                out = size_at(j, "out_dim");
  const BertConfig config = bert_config(f, entry(j, "text"), "param.transformer.");
  f.require("param.proj.weight", {out, config.hidden_size});
  f.require("input.tokens", {batch, length});
  f.require("input.cotangent", {batch, out});
  Initializer init(0);
  TextTower<float, B> tower{Bert<float, B>(config, init),
                            Linear<float, B>(config.hidden_size, out, false, 0.02, init)};
  const Group parameters(f, "param.");
  load_state_dict(tower, parameters);

  const auto features = tower(
      f.indices<B>("input.tokens"), {}, [&](int i, const Var<float, B>& hidden) {
        f.compare(fmt::format("output.hidden{}", i),
                  hidden.value().reshape({batch, length, config.hidden_size}), forward);
      });
  f.compare("output.features", features.value(), forward);
  f.compare("output.normalised", l2_normalize(features).value(), forward);
  features.backward(f.tensor<B>("input.cotangent"));
  f.compare_grads(tower);
}

}  // namespace golden
