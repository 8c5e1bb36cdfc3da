// The preprocessor_config.json that lies beside a published encoder. Needs nlohmann_json.
// Source: transformers, BitImageProcessor.
#pragma once

#include <hlip/imaging/prepare_radiograph.hpp>
#include <hlip/io/json.hpp>

#include <array>
#include <string>
#include <string_view>

HLIP_BEGIN

namespace detail {

class PreprocessorConfig {
 public:
  explicit PreprocessorConfig(const std::string& path)
      : path_(path), json_(read_json(path, {.max_bytes = std::size_t{1} << 20})) {
    if (!json_.is_object())
      fail_file(path_, "", "is a JSON {}, expected an object", json_.type_name());
  }

  HLIP_LAZY RadiographPreparation preparation() const {
    for (const auto& [key, value] : json_.items()) expect_known(key, value);
    RadiographPreparation p;
    p.shorter_side = shorter_side();
    p.crop = crop();
    p.resize = resize();
    if (json_.contains("rescale_factor"))
      p.levels.rescale = number("rescale_factor", at("rescale_factor"));
    p.levels.mean = three("image_mean");
    p.levels.std = three("image_std");
    try {
      check_preparation(p);
    } catch (const error& problem) {
      fail_file(path_, "", "{}", std::string_view(problem.what()));
    }
    return p;
  }

 private:
  const Json& at(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail_file(path_, key, "is absent");
    return *found;
  }
  double number(const char* key, const Json& value) const {
    if (!value.is_number()) fail_file(path_, key, "is {}, expected a number", value.dump());
    return value.get<double>();
  }
  index_t side(const char* key, const Json& value) const {
    if (!value.is_number_integer() || value < 1 || value > 16384)
      fail_file(path_, key, "is {}, expected a whole number of 1 to 16384", shown(value));
    return value.get<index_t>();
  }
  static std::string shown(const Json& value) {
    std::string text = value.dump();
    if (text.size() > 60) text = text.substr(0, 60) + "...";
    return text;
  }

  // What is not known may change the pixels; null is what the library writes for "as always".
  HLIP_LAZY void expect_known(std::string_view key, const Json& value) const {
    for (const std::string_view step :
         {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"})
      if (key == step) {
        if (value != true)
          fail_file(path_, key, "is {}, expected true: hlip does every step", shown(value));
        return;
      }
    for (const std::string_view known :
         {"size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std",
          "_valid_processor_keys", "processor_class"})
      if (key == known) return;
    if (key == "image_processor_type" || key == "feature_extractor_type") {
      for (const char* type : {"BitImageProcessor", "BitImageProcessorFast", "BitFeatureExtractor"})
        if (value == type) return;
      fail_file(path_, key, "is {}, expected \"BitImageProcessor\"", shown(value));
    }
    if (value.is_null() || (key == "data_format" && value == "channels_first") ||
        (key == "default_to_square" && value == false))
      return;
    fail_file(path_, key, "is {}, which hlip does not know", shown(value));
  }

  index_t shorter_side() const {
    const Json& size = at("size");
    if (size.is_object() && size.size() == 1 && size.contains("shortest_edge"))
      return side("size", size["shortest_edge"]);
    fail_file(path_, "size", "is {}, expected {{\"shortest_edge\": N}}", shown(size));
  }
  index_t crop() const {
    const Json& crop = at("crop_size");
    if (crop.is_object() && crop.size() == 2 && crop.contains("height") && crop.contains("width") &&
        crop["height"] == crop["width"])
      return side("crop_size", crop["height"]);
    if (crop.is_number()) return side("crop_size", crop);
    fail_file(path_, "crop_size", "is {}, expected {{\"height\": N, \"width\": N}}", shown(crop));
  }
  ByteResize resize() const {
    const Json& filter = at("resample");
    if (filter == 3) return ByteResize::bicubic;
    if (filter == 2) return ByteResize::bilinear;
    fail_file(path_, "resample", "is {}, expected 3 (bicubic) or 2 (bilinear)", shown(filter));
  }
  std::array<double, 3> three(const char* key) const {
    const Json& list = at(key);
    if (!list.is_array() || list.size() != 3)
      fail_file(path_, key, "is {}, expected three numbers", shown(list));
    return {number(key, list[0]), number(key, list[1]), number(key, list[2])};
  }

  std::string path_;
  Json json_;
};

}  // namespace detail

/// Reads Hugging Face's preprocessor_config.json of a DINOv2 or RAD-DINO model: shorter side,
/// centre crop, 1/255, mean and deviation. The "fast" processor is taken for the other one, whose
/// pixels differ by a level in places.
/// @throws hlip::error naming file and entry for what it does not know, which could change pixels
HLIP_LAZY RadiographPreparation radiograph_preparation_from(const std::string& path) {
  return detail::PreprocessorConfig(path).preparation();
}

HLIP_END
