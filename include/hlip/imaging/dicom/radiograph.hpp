// A DICOM file of one frame to a Radiograph. Needs DCMTK, OpenJPEG and zlib (CMake component
// dicom).
#pragma once

#include <hlip/imaging/dicom/file.hpp>
#include <hlip/imaging/radiograph.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {

/// Where stored values lie among levels: what is signed begins at 0, what shows high values dark is
/// turned round.
class DicomLevels {
 public:
  explicit DicomLevels(const DicomHeader& h)
      : top_((1 << h.bits_stored) - 1),
        lowest_(h.is_signed ? 1 << (h.bits_stored - 1) : 0),
        slope_(h.frames.front().slope.value_or(1)),
        intercept_(h.frames.front().intercept.value_or(0)),
        turned_((h.photometric == "MONOCHROME1") != (slope_ < 0)),
        high_is_dark_(h.photometric == "MONOCHROME1") {}

  double level(double stored) const {
    const double up = stored + lowest_;
    return turned_ ? top_ - up : up;
  }
  std::uint16_t level(std::int32_t stored) const {
    return static_cast<std::uint16_t>(level(static_cast<double>(stored)));
  }
  double value(std::int32_t stored) const { return slope_ * stored + intercept_; }
  /// The levels of two rescaled values, in order.
  std::array<double, 2> window(double low, double high) const {
    std::array<double, 2> out = {level((low - intercept_) / slope_),
                                 level((high - intercept_) / slope_)};
    if (out[0] > out[1]) std::swap(out[0], out[1]);
    return out;
  }
  bool high_is_dark() const { return high_is_dark_; }

 private:
  double top_, lowest_, slope_, intercept_;
  bool turned_, high_is_dark_;
};

/// From the smallest to the largest level that is no padding; if there is nothing else, of all.
HLIP_LAZY std::array<double, 2> range_without_padding(const DicomImage& image,
                                                      const Radiograph& picture) {
  if (!image.header.padding) return whole_range(picture.levels);
  const auto [first, last] = *image.header.padding;
  std::vector<std::uint16_t> shown;
  for (std::size_t i = 0; i < image.samples.size(); ++i)
    if (image.samples[i] < first || image.samples[i] > last) shown.push_back(picture.levels[i]);
  return whole_range(shown.empty() ? picture.levels : shown);
}

}  // namespace detail

/// Reads a picture from DICOM: MONOCHROME2, or MONOCHROME1, which is turned so that low levels are
/// dark. Levels are the stored bits, and the window is that of the file: its first WindowCenter and
/// WindowWidth, read as VOILUTFunction says (a sigmoid is applied, which gives 16 bits). Without
/// them it reaches from the smallest to the largest level that is not padding; tables (VOI LUT
/// Sequence) are not applied. Spacing is PixelSpacing or, without it, ImagerPixelSpacing.
/// @throws hlip::error for colour, for several frames, and as read_dicom_file
HLIP_LAZY Radiograph read_dicom_radiograph(const std::string& path,
                                           const RadiographLimits& limits = {}) {
  DicomLimits dicom;
  dicom.max_frame_pixels = limits.max_pixels;
  dicom.max_inflated = limits.max_inflated;
  dicom.max_frames = 1;
  const DicomImage image = read_dicom_file(path, dicom);
  const DicomHeader& h = image.header;
  const DicomFrame& frame = h.frames.front();
  expect_radiograph_size(path, "Rows", static_cast<std::uint64_t>(h.rows),
                         static_cast<std::uint64_t>(h.columns), limits);
  if (frame.slope && *frame.slope == 0) fail_file(path, "RescaleSlope", "is 0");
  const detail::DicomLevels levels(h);
  Radiograph out;
  out.height = h.rows, out.width = h.columns, out.bits = h.bits_stored, out.source = path;
  out.levels.resize(image.samples.size());
  for (std::size_t i = 0; i < out.levels.size(); ++i)
    out.levels[i] = levels.level(image.samples[i]);
  out.spacing = frame.spacing ? frame.spacing : frame.imager_spacing;
  if (out.spacing && !((*out.spacing)[0] > 0 && (*out.spacing)[1] > 0)) out.spacing = {};

  if (!frame.window) {
    out.window = detail::range_without_padding(image, out);
  } else if (const auto [centre, width] = *frame.window;
             frame.windowing == DicomWindowing::sigmoid) {
    for (std::size_t i = 0; i < out.levels.size(); ++i) {
      const double bright = 1 /
                            (1 + std::exp(-4 * (levels.value(image.samples[i]) - centre) / width));
      out.levels[i] = static_cast<std::uint16_t>(
          std::lround(65535 * (levels.high_is_dark() ? 1 - bright : bright)));
    }
    out.bits = 16;
    out.window = {0, 65535};
  } else {
    const bool whole = frame.windowing == DicomWindowing::linear;  // its steps are whole numbers
    const double middle = whole ? centre - 0.5 : centre, half = (whole ? width - 1 : width) / 2;
    out.window = levels.window(middle - half, middle + half);
  }
  return out;
}

HLIP_END
