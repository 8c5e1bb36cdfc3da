// Pictures in the prompt of a language model: a projector gives image tokens the width of the
// decoder, they stand between two pieces of text, and the loss is that of the answer.
// Source: Liu et al. 2023, "Improved baselines with visual instruction tuning"; reference document
// RAD-DINO §9.
#pragma once

#include <hlip/autograd/functions/softmax.hpp>
#include <hlip/models/llama/llama.hpp>

#include <span>
#include <vector>

HLIP_BEGIN

/// Two linear layers with GELU between them; names as LLaVA's mm_projector.
template <class T = float, class B = Cpu> struct ImageProjector {
  using value_type = T;
  using backend = B;
  Linear<T, B> first, second;

  ImageProjector() = default;
  /// @param in width of the image tokens  @param out width of the decoder, and between the layers
  ImageProjector(index_t in, index_t out, double std, Initializer& init)
      : first(in, out, true, std, init), second(out, out, true, std, init) {}
  template <class V> void visit(V&& v) {
    v("0", first);
    v("2", second);
  }
  /// @param x (…, in)  @return (…, out)
  Var<T, B> operator()(const Var<T, B>& x) const {
    return second(first(x, {.activation = Activation::gelu}));
  }
};

/// Embeddings of a prompt: text, image tokens, text.
///
/// @param before, after (batch, tokens), either may have no tokens
/// @param image (batch, tokens, hidden_size)  @return (batch, all tokens, hidden_size)
/// @throws hlip::error when shapes do not fit, naming an id outside the vocabulary
template <class T, class B>
Var<T, B> splice_image(const Llama<T, B>& llama, const Tensor<std::int64_t, B>& before,
                       const Var<T, B>& image, const Tensor<std::int64_t, B>& after) {
  expect_shape("splice_image", "image", image.shape(),
               {{"batch"}, {"tokens"}, {"hidden_size", llama.config.hidden_size}});
  std::vector<Var<T, B>> parts;
  for (const auto* ids : {&before, &after}) {
    if (ids == &after) parts.push_back(image);
    if (ids->numel() == 0) continue;
    expect_shape("splice_image", ids == &before ? "before" : "after", ids->shape(),
                 {{"batch", image.dim(0)}, {"tokens"}});
    parts.push_back(llama.embed(*ids));
  }
  return concat(parts, 1);
}

/// A label of which no loss is asked.
inline constexpr std::int64_t ignored_label = -100;

/// Mean cross-entropy of the next tokens: state t is to foretell label t + 1. Logits are made where
/// there is a label, and nowhere else.
///
/// @param states (batch, tokens, hidden_size) of Llama::hidden
/// @param labels batch · tokens ids, row by row, ignored_label where none is asked for
/// @throws hlip::error when there is no label, too many or too few, or one outside the vocabulary
template <class T, class B>
Var<T, B> next_token_loss(const Llama<T, B>& llama, const Var<T, B>& states,
                          std::span<const std::int64_t> labels) {
  expect_shape("next_token_loss", "states", states.shape(),
               {{"batch"}, {"tokens"}, {"hidden_size", llama.config.hidden_size}});
  const index_t batch = states.dim(0), tokens = states.dim(1);
  expect(static_cast<index_t>(labels.size()) == batch * tokens, "next_token_loss",
         "{} labels, expected {} of {} texts", labels.size(), batch * tokens, batch);
  std::vector<std::int64_t> rows, wanted;
  for (index_t i = 0; i < batch * tokens; ++i) {
    const std::int64_t label = labels[static_cast<std::size_t>(i)];
    if (label == ignored_label || i % tokens == 0) continue;  // nothing foretells the first token
    expect(label >= 0 && label < llama.config.vocab_size, "next_token_loss",
           "label {} is {}, expected 0 to {} or {}", i, label, llama.config.vocab_size - 1,
           ignored_label);
    rows.push_back(i - 1), wanted.push_back(label);
  }
  expect(!rows.empty(), "next_token_loss", "no token has a label");
  const auto tensor = [](const std::vector<std::int64_t>& v) {
    return Tensor<std::int64_t, B>::from_values({static_cast<index_t>(v.size())},
                                                std::span<const std::int64_t>(v));
  };
  const Var<T, B> flat = reshape(states, {batch * tokens, llama.config.hidden_size});
  return cross_entropy(llama.logits(index_select(flat, tensor(rows))), tensor(wanted));
}

HLIP_END
