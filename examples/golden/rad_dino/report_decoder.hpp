// Kind report_decoder: image tokens through a projector into the prompt of a small Llama: loss,
// gradients, greedy ids.
#pragma once

#include "../tolerances.hpp"

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/splice.hpp>

namespace golden {

/// The decoder's sizes, each of which a tensor of the file has.
inline LlamaConfig report_decoder_config(const Fixture& f) {
  LlamaConfig c;
  c.vocab_size = size_at(f.config(), "vocab"), c.hidden_size = size_at(f.config(), "dim");
  c.intermediate_size = size_at(f.config(), "ffn"), c.num_layers = size_at(f.config(), "layers");
  c.num_heads = c.num_kv_heads = size_at(f.config(), "heads");
  c.head_dim = c.hidden_size / c.num_heads;
  c.rms_norm_eps = number_of(f.said_json("rms_eps"), "rms_eps");
  c.rope_theta = number_of(f.said_json("rope_theta"), "rope_theta");
  c.end_tokens = {};
  check_llama_config(c);
  // before anything is made of a number of layers that the file does not have
  f.require(fmt::format("param.lm.model.layers.{}.input_layernorm.weight", c.num_layers - 1),
            {c.hidden_size});
  if (f.said("rope_layout") != "rotate-half")
    fail_file(f.path(), "rope_layout", "is {}, expected rotate-half", f.said("rope_layout"));
  for (const auto& [name, shape] : llama_parameters(c)) f.require("param.lm." + name, shape);
  return c;
}

template <class B> void check_report_decoder(Fixture& f) {
  const LlamaConfig config = report_decoder_config(f);
  const index_t width = axis_of(f, "input.patches", 3, 2), dim = config.hidden_size;
  f.require("param.projector.0.weight", {dim, width});
  Initializer init = Initializer::without_values();
  ImageProjector<float, B> projector(width, dim, 0, init);
  Llama<float, B> llama(config, init);
  load_state_dict(projector, Group(f, "param.projector."));
  load_state_dict(llama, Group(f, "param.lm."));

  const Var<float, B> patches(f.tensor<B>("input.patches"), true);
  const auto prefix = f.indices<B>("input.prefix"), suffix = f.indices<B>("input.suffix"),
             answer = f.indices<B>("input.answer");
  const Var<float, B> visual = projector(patches);
  f.compare("output.visual", visual.value(), of_an_operator);
  const Var<float, B> states = llama.hidden(
      splice_image(llama, prefix, visual, concat(std::vector{suffix, answer}, 1)));
  f.compare("output.logits", llama.logits(states).value(), of_an_operator);
  const auto labels = f.integers("input.labels");
  const Var<float, B> loss = next_token_loss(llama, states, labels);
  f.compare("output.loss", loss.value(), of_an_operator);
  loss.backward();
  f.compare("grad.patches", patches.grad(), gradient_of_a_network);
  each_parameter(projector, [&](const std::string& name, auto& p) {
    f.compare("grad.projector." + name, p.grad(), gradient_of_a_network);
  });
  each_parameter(llama, [&](const std::string& name, auto& p) {
    f.compare("grad.lm." + name, p.grad(), gradient_of_a_network);
  });

  NoGrad guard;
  const Var<float, B> prompt = splice_image(llama, prefix, visual, suffix);
  const index_t batch = prompt.dim(0), count = axis_of(f, "output.greedy", 2, 1);
  std::vector<std::int64_t> greedy;
  for (index_t i = 0; i < batch; ++i)
    for (const std::int64_t id :
         generate(llama, slice(prompt, 0, i, i + 1), {.max_new_tokens = count}))
      greedy.push_back(id);
  f.compare_exact("output.greedy", greedy, {batch, count});
}

}  // namespace golden
