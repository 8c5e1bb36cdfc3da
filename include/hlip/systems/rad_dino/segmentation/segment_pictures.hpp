// Masks of radiographs from a segmenter, what they are worth, and as files have them.
#pragma once

#include <hlip/eval/dice.hpp>
#include <hlip/eval/dice_table.hpp>
#include <hlip/systems/rad_dino/segmentation/samples.hpp>
#include <hlip/systems/rad_dino/segmentation/segmenter.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Segments pictures, a batch at a time: take(number, picture, logits), with the logits
/// (classes, S, S) of each class; above 0 a pixel is inside.
/// @param problems as of each_masked_batch
/// @throws hlip::error naming a picture whose logits are not finite, and as each_masked_batch
template <class B, class Take>
void segment_pictures(const Segmenter<B>& segmenter, const MaskedRadiographs& pictures,
                      index_t batch_size, std::vector<std::string>* problems, Take take) {
  NoGrad guard;
  each_masked_batch(
      pictures, batch_size, problems,
      [&](const std::vector<index_t>& numbers, const std::vector<MaskedPicture>& read) {
        const auto batch = collate_masks<B>(read, segmenter.preparation.levels,
                                            segmenter.channels());
        const std::vector<float> logits = segmenter(batch.pictures).value().to_vector();
        const std::size_t each = logits.size() / read.size();
        for (std::size_t i = 0; i < read.size(); ++i) {
          const auto of_one = std::span<const float>(logits).subspan(i * each, each);
          if (!std::all_of(of_one.begin(), of_one.end(), [](float v) { return std::isfinite(v); }))
            fail_file(pictures.name(numbers[i]), "",
                      "a logit is not finite (hint: the weights may be damaged)");
          take(numbers[i], read[i], of_one);
        }
      });
}

/// Dice of pictures, gathered one by one.
class MaskScores {
 public:
  explicit MaskScores(const std::vector<MaskStructure>& structures) {
    for (const auto& s : structures) {
      groups_.push_back({s.name, {}});
      for (std::size_t k = 0; k < s.classes(); ++k)
        groups_.back().classes.push_back(s.class_name(k));
    }
  }
  /// @return Dice of each class, NaN where its mask is not known
  HLIP_LAZY std::vector<double> add(const std::string& name, const MaskedPicture& picture,
                                    std::span<const float> logits) {
    const std::size_t pixels = picture.grey.plane_size();
    std::vector<std::uint8_t> inside(logits.size());
    std::transform(logits.begin(), logits.end(), inside.begin(), [](float v) { return v > 0; });
    std::vector<double> values;
    for (std::size_t k = 0; k < picture.masks.known.size(); ++k) {
      const auto truth = std::span(picture.masks.levels).subspan(k * pixels, pixels);
      present_.push_back(std::any_of(truth.begin(), truth.end(), [](auto v) { return v != 0; }));
      values.push_back(picture.masks.known[k]
                           ? dice(std::span(inside).subspan(k * pixels, pixels), truth)
                           : not_a_number);
    }
    names_.push_back(name);
    values_.insert(values_.end(), values.begin(), values.end());
    return values;
  }
  /// Whether any mask is known.
  bool any() const {
    return !std::all_of(values_.begin(), values_.end(), [](double v) { return std::isnan(v); });
  }
  DiceTable table(const BootstrapOptions& options = {}) const {
    return DiceTable(groups_, names_, values_, present_, options);
  }

 private:
  std::vector<DiceTable::Group> groups_;
  std::vector<std::string> names_;
  std::vector<double> values_;
  std::vector<char> present_;
};

/// The mask of a structure in the pixels of the picture's file, (height, width): what was cut off
/// is outside. Of one class it is 255 inside; of several it has labels from 1 on, of the most
/// likely class where several claim a pixel.
/// @param logits (classes of the structure, S, S)
HLIP_LAZY std::vector<std::uint8_t> mask_in_file(std::span<const float> logits, std::size_t classes,
                                                 index_t height, index_t width,
                                                 const RadiographPreparation& p) {
  const ResizedCentre c = resized_centre(height, width, p);
  const auto n = static_cast<std::size_t>(p.crop);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(height * width));
  const auto place = [](index_t i, index_t size, index_t resized, index_t cut) {
    return (static_cast<double>(i) + 0.5) * static_cast<double>(resized) /
               static_cast<double>(size) -
           0.5 - static_cast<double>(cut);
  };
  const double last = static_cast<double>(p.crop) - 1;
  for (index_t row = 0; row < height; ++row)
    for (index_t column = 0; column < width; ++column) {
      const double y = place(row, height, c.height, c.part.top),
                   x = place(column, width, c.width, c.part.left);
      if (y < -0.5 || x < -0.5 || y >= last + 0.5 || x >= last + 0.5) continue;
      const double top = std::clamp(y, 0.0, last), left = std::clamp(x, 0.0, last);
      const auto j = static_cast<std::size_t>(top), i = static_cast<std::size_t>(left);
      const std::size_t below = std::min(j + 1, n - 1), beside = std::min(i + 1, n - 1);
      const double v = top - static_cast<double>(j), u = left - static_cast<double>(i);
      double most = 0;
      for (std::size_t k = 0; k < classes; ++k) {
        const float* plane = logits.data() + k * n * n;
        const double logit = (1 - v) * ((1 - u) * plane[j * n + i] + u * plane[j * n + beside]) +
                             v * ((1 - u) * plane[below * n + i] + u * plane[below * n + beside]);
        if (logit <= most) continue;
        most = logit;
        out[static_cast<std::size_t>(row * width + column)] =
            classes == 1 ? 255 : static_cast<std::uint8_t>(k + 1);
      }
    }
  return out;
}

HLIP_END
