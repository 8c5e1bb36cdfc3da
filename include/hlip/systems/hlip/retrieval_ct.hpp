// How well volumes and reports of a held-out split find each other. Source: reference document HLIP
// §7.4.
#pragma once

#include <hlip/data/loader.hpp>
#include <hlip/datasets/ct_rate/samples.hpp>
#include <hlip/eval/retrieval.hpp>
#include <hlip/models/clip.hpp>

#include <memory>
#include <string>
#include <vector>

HLIP_BEGIN

/// Encodes every pair once, in order and without a graph, and ranks them against each other.
/// @param pairs studies with reports; of several reconstructions the same one is drawn every time
/// @throws hlip::error if a volume cannot be read
template <int Levels, class B>
RetrievalReport evaluate_retrieval(const Clip<Levels, float, B>& model,
                                   std::shared_ptr<const CtRateSamples> pairs,
                                   index_t batch_size = 16, index_t workers = 1) {
  NoGrad guard;
  LoaderOptions loading;
  loading.sampler = {.batch_size = batch_size, .shuffle = false, .drop_last = false};
  loading.workers = workers;
  DataLoader loader(std::move(pairs), loading, CollateImageText<B>{});
  std::vector<double> images, texts;
  const auto append = [](std::vector<double>& to, const Var<float, B>& features) {
    const auto values = features.value().to_vector();
    to.insert(to.end(), values.begin(), values.end());
  };
  while (auto batch = loader.next()) {
    append(images, model.encode_image(Var<float, B>(batch->data.volumes), {}, {},
                                      model.config.report_output()));
    append(texts, model.encode_text(batch->data.ids));
  }
  return retrieval(images, texts, model.config.embed_dim);
}

HLIP_END
