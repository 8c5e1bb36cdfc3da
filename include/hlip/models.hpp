// The models. Beside them: residual networks over volumes (models/resnet3d.hpp), the language model
// (models/llama.hpp), decoders of masks (models/segmentation.hpp), the memory that a step will take
// (memory_forecast.hpp), load_weights.hpp and vit_weights.hpp for weights of other programs;
// config_json.hpp, vit_configs.hpp, hf_text_model.hpp, hf_dinov2.hpp, llama/hf_llama.hpp and
// llama/write_hf_llama.hpp need nlohmann_json.
#pragma once

#include <hlip/models/bert.hpp>
#include <hlip/models/clip.hpp>
#include <hlip/models/configs.hpp>
#include <hlip/models/convert_2d.hpp>
#include <hlip/models/dino_head.hpp>
#include <hlip/models/hlip_vit.hpp>
#include <hlip/models/interpret.hpp>
#include <hlip/models/vit.hpp>
#include <hlip/models/vit_outputs.hpp>
