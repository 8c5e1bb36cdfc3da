// Continuing a text: greedy and beam search with a cache of keys and values.
#pragma once

#include <hlip/models/llama/beam_search.hpp>
#include <hlip/models/llama/llama.hpp>

#include <span>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Logits of the token behind the last of each text, row by row.
template <class T, class B>
std::vector<float> last_logits(const Llama<T, B>& llama, const Var<T, B>& states) {
  const index_t tokens = states.dim(1);
  const auto values = llama.logits(select(states, 1, tokens - 1)).value().to_vector();
  return std::vector<float>(values.begin(), values.end());
}

}  // namespace detail

/// The most probable continuation of a prompt, as greedy or beam search finds it. Nothing is drawn.
///
/// @param prompt (1, tokens, hidden_size): of Llama::embed or splice_image
/// @return the new tokens, an end token included
/// @throws hlip::error when prompt and new tokens have no place in the model's positions
template <class T, class B>
std::vector<std::int64_t> generate(const Llama<T, B>& llama, const Var<T, B>& prompt,
                                   const GenerateOptions& options) {
  NoGrad guard;
  expect_shape("generate", "prompt", prompt.shape(),
               {{"batch", 1}, {"tokens"}, {"hidden_size", llama.config.hidden_size}});
  expect(prompt.dim(1) > 0, "generate", "the prompt has no tokens");
  BeamSearch search(options);
  // the last token is never read again
  LlamaCache<T, B> cache(llama.config, 1, prompt.dim(1) + options.max_new_tokens - 1);
  Var<T, B> states = llama.hidden(prompt, {}, &cache);
  for (;;) {
    const auto next = search.step(detail::last_logits(llama, states));
    if (search.done() || next.empty()) return search.best();
    std::vector<std::int64_t> rows, tokens;
    for (const auto& [row, token] : next) rows.push_back(row), tokens.push_back(token);
    cache.select(rows);
    const auto ids = Tensor<std::int64_t, B>::from_values({static_cast<index_t>(tokens.size()), 1},
                                                          std::span<const std::int64_t>(tokens));
    states = llama.hidden(llama.embed(ids), {}, &cache);
  }
}

/// The same of a prompt of token ids. @param prompt ids  @throws hlip::error also naming an id
/// outside the vocabulary
template <class T, class B>
std::vector<std::int64_t> generate(const Llama<T, B>& llama, std::span<const std::int64_t> prompt,
                                   const GenerateOptions& options) {
  NoGrad guard;
  return generate(llama,
                  llama.embed(Tensor<std::int64_t, B>::from_values(
                      {1, static_cast<index_t>(prompt.size())}, prompt)),
                  options);
}

HLIP_END
