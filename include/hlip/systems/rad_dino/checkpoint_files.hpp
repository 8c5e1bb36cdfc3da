// What lies beside the weights of a checkpoint, so that they can be used: the encoder's sizes and
// how pictures are prepared for it. Needs nlohmann_json.
#pragma once

#include <hlip/imaging/preprocessor_config.hpp>
#include <hlip/io/file.hpp>
#include <hlip/models/vit_configs.hpp>
#include <hlip/train/run_stage.hpp>

#include <algorithm>
#include <string>
#include <vector>

HLIP_BEGIN

/// The one stage of a pre-training.
inline const std::vector<RunStage>& rad_dino_stages() {
  static const std::vector<RunStage> stages{{"step", "train", "train"}};
  return stages;
}

/// A preparation as Hugging Face's preprocessor_config.json says it.
HLIP_LAZY Json preprocessor_json(const RadiographPreparation& p) {
  Json j;
  j["image_processor_type"] = "BitImageProcessor";
  j["do_convert_rgb"] = true;
  j["do_resize"] = true;
  j["size"] = {{"shortest_edge", p.shorter_side}};
  j["resample"] = p.resize == ByteResize::bicubic ? 3 : 2;  // PIL's numbers
  j["do_center_crop"] = true;
  j["crop_size"] = {{"height", p.crop}, {"width", p.crop}};
  j["do_rescale"] = true;
  j["rescale_factor"] = p.levels.rescale;
  j["do_normalize"] = true;
  j["image_mean"] = p.levels.mean;
  j["image_std"] = p.levels.std;
  return j;
}

/// A preparation that fits the encoder's own size.
HLIP_LAZY RadiographPreparation preparation_for(const VitConfig& c) {
  RadiographPreparation p;
  p.shorter_side = p.crop = c.img_size;
  p.least_side = std::min<index_t>(p.least_side, c.img_size);
  return p;
}

/// Writes model.json and preprocessor_config.json.
HLIP_LAZY void write_encoder_files(const std::string& folder, const VitConfig& config,
                                   const RadiographPreparation& preparation) {
  atomic_write(folder + "/model.json", to_json(config).dump(2) + "\n");
  atomic_write(folder + "/preprocessor_config.json", preprocessor_json(preparation).dump(2) + "\n");
}

HLIP_END
