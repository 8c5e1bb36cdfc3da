// The stages of a training of HLIP.
#pragma once

#include <hlip/train/run_stage.hpp>

#include <vector>

HLIP_BEGIN

/// The stages of a training of HLIP, in the order they run: the text tower on reports alone, then
/// images and texts.
inline const std::vector<RunStage>& hlip_stages() {
  static const std::vector<RunStage> stages{{"text_step", "text", "text", "Text stage"},
                                            {"step", "image", "train", "Image stage"}};
  return stages;
}

HLIP_END
