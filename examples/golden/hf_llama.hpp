// Kind hf_llama: a language model in the folder Hugging Face keeps it in, which lies beside the
// fixture: ids of texts and a text of ids, logits under a mask, loss and gradients with pictures in
// the prompt, greedy ids.
#pragma once

#include "fixture.hpp"

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/hf_llama.hpp>
#include <hlip/models/llama/splice.hpp>
#include <hlip/text/sentencepiece.hpp>

namespace golden {

// Source: README.md beside the fixture.
inline constexpr Limit llama_logits{Limit::Scale::tensor, 1e-4};
inline constexpr Limit llama_loss{Limit::Scale::tensor, 1e-5};

/// Ids of texts, and the text of those of the second.
inline void check_llama_tokens(Fixture& f, const SentencePiece& tokenizer) {
  const auto bytes = f.file().values<std::uint8_t>("input.utf8");
  const auto lengths = f.integers("input.utf8_lengths");
  const Shape shape = f.shape("input.utf8"), ids_shape = f.shape("output.ids");
  f.require("input.utf8_lengths", {shape[0]});
  std::vector<std::int64_t> padded;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > shape[1])
      fail_file(f.path(), "input.utf8_lengths", "has {}, expected 0 to {}", lengths[i], shape[1]);
    const auto row = bytes.begin() + static_cast<index_t>(i) * shape[1];
    auto ids = tokenizer.encode(std::string(row, row + lengths[i]));
    if (i == 1) {
      const std::string text = tokenizer.decode(ids);
      f.compare_exact("output.decoded_utf8",
                      std::vector<std::int64_t>(
                          reinterpret_cast<const unsigned char*>(text.data()),
                          reinterpret_cast<const unsigned char*>(text.data()) + text.size()),
                      {1, static_cast<index_t>(text.size())});
    }
    ids.resize(std::max(ids.size(), static_cast<std::size_t>(ids_shape.back())), -1);
    padded.insert(padded.end(), ids.begin(), ids.end());
  }
  const auto rows = static_cast<index_t>(lengths.size());
  f.compare_exact("output.ids", padded, {rows, static_cast<index_t>(padded.size()) / rows});
}

/// Logits of whole texts; what stands at padding means nothing.
template <class B> void check_llama_logits(Fixture& f, const Llama<float, B>& llama) {
  NoGrad guard;
  const auto tokens = f.indices<B>("input.tokens");
  f.require("input.mask", tokens.shape());
  const auto mask = f.integers("input.mask");
  const auto key_mask = Tensor<std::uint8_t, B>::from_values(
      tokens.shape(), std::span<const std::uint8_t>(f.file().values<std::uint8_t>("input.mask")));
  const auto got = llama.logits(llama.hidden(llama.embed(tokens), key_mask)).value();
  const auto want = f.reals("output.logits");
  f.require("output.logits", got.shape());
  auto values = got.to_vector();
  const auto width = static_cast<std::size_t>(llama.config.vocab_size);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (mask[i / width] == 0) values[i] = static_cast<float>(want[i]);
  f.compare("output.logits", std::vector<double>(values.begin(), values.end()), got.shape(),
            llama_logits);
}

/// Loss and gradients of a target behind a prompt with image tokens, and the greedy continuation of
/// that prompt.
template <class B> void check_llama_prompt(Fixture& f, Llama<float, B>& llama) {
  const auto prompt = f.indices<B>("input.prompt"), target = f.indices<B>("input.target");
  const Var<float, B> image(f.tensor<B>("input.image_tokens"), true);
  const index_t count = prompt.dim(1);
  const auto bos = prompt.slice(1, 0, 1).contiguous(),
             rest = prompt.slice(1, 1, count).contiguous();
  const Var<float, B> embedded = splice_image(llama, bos, image,
                                              concat(std::vector{rest, target}, 1));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(embedded.dim(1) - target.dim(1)),
                                   ignored_label);
  for (const std::int64_t id : target.to_vector()) labels.push_back(id);
  const Var<float, B> loss = next_token_loss(llama, llama.hidden(embedded), labels);
  f.compare("output.loss", loss.value(), llama_loss);
  loss.backward();
  f.compare_grad("grad.input.image_tokens", image);
  each_parameter(llama, [&](const std::string& name, auto& p) {
    if (f.contains("grad." + name)) f.compare_grad("grad." + name, p);
  });
  const auto most = size_at(f.config(), "max_new_tokens");
  const auto greedy = generate(llama, splice_image(llama, bos, image, rest),
                               {.max_new_tokens = most, .end_tokens = llama.config.end_tokens});
  f.compare_exact("output.greedy", greedy, {1, static_cast<index_t>(greedy.size())});
}

template <class B> void check_hf_llama(Fixture& f) {
  const Json& model = entry(f.config(), "model");
  if (!model.is_string()) fail("config", "model is {}, expected a folder's name", model.dump());
  const auto path = std::filesystem::path(f.path()).parent_path() / model.get<std::string>();
  check_llama_tokens(f, SentencePiece((path / "tokenizer.model").string()));
  const HfLlama folder(path.string());
  auto llama = folder.load<float, B>();
  check_llama_logits(f, llama);
  check_llama_prompt(f, llama);
}

}  // namespace golden
