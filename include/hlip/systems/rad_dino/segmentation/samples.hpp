// Radiographs with masks as samples: prepared alike, moved alike. Needs libcsv, libpng and libjpeg.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/core/random.hpp>
#include <hlip/datasets/chest_xray/masks.hpp>
#include <hlip/imaging/augment/colour.hpp>
#include <hlip/imaging/augment/normalize.hpp>
#include <hlip/imaging/augment/warp.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <exception>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// How pictures and masks are changed at random.
/// Source: reference document RAD-DINO §9 names the changes; how strong they are is a choice.
struct MaskAugmentation {
  WarpOptions warp;
  double brightness = 0.2, contrast = 0.2;  ///< factors from 1 - x to 1 + x
  double gamma = 0.3;                       ///< the exponent's logarithm, either way
};

/// Changes of this strength: 1 as above, 0 none.
HLIP_LAZY MaskAugmentation mask_augmentation(double strength, double flip) {
  MaskAugmentation a;
  for (double* x : {&a.warp.rotation, &a.warp.scale, &a.warp.translation, &a.warp.elastic,
                    &a.brightness, &a.contrast, &a.gamma})
    *x *= strength;
  a.warp.flip = flip;
  return a;
}

/// A picture as a network sees it, with its masks.
struct MaskedPicture {
  index_t height = 0, width = 0;  ///< of the file
  BytePicture grey;               ///< (1, S, S)
  PictureMasks masks;
};

/// Changes a picture and its masks. A pure function of its arguments.
/// @param key names the draw: seed, epoch and number of the picture
HLIP_LAZY void augment_masked(MaskedPicture& x, const MaskAugmentation& a, RandomKey key) {
  const Warp warp(x.grey.height, x.grey.width, a.warp, key);
  x.grey = warp.picture(x.grey);
  const std::size_t pixels = x.grey.plane_size();
  for (std::size_t k = 0; k < x.masks.known.size(); ++k)
    if (x.masks.known[k]) warp.mask(std::span(x.masks.levels).subspan(k * pixels, pixels));
  RandomStream random(key, std::uint64_t{1} << 32);
  const double brightness = random.uniform(1 - a.brightness, 1 + a.brightness),
               contrast = random.uniform(1 - a.contrast, 1 + a.contrast),
               gamma = std::exp(random.uniform(-a.gamma, a.gamma));
  adjust_brightness(x.grey, brightness);
  adjust_contrast(x.grey, contrast);
  adjust_gamma(x.grey, gamma);
}

/// What of a collection is looked at.
struct MaskedFiles {
  std::vector<std::string> names, pictures;
  std::vector<std::vector<std::string>> masks;  ///< as mask_files gives them; empty: none is known
  std::vector<MaskStructure> structures;

  std::size_t size() const { return pictures.size(); }
  /// Whether any picture has a mask.
  bool knows_any() const {
    const auto known = [](const std::string& path) { return !path.empty(); };
    return std::any_of(masks.begin(), masks.end(), [&](const auto& of_picture) {
      return std::any_of(of_picture.begin(), of_picture.end(), known);
    });
  }
  /// Some of them, in the order given.
  HLIP_LAZY MaskedFiles subset(const std::vector<std::size_t>& chosen) const {
    MaskedFiles out;
    out.structures = structures;
    for (const std::size_t i : chosen) {
      out.names.push_back(names[i]), out.pictures.push_back(pictures[i]);
      if (!masks.empty()) out.masks.push_back(masks[i]);
    }
    return out;
  }
};

