// Kind fusion: cross-attention from visual tokens to those of a text, behind gates.
#pragma once

#include "../tolerances.hpp"

#include <hlip/nn/gated_cross_attention.hpp>

namespace golden {

template <class B> void check_fusion(Fixture& f) {
  const Json& j = f.config();
  const index_t dv = size_at(j, "dv"), dt = size_at(j, "dt"), nv = size_at(j, "nv"),
                nt = size_at(j, "nt"), n = axis_of(f, "input.visual", 3, 0),
                hidden = axis_of(f, "param.fc1.weight", 2, 0);
  f.require("input.visual", {n, nv, dv});
  f.require("input.text", {n, nt, dt});
  f.require("input.text_mask", {n, nt});
  Initializer init(0);
  GatedCrossAttention<float, B> block(dv, dt, size_at(j, "heads"), hidden, init);
  load_state_dict(block, Group(f, "param."));

  const Var<float, B> visual(f.tensor<B>("input.visual"), true),
      text(f.tensor<B>("input.text"), true);
  const auto mask = f.file().template tensor<std::uint8_t, B>("input.text_mask");
  f.compare("output.attention", block.attention(visual, text, mask).value(), of_an_operator);
  const Var<float, B> y = block(visual, text, mask);
  f.compare("output.y", y.value(), of_an_operator);
  y.backward(f.tensor<B>("input.cotangent"));
  f.compare("grad.visual", visual.grad(), gradient_of_a_network);
  f.compare("grad.text", text.grad(), gradient_of_a_network);
  for (const auto& [name, p] : named_parameters(block))
    // the key's bias has no gradient but rounding: what all keys share cancels in softmax
    f.compare("grad." + name, p->grad(),
              name == "k.bias" ? Limit{Limit::Scale::absolute, 2e-5} : gradient_of_a_network);
}

}  // namespace golden
