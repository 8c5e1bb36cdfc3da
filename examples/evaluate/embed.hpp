// From images to embeddings: the part that takes hours.
#pragma once

#include "embeddings.hpp"
#include "model.hpp"
#include "options.hpp"
#include "studies.hpp"

#include <hlip/data/loader.hpp>
#include <hlip/data/problems.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace evaluate {

/// Keeps what is fed to the network where --save-inputs asks for it.
inline void save_input(const Options& o, const Studies& studies, index_t study,
                       const Tensor<float>& input) {
  if (o.save_inputs.empty()) return;
  SafetensorsWriter file;
  file.add("input", input);
  file.metadata("study", studies.name(study));
  file.write(fmt::format("{}/input_{:06}.safetensors", o.save_inputs, study));
}

/// Features of every study that can be read. What is fed to the network is kept, too, where
/// --save-inputs asks for it.
/// @param failed gets a message for each study that cannot be read; the rest goes on without it
inline Embeddings embed(const Options& o, const Model& m, const Studies& studies,
                        Problems& failed) {
  Embeddings e{m.path, {}, {}, 0, m.scale};
  LoaderOptions loading;
  loading.sampler = {.batch_size = 1, .shuffle = false, .drop_last = false};
  loading.skip_bad = true;
  DataLoader loader(studies, loading,
                    [](std::vector<Tensor<float>> batch) { return batch.front(); });
  const index_t n = studies.size(), twentieth = std::max<index_t>(1, n / 20);
  auto said = std::chrono::steady_clock::now();
  try {
    for (index_t done = 0; auto batch = loader.next();) {
      const auto study = batch->indices.front();
      save_input(o, studies, study, batch->data);
      const auto f = m.encode_study(batch->data);
      e.dim = static_cast<index_t>(f.size());
      e.features.insert(e.features.end(), f.begin(), f.end());
      e.studies.push_back(studies.name(study));
      const auto now = std::chrono::steady_clock::now();
      if ((++done % twentieth == 0 && n >= 20) || now - said >= std::chrono::minutes(1)) {
        fmt::print(stderr, "{} of {} studies\n", done, n);
        said = now;
      }
    }
  } catch (...) {  // what took hours is kept
    if (!e.studies.empty()) {
      write_embeddings(o.out + "/embeddings.safetensors", e);
      fmt::print(stderr, "{}/embeddings.safetensors holds the {} studies that were done\n", o.out,
                 e.studies.size());
    }
    throw;
  }
  for (const auto& bad : loader.bad_samples())
    failed.push_back(fmt::format("{}: {}", bad.name, bad.message));
  studies.warnings->finish();
  studies.finish();
  return e;
}

}  // namespace evaluate