/// Radiographs with masks. A changed one is a function of seed, epoch and picture alone.
class MaskedRadiographs {
 public:
  /// @param augmentation or none: pictures as they are
  MaskedRadiographs(MaskedFiles files, const RadiographPreparation& preparation,
                    std::optional<MaskAugmentation> augmentation = {})
      : files_(std::move(files)), preparation_(preparation), augmentation_(augmentation) {
    expect(files_.size() > 0, "masks", "no pictures");
  }
  const MaskedFiles& files() const { return files_; }
  const RadiographPreparation& preparation() const { return preparation_; }
  index_t size() const { return static_cast<index_t>(files_.size()); }
  const std::string& name(index_t i) const { return files_.names[static_cast<std::size_t>(i)]; }
  MaskedPicture get(index_t i, const RandomKey& key) const {
    const auto k = static_cast<std::size_t>(i);
    const Radiograph picture = read_radiograph(files_.pictures[k]);
    MaskedPicture x{picture.height, picture.width, centre_of_radiograph(picture, preparation_), {}};
    const std::span<const std::string> none;
    x.masks = read_masks(picture, files_.masks.empty() ? none : std::span(files_.masks[k]),
                         files_.structures, preparation_);
    if (augmentation_) augment_masked(x, *augmentation_, key);
    return x;
  }

 private:
  MaskedFiles files_;
  RadiographPreparation preparation_;
  std::optional<MaskAugmentation> augmentation_;
};

/// The classes that are known of pictures, counted for each of them: by these a mean of losses of
/// batches is the loss of all.
inline std::ptrdiff_t known_masks(const std::vector<MaskedPicture>& pictures) {
  std::ptrdiff_t n = 0;
  for (const auto& x : pictures)
    n += std::count(x.masks.known.begin(), x.masks.known.end(), char{1});
  return n;
}

template <class B> struct MaskBatch {
  Tensor<float, B> pictures;  ///< (N, C, S, S)
  Tensor<float, B> masks;     ///< (N, classes, S, S): 1 inside, 0 outside, NaN not known
};

/// @param levels what grey becomes  @param channels of the pictures, 1 or 3 equal ones
template <class B>
MaskBatch<B> collate_masks(const std::vector<MaskedPicture>& samples, const LevelScale& levels,
                           index_t channels) {
  const auto n = static_cast<index_t>(samples.size());
  const index_t side = samples[0].grey.height,
                classes = static_cast<index_t>(samples[0].masks.known.size());
  auto pictures = Tensor<float, Cpu>::empty({n, channels, side, side}),
       masks = Tensor<float, Cpu>::empty({n, classes, side, side});
  float *picture = pictures.data(), *mask = masks.data();
  for (const auto& x : samples) {
    normalize_into(x.grey, levels, channels, picture);
    picture += channels * side * side;
    const std::uint8_t* level = x.masks.levels.data();
    for (const char known : x.masks.known)
      for (index_t i = 0; i < side * side; ++i, ++level)
        *mask++ = known ? static_cast<float>(*level != 0) : std::numeric_limits<float>::quiet_NaN();
  }
  return {on_backend<B>(pictures), on_backend<B>(masks)};
}

/// Reads samples a batch at a time, each batch by all threads: fn(numbers, pictures). Samples of
/// the same number are the same every time.
/// @param problems gets a message for each that cannot be read; none: the first such ends it
/// @throws hlip::error naming the first that cannot be read
template <class Fn>
void each_masked_batch(const MaskedRadiographs& samples, index_t batch_size,
                       std::vector<std::string>* problems, Fn fn) {
  for (index_t first = 0; first < samples.size(); first += batch_size) {
    const auto n = static_cast<std::ptrdiff_t>(std::min(batch_size, samples.size() - first));
    std::vector<MaskedPicture> read(static_cast<std::size_t>(n)), batch;
    std::vector<std::string> faults(static_cast<std::size_t>(n));
#pragma omp parallel for schedule(dynamic)
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      try {
        read[static_cast<std::size_t>(i)] = samples.get(first + i, {});
      } catch (const std::exception& e) {
        faults[static_cast<std::size_t>(i)] = e.what();
      }
    }
    std::vector<index_t> numbers;
    for (std::size_t i = 0; i < faults.size(); ++i) {
      if (faults[i].empty()) {
        numbers.push_back(first + static_cast<index_t>(i));
        batch.push_back(std::move(read[i]));
      } else if (problems) {
        problems->push_back(faults[i]);
      } else {
        throw error(faults[i]);
      }
    }
    if (!batch.empty()) fn(numbers, batch);
  }
}

HLIP_END
