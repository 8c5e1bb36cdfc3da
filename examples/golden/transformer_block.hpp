// Kind transformer_block: one block with its inner results.
#pragma once

#include "fixture.hpp"

#include <hlip/models/interpret.hpp>

namespace golden {

template <class B> void check_transformer_block(Fixture& f) {
  const Json& j = f.config();
  const index_t batch = size_at(j, "batch"), length = size_at(j, "tokens"), dim = size_at(j, "dim"),
                heads = size_at(j, "heads");
  const double mlp_ratio = mlp_ratio_of(j);
  f.require("input.x", {batch, length, dim});
  f.require("input.cotangent", {batch, length, dim});
  f.require("param.mlp.fc1.weight",
            {static_cast<index_t>(static_cast<double>(dim) * mlp_ratio), dim});
  Initializer init(0);
  BlockOptions options;
  options.mlp_ratio = mlp_ratio;
  Block<1, float, B> block(dim, heads, options, init);
  const Group parameters(f, "param.");
  load_state_dict(block, parameters);

  const Var<float, B> x(f.tensor<B>("input.x"), true);
  Tokens<1, float, B> tokens;
  tokens.hierarchy = Hierarchy<1>::from_sizes(batch, 0, {length});
  tokens.x = reshape(x, {batch * length, dim});
  const Var<float, B> y = reshape(block(tokens, {}).x, x.shape());
  f.compare("output.y", y.value(), forward);
  y.backward(f.tensor<B>("input.cotangent"));
  f.compare_grads(block);
  f.compare_grad("grad.input.x", x);

  NoGrad guard;
  const Var<float, B> normed = block.norm1(tokens.x), attended = block.attn(normed, tokens);
  f.compare("output.norm1", normed.value().reshape(x.shape()), forward);
  f.compare("output.attn", attended.value().reshape(x.shape()), forward);
  f.compare(
      "output.attn_prob",
      attention_probabilities(reshape(block.attn.qkv(normed), {batch, length, 3 * dim}), heads)
          .value(),
      forward);
  f.compare("output.mlp",
            block.mlp(block.norm2(Var<float, B>(tokens.x + attended))).value().reshape(x.shape()),
            forward);
}

}  // namespace golden
