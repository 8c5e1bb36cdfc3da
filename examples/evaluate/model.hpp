// A trained model behind functions: what follows is compiled once, whatever device it is on.
#pragma once

#include "options.hpp"

#include <hlip/cli/device.hpp>
#include <hlip/imaging/preprocess_ct.hpp>
#include <hlip/imaging/preprocess_mri.hpp>
#include <hlip/io/file.hpp>
#include <hlip/systems/hlip/published_model.hpp>
#include <hlip/systems/hlip/trained_model.hpp>
#include <hlip/systems/hlip/zero_shot.hpp>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace evaluate {

/// A trained model on whatever device: what is known about it, and features of length 1 from its
/// towers.
struct Model {
  std::string path, table;
  ClipConfig config;
  CtPreset preset;
  std::optional<MriPreset> mri;
  double scale = 1;  ///< exp(logit_scale)
  /// Of (N, D, H, W).
  std::function<std::vector<double>(const Tensor<float>&)> encode_study;
  /// Row-major (prompts, dim).
  std::function<std::vector<double>(const std::vector<std::string>&)> encode_prompts;
};

template <class B> Model load_model(B, const Options& o) {
  const auto t = std::make_shared<const TrainedModel<3, B>>(
      is_file(o.checkpoint)
          ? load_published_model<3, B>(o.checkpoint, clip_config_named(o.model), o.vocab)
          : load_trained_model<3, B>(o.checkpoint));
  const double scale = std::exp(static_cast<double>(t->model.logit_scale.item()));
  Model m{t->path, t->table, t->model.config, t->preset, t->mri, scale, {}, {}};
  m.encode_study = [t](const Tensor<float>& scans) {
    NoGrad guard;
    const Shape s = scans.shape();
    const auto study = scans.reshape({1, s[0], 1, s[1], s[2], s[3]});
    const auto embedded = t->model.encode_image(Var<float, B>(on_backend<B>(study)));
    const auto features = embedded.value().to_vector();
    return std::vector<double>(features.begin(), features.end());
  };
  m.encode_prompts = [t](const std::vector<std::string>& prompts) {
    return encode_prompts(t->model, *t->tokenizer, prompts);
  };
  return m;
}

/// The model of --checkpoint on the device of --device.
inline Model load_model(const Options& o) {
  apply_precision(o.device, o.precision);
  return on_device(o.device, [&](auto device) { return load_model(device, o); });
}

}  // namespace evaluate
