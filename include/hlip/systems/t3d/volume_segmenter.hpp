// Masks of volumes: an encoder with its decoder, whole scans through sliding windows, what that is
// worth, and its files. Needs nlohmann_json.
// Source: reference document T3D §7.
#pragma once

#include <hlip/eval/dice.hpp>
#include <hlip/eval/surface_distance.hpp>
#include <hlip/models/segmentation/pyramid_decoder.hpp>
#include <hlip/models/segmentation/sliding_window.hpp>
#include <hlip/systems/t3d/checkpoint_files.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// What a segmenter is made of.
struct VolumeSegmenterConfig {
  ResNet3dConfig encoder;
  std::vector<index_t> widths = {16, 32, 64, 128, 256};  ///< of the decoder, from fine to coarse
  std::vector<std::string> classes;  ///< names of the values 1, 2, …; 0 is background
  SubVolumeInput input;

  index_t outputs() const { return static_cast<index_t>(classes.size()) + 1; }
};

template <class B> struct VolumeSegmenter {
  using value_type = float;
  using backend = B;
  VolumeSegmenterConfig config;
  ResNet3d<float, B> visual;
  PyramidDecoder3d<float, B> decoder;

  VolumeSegmenter() = default;
  VolumeSegmenter(const VolumeSegmenterConfig& c, Initializer& init)
      : config(c), visual(c.encoder, init) {
    decoder = PyramidDecoder3d<float, B>(visual.channels(), visual.strides(), c.encoder.in_chans,
                                         c.widths, c.outputs(), init);
  }
  template <class V> void visit(V&& v) {
    v("visual", visual);
    v("decoder", decoder);
  }
  /// @param volumes (N, in_chans, D, H, W)  @return logits (N, classes, D, H, W)
  Var<float, B> operator()(const Tensor<float, B>& volumes, const Context& context = {}) const {
    const Var<float, B> x(volumes);
    return decoder(visual(x, context), x);
  }
  /// The class of every voxel of a prepared scan. @param voxels (D, H, W) in [0, 1]
  /// @return (D, H, W)
  Tensor<std::uint8_t, Cpu> segment(const Tensor<float, Cpu>& voxels) const {
    NoGrad guard;
    const auto& size = config.input.size;
    const Tensor<float, B> volume = on_backend<B>(
        voxels.reshape({1, voxels.dim(0), voxels.dim(1), voxels.dim(2)}));
    const Tensor<float, B> scores = sliding_window(
        volume, {size[0], size[1], size[2]}, {.batch = 1},
        [&](const Tensor<float, B>& windows) { return (*this)(windows).value(); });
    const Tensor<float, Cpu> at_host = on_backend<Cpu>(scores);
    const index_t n = voxels.numel();
    const auto labels = Tensor<std::uint8_t, Cpu>::zeros(voxels.shape());
    const float* s = at_host.data();
    for (index_t k = 1; k < config.outputs(); ++k)
      for (index_t i = 0; i < n; ++i)
        if (s[k * n + i] > s[labels.data()[i] * n + i])
          labels.data()[i] = static_cast<std::uint8_t>(k);
    return labels;
  }
};

/// Of one volume and class.
struct MaskScore {
  double dice = 0;
  double distance95 = 0;  ///< 95 % surface distance, mm; infinite where one mask alone is empty
  bool present = false;   ///< the class is in the truth
};

/// Scores of every class but the background.
/// @param predicted, truth (D, H, W)  @param spacing mm  @return classes - 1 of them
HLIP_LAZY std::vector<MaskScore> score_labels(const Tensor<std::uint8_t, Cpu>& predicted,
                                              const Tensor<std::uint8_t, Cpu>& truth,
                                              const std::array<double, 3>& spacing,
                                              index_t classes) {
  expect(predicted.shape() == truth.shape(), "score_labels", "predicted is {}, truth {}",
         to_string(predicted.shape()), to_string(truth.shape()));
  const auto n = static_cast<std::size_t>(truth.numel());
  std::vector<MaskScore> scores;
  for (index_t k = 1; k < classes; ++k) {
    std::vector<std::uint8_t> a(n), b(n);
    for (std::size_t i = 0; i < n; ++i)
      a[i] = predicted.data()[i] == k, b[i] = truth.data()[i] == k;
    MaskScore score;
    score.dice = dice(a, b);
    score.present = std::any_of(b.begin(), b.end(), [](std::uint8_t v) { return v != 0; });
    score.distance95 =
        surface_distance(a, b, {truth.dim(0), truth.dim(1), truth.dim(2)}, spacing).hausdorff95;
    scores.push_back(score);
  }
  return scores;
}

/// Writes a segmenter: model.safetensors and model.json.
template <class B>
void write_volume_segmenter(const std::string& folder, VolumeSegmenter<B>& segmenter) {
  std::filesystem::create_directories(folder);
  SafetensorsWriter writer;
  for (const auto& [name, var] : named_parameters(segmenter)) writer.add(name, var->value());
  writer.metadata("format", "pt");
  writer.write(folder + "/model.safetensors");
  Json j;
  j["encoder"] = to_json(segmenter.config.encoder);
  j["input"] = detail::json_of(segmenter.config.input);
  j["widths"] = segmenter.config.widths;
  j["classes"] = segmenter.config.classes;
  atomic_write(folder + "/model.json", j.dump(2) + "\n");
}

/// Reads what write_volume_segmenter has written.
/// @throws hlip::error naming the file and the entry
template <class B> VolumeSegmenter<B> read_volume_segmenter(const std::string& folder) {
  const VolumeEncoderFiles files = read_volume_encoder_files(folder);
  const std::string path = folder + "/model.json";
  const Json j = read_json(path);
  VolumeSegmenterConfig config{files.encoder, {}, {}, files.input};
  try {
    config.widths = j.at("widths").get<std::vector<index_t>>();
    config.classes = j.at("classes").get<std::vector<std::string>>();
  } catch (const Json::exception& e) {
    fail_file(path, "", "is no segmenter: {}", e.what());
  }
  Initializer empty = Initializer::without_values();
  VolumeSegmenter<B> segmenter(config, empty);
  load_state_dict(segmenter, SafetensorsFile(folder + "/model.safetensors"));
  return segmenter;
}

HLIP_END
