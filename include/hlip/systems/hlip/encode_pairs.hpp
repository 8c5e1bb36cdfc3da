// A batch of images and texts as features for the loss.
#pragma once

#include <hlip/data/image_text.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/train/accumulation.hpp>

#include <vector>

HLIP_BEGIN

/// One pair for each output of the encoder. All learn the text of the study; with two text targets
/// the first learns the sentence instead.
/// @throws hlip::error when the model has two text targets and the batch no sentences
template <int Levels, class B>
PairFeatures<float, B> encode_pairs(const Clip<Levels, float, B>& model,
                                    const ImageTextBatch<B>& batch, const Context& context) {
  const index_t outputs = model.config.vision.outputs(), studies = batch.ids.dim(0);
  const Var<float, B> images = model.encode_image_outputs(Var<float, B>(batch.volumes), context),
                      report = model.encode_text(batch.ids, context);
  if (outputs == 1) return {images, report};
  std::vector<Var<float, B>> texts(static_cast<std::size_t>(outputs), report);
  if (model.config.dual_text) {
    expect(batch.sentences.rank() == 2 && batch.sentences.dim(0) == studies, "encode_pairs",
           "sentences are {}, expected one for each of {} studies: {} has two text targets",
           to_string(batch.sentences.shape()), studies, model.config.name);
    texts[0] = model.encode_text(batch.sentences, context.child(13));
  }
  for (auto& text : texts) text = reshape(text, {studies, 1, model.config.embed_dim});
  return {images, reshape(concat(texts, 1), {studies * outputs, model.config.embed_dim}), outputs};
}

HLIP_END
