// A radiograph: one grey picture as its file holds it, with the levels that are shown black and
// white.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// What a picture may ask for before it is refused.
struct RadiographLimits {
  index_t max_side = 20000;                             ///< pixels
  index_t max_pixels = index_t{1} << 26;                ///< height x width
  std::size_t max_file_bytes = std::size_t{1} << 30;    ///< of PNG and JPEG files
  std::uint64_t max_inflated = std::uint64_t{1} << 30;  ///< contents of a deflated DICOM file
};

/// One grey picture. Low levels are dark, whatever the file's convention was.
struct Radiograph {
  index_t height = 0, width = 0;
  int bits = 8;  ///< of a level, 1 to 16
  /// (height, width): rows from the top, each from the left; 0 … 2^bits - 1
  std::vector<std::uint16_t> levels = {};
  /// The levels shown black and white; what lies between is linear, what lies beyond is clipped.
  std::array<double, 2> window = {0, 255};
  /// mm between rows and between columns, where the file says so. Of a projection: on the detector,
  /// unless the file was calibrated to the patient.
  std::optional<std::array<double, 2>> spacing = {};
  std::string source = {};  ///< file it came from
};

/// Refuses sizes before anything is allocated. @param place where the file says them
/// @throws hlip::error naming file, sizes and limit
HLIP_LAZY void expect_radiograph_size(std::string_view path, std::string_view place,
                                      std::uint64_t height, std::uint64_t width,
                                      const RadiographLimits& limits) {
  const auto side = static_cast<std::uint64_t>(limits.max_side);
  if (height < 1 || width < 1 || height > side || width > side)
    fail_file(path, place, "{} x {} pixels, expected 1 to {} a side", height, width, side);
  if (height * width > static_cast<std::uint64_t>(limits.max_pixels))
    fail_file(path, place, "{} x {} pixels, the limit is {} in all", height, width,
              limits.max_pixels);
}

/// The smallest and the largest level, as a window; of a picture of one level {level, level}.
HLIP_LAZY std::array<double, 2> whole_range(const std::vector<std::uint16_t>& levels) {
  if (levels.empty()) return {0, 0};
  const auto [low, high] = std::minmax_element(levels.begin(), levels.end());
  return {static_cast<double>(*low), static_cast<double>(*high)};
}

HLIP_END
