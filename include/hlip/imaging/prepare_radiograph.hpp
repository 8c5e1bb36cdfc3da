// From a radiograph to the input of a vision transformer, as the public RAD-DINO prepares it.
// Source: transformers, BitImageProcessor.
#pragma once

#include <hlip/backend/cpu.hpp>
#include <hlip/imaging/augment/normalize.hpp>
#include <hlip/imaging/augment/resized_crop.hpp>
#include <hlip/imaging/radiograph.hpp>
#include <hlip/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>

HLIP_BEGIN

/// All choices between a picture and the network. The defaults are those of the public RAD-DINO.
struct RadiographPreparation {
  index_t shorter_side = 518;  ///< the picture is resized to it, the longer side in proportion
  index_t crop = 518;          ///< side of the square that is cut from its centre
  ByteResize resize = ByteResize::bicubic;
  LevelScale levels = rad_dino_levels;
  /// Refuses pictures with a shorter side: a picture of a few pixels is no radiograph.
  index_t least_side = 16;
  friend bool operator==(const RadiographPreparation&, const RadiographPreparation&) = default;
};

/// Throws unless the preparation can be carried out.
HLIP_LAZY void check_preparation(const RadiographPreparation& p) {
  expect(p.shorter_side >= 1 && p.shorter_side <= 16384 && p.crop >= 1 && p.crop <= p.shorter_side,
         "radiograph preparation",
         "a crop of {} from a shorter side of {}, expected 1 to the shorter side, and that at most "
         "16384",
         p.crop, p.shorter_side);
  expect(p.least_side >= 1, "radiograph preparation", "least_side {}, expected 1 or more",
         p.least_side);
  check_levels(p.levels);
}

/// Where the centre of a picture lies once its shorter side has been resized.
struct ResizedCentre {
  index_t height = 0, width = 0;  ///< of the whole picture, resized
  CropBox part;                   ///< of it, what is kept
};

/// The centre that a preparation keeps of a picture of this size.
HLIP_LAZY ResizedCentre resized_centre(index_t height, index_t width,
                                       const RadiographPreparation& p) {
  const index_t shorter = std::min(height, width), longer = std::max(height, width);
  const auto stretched = static_cast<index_t>(static_cast<double>(p.shorter_side * longer) /
                                              static_cast<double>(shorter));
  ResizedCentre c;
  c.height = height <= width ? p.shorter_side : stretched;
  c.width = height <= width ? stretched : p.shorter_side;
  c.part = {(c.height - p.crop) / 2, (c.width - p.crop) / 2, p.crop, p.crop};
  return c;
}

/// The prepared picture in 8 bits, (1, crop, crop): windowed (to_byte_picture: pictures of more
/// bits lose them here), resized by Pillow's arithmetic, cut about its centre.
/// @throws hlip::error naming the file for a picture smaller than `least_side`
HLIP_LAZY BytePicture centre_of_radiograph(const Radiograph& x,
                                           const RadiographPreparation& p = {}) {
  check_preparation(p);
  if (std::min(x.height, x.width) < p.least_side)
    fail_file(x.source.empty() ? "radiograph" : x.source, "",
              "a picture of {} x {} pixels, expected at least {} a side", x.height, x.width,
              p.least_side);
  const ResizedCentre c = resized_centre(x.height, x.width, p);
  return resized_crop(to_byte_picture(x), {0, 0, x.height, x.width}, c.height, c.width, p.resize,
                      c.part);
}

/// A radiograph as the network takes it: see centre_of_radiograph; the grey channel is normalised
/// and repeated. Pixels agree with the published package to its own rounding.
/// @return (3, crop, crop)  @throws hlip::error as centre_of_radiograph
HLIP_LAZY Tensor<float, Cpu> prepare_radiograph(const Radiograph& x,
                                                const RadiographPreparation& p = {}) {
  return normalize(centre_of_radiograph(x, p), p.levels, 3);
}

HLIP_END
