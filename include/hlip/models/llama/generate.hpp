// Continuing a text: greedy and beam search with a cache of keys and values.
#pragma once

#include <hlip/models/llama/beam_search.hpp>
#include <hlip/models/llama/llama.hpp>

#include <span>
#include <utility>
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

/// The most probable continuation of each of several prompts of one length, as greedy or beam
/// search finds it. Nothing is drawn. All go on together; one that has ended takes no more work.
///
/// @param prompts (batch, tokens, hidden_size): of Llama::embed or splice_image
/// @return the new tokens of each, an end token included
/// @throws hlip::error when prompt and new tokens have no place in the model's positions
template <class T, class B>
std::vector<std::vector<std::int64_t>> generate_each(const Llama<T, B>& llama,
                                                     const Var<T, B>& prompts,
                                                     const GenerateOptions& options) {
  NoGrad guard;
  expect_shape("generate", "prompts", prompts.shape(),
               {{"batch"}, {"tokens"}, {"hidden_size", llama.config.hidden_size}});
  expect(prompts.numel() > 0, "generate", "the prompt has no tokens");
  std::vector<BeamSearch> searches(static_cast<std::size_t>(prompts.dim(0)), BeamSearch(options));
  std::vector<std::size_t> texts(searches.size(), 1);  // of each search, side by side in the cache
  const auto vocabulary = static_cast<std::size_t>(llama.config.vocab_size);
  // the last token is never read again
  LlamaCache<T, B> cache(llama.config, prompts.dim(0), prompts.dim(1) + options.max_new_tokens - 1);
  Var<T, B> states = llama.hidden(prompts, {}, &cache);
  for (;;) {
    const std::vector<float> logits = detail::last_logits(llama, states);
    std::vector<std::int64_t> rows, tokens;
    std::size_t first = 0;
    for (std::size_t i = 0; i < searches.size(); ++i) {
      const std::size_t own = std::exchange(texts[i], 0);
      if (own == 0) continue;
      const auto next = searches[i].step(
          std::span(logits).subspan(first * vocabulary, own * vocabulary));
      if (!searches[i].done()) texts[i] = next.size();
      for (std::size_t k = 0; k < texts[i]; ++k) {
        rows.push_back(static_cast<std::int64_t>(first) + next[k].first);
        tokens.push_back(next[k].second);
      }
      first += own;
    }
    if (rows.empty()) break;
    cache.select(rows);
    const auto ids = Tensor<std::int64_t, B>::from_values({static_cast<index_t>(tokens.size()), 1},
                                                          std::span<const std::int64_t>(tokens));
    states = llama.hidden(llama.embed(ids), {}, &cache);
  }
  std::vector<std::vector<std::int64_t>> best;
  for (auto& search : searches) best.push_back(search.best());
  return best;
}

/// The same of one prompt. @param prompt (1, tokens, hidden_size)
template <class T, class B>
std::vector<std::int64_t> generate(const Llama<T, B>& llama, const Var<T, B>& prompt,
                                   const GenerateOptions& options) {
  expect_shape("generate", "prompt", prompt.shape(),
               {{"batch", 1}, {"tokens"}, {"hidden_size", llama.config.hidden_size}});
  return generate_each(llama, prompt, options)[0];
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
