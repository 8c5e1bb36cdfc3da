// Features of many radiographs: read by all threads, encoded a batch at a time.
#pragma once

#include <hlip/eval/feature_file.hpp>
#include <hlip/imaging/read_radiograph.hpp>
#include <hlip/systems/rad_dino/picture_encoder.hpp>
#include <hlip/systems/rad_dino/shuffle_patches.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

struct EncodeOptions {
  index_t batch_size = 16;
  bool patches = true;           ///< keep patch tokens too
  bool skip_bad = false;         ///< leave out pictures that cannot be read
  bool shuffle_patches = false;  ///< the control: every picture has its patches in random order
};

/// What came of some pictures.
struct EncodedPictures {
  FeatureFile features;
  std::vector<std::string> problems;  ///< of pictures left out
};

/// Some pictures, prepared by all threads. Faults keep their place and are told in order.
/// @param first number of the first of them, which the order of its patches depends on
/// @param faults gets what is wrong with each picture, or nothing
/// @return (1, in_chans, S, S) each, nothing for one that is faulty
template <class B>
std::vector<Tensor<float, B>> prepare_pictures(const PictureEncoder<B>& encoder,
                                               std::span<const std::string> files, index_t first,
                                               const EncodeOptions& o,
                                               std::vector<std::string>& faults) {
  std::vector<Tensor<float, B>> prepared(files.size());
  faults.assign(files.size(), "");
  const auto n = static_cast<std::ptrdiff_t>(files.size());
#pragma omp parallel for schedule(dynamic)
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const auto k = static_cast<std::size_t>(i);
    try {
      Radiograph picture = read_radiograph(files[k]);
      if (o.shuffle_patches)
        picture = shuffled_radiograph(picture, encoder.preparation.crop,
                                      encoder.vit.config.patch_size,
                                      static_cast<std::uint64_t>(first + i));
      prepared[k] = encoder.prepare(picture);
    } catch (const std::exception& e) {
      faults[k] = e.what();
    }
  }
  return prepared;
}

namespace detail {

/// Appends the features of a batch. @throws hlip::error naming the picture for what is not finite
HLIP_LAZY void append_features(std::vector<float>& all, const std::vector<float>& batch,
                               std::span<const std::string> names, const std::string& encoder) {
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (!std::isfinite(batch[i]))
      fail_file(names[i / (batch.size() / names.size())], "",
                "a feature is {} (hint: the weights of {} may be damaged)",
                static_cast<double>(batch[i]), encoder);
  all.insert(all.end(), batch.begin(), batch.end());
}

}  // namespace detail

/// Class tokens, and patch tokens if wanted, of the teacher or whatever the encoder is.
/// @param files of the pictures  @param names what the feature file calls them
/// @param progress called as progress(done, all) after every batch
/// @throws hlip::error naming the first picture that cannot be read, unless bad ones are skipped;
/// a picture whose features are not finite; and when none is left
template <class B, class Progress>
EncodedPictures encode_pictures(const PictureEncoder<B>& encoder,
                                const std::vector<std::string>& files,
                                const std::vector<std::string>& names, const EncodeOptions& o,
                                Progress progress) {
  NoGrad guard;
  EncodedPictures result;
  FeatureFile& f = result.features;
  f.encoder = encoder.name;
  f.width = encoder.vit.config.embed_dim;
  const auto size = static_cast<index_t>(files.size());
  for (index_t first = 0; first < size; first += o.batch_size) {
    const auto begin = static_cast<std::size_t>(first),
               count = static_cast<std::size_t>(std::min(o.batch_size, size - first));
    std::vector<std::string> faults;
    const auto prepared = prepare_pictures(encoder, std::span(files).subspan(begin, count), first,
                                           o, faults);
    std::vector<Tensor<float, B>> batch;
    for (std::size_t i = 0; i < count; ++i) {
      if (faults[i].empty()) {
        batch.push_back(prepared[i]);
        f.files.push_back(names[begin + i]);
      } else if (o.skip_bad) {
        result.problems.push_back(faults[i]);
      } else {
        throw error(faults[i]);
      }
    }
    if (!batch.empty()) {
      const VitTokens<float, B> tokens = encoder.vit({Var<float, B>(concat(batch, 0))});
      const VitGrid& g = tokens.grids[0];
      const VitFeatures<float, B> features = features_of(encoder.vit.norm(tokens.x), g);
      const auto encoded = std::span<const std::string>(f.files).last(batch.size());
      detail::append_features(f.cls, features.cls.value().to_vector(), encoded, f.encoder);
      if (o.patches) {
        f.rows = g.rows, f.columns = g.columns;
        detail::append_features(f.patches, features.patches.value().to_vector(), encoded,
                                f.encoder);
      }
    }
    progress(std::min(first + o.batch_size, size), size);
  }
  expect(!f.files.empty(), "encode", "none of {} pictures could be read{}", size,
         result.problems.empty() ? "" : ": " + result.problems.front());
  return result;
}

HLIP_END
