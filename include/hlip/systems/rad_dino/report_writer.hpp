// Reports of radiographs: patch tokens of a frozen encoder go through a projector into the prompt
// of a language model, which is taught to go on with the report.
// Source: reference document RAD-DINO §9, "Report generation"; Liu et al. 2023, LLaVA-1.5.
#pragma once

#include <hlip/models/llama/generate.hpp>
#include <hlip/models/llama/splice.hpp>
#include <hlip/models/vit_outputs.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>
#include <hlip/systems/rad_dino/report_tokens.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Pictures with their reports.
template <class B> struct ReportBatch {
  Tensor<float, B> pictures;  ///< (N, in_chans, S, S), prepared
  /// N texts of ids of reports with their end token, each of its own length
  std::vector<std::vector<std::int64_t>> reports;
};

/// Patch tokens that a picture has, prepared so.
HLIP_LAZY index_t patch_tokens_of(const VitConfig& c, const RadiographPreparation& p) {
  const index_t side = p.crop / c.patch_size;
  return side * side;
}

/// Encoder, projector and decoder; of the encoder nothing trains, and it is no parameter of this.
template <class B = Cpu> struct ReportWriter {
  using value_type = float;
  using backend = B;
  PictureEncoder<B> encoder;
  ImageProjector<float, B> projector;
  Llama<float, B> decoder;
  ReportPrompt prompt;

  template <class V> void visit(V&& v) {
    v("projector", projector);
    v("decoder", decoder);
  }
  /// Tokens before a report begins.
  index_t prompt_tokens() const {
    return prompt.tokens() + patch_tokens_of(encoder.vit.config, encoder.preparation);
  }
  /// Embeddings of the prompts of some pictures, with `more` ids behind each.
  /// @param pictures (N, in_chans, S, S)  @param more (N, tokens), or nothing
  /// @return (N, prompt_tokens() + tokens, hidden_size)
  Var<float, B> prompts(const Tensor<float, B>& pictures,
                        const Tensor<std::int64_t, B>& more = {}) const {
    const index_t n = pictures.dim(0);
    const Var<float, B> image = projector(features(pictures));
    const auto repeated = [&](const std::vector<std::int64_t>& ids) {
      std::vector<std::int64_t> all;
      for (index_t i = 0; i < n; ++i) all.insert(all.end(), ids.begin(), ids.end());
      return Tensor<std::int64_t, B>::from_values({n, static_cast<index_t>(ids.size())},
                                                  std::span<const std::int64_t>(all));
    };
    auto after = repeated(prompt.after);
    if (more.numel() > 0) after = concat(std::vector{after, more}, 1);
    return splice_image(decoder, repeated(prompt.before), image, after);
  }
  /// Mean cross-entropy of the tokens of the reports; no loss is asked of the prompts.
  Var<float, B> loss(const ReportBatch<B>& batch) const {
    const index_t n = batch.pictures.dim(0), before = prompt_tokens();
    std::size_t longest = 0;
    for (const auto& ids : batch.reports) longest = std::max(longest, ids.size());
    std::vector<std::int64_t> read, labels;
    for (const auto& ids : batch.reports) {
      labels.insert(labels.end(), static_cast<std::size_t>(before), ignored_label);
      labels.insert(labels.end(), ids.begin(), ids.end());
      labels.insert(labels.end(), longest - ids.size(), ignored_label);
      read.insert(read.end(), ids.begin(), ids.end());
      // what stands behind the end is seen by nobody
      read.insert(read.end(), longest - ids.size(), ids.back());
    }
    const auto ids = Tensor<std::int64_t, B>::from_values({n, static_cast<index_t>(longest)},
                                                          std::span<const std::int64_t>(read));
    return next_token_loss(decoder, decoder.hidden(prompts(batch.pictures, ids)), labels);
  }
  /// The reports that the decoder goes on with, as ids; all pictures go on together.
  /// @param pictures (N, in_chans, S, S)
  std::vector<std::vector<std::int64_t>> write(const Tensor<float, B>& pictures,
                                               const GenerateOptions& options) const {
    NoGrad guard;
    return generate_each(decoder, prompts(pictures), options);
  }

 private:
  /// Patch tokens after the last block and the final norm, without gradients: (N, tokens, C).
  Var<float, B> features(const Tensor<float, B>& pictures) const {
    NoGrad guard;
    return Var<float, B>(
        vit_features(encoder.vit, Var<float, B>(pictures)).patches.value().contiguous());
  }
};

HLIP_END
