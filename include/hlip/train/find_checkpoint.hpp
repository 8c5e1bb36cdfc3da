// Which checkpoint of a run is to be used.
#pragma once

#include <hlip/train/checkpoint_store.hpp>

#include <string>
#include <vector>

HLIP_BEGIN

/// The checkpoint a folder is, or the newest sound one of a run.
/// @param folder runs/x or runs/x/step_N  @param stages names of the run's stages, in their order
/// @param files of it that must be sound, or none for all
/// @throws hlip::error saying what is missing or damaged
HLIP_LAZY std::string find_checkpoint(const std::string& folder,
                                      const std::vector<std::string>& stages,
                                      const std::vector<std::string>& files) {
  if (!is_file(folder + "/model.safetensors")) {
    std::string faults;
    std::string path =
        CheckpointStore(folder, stages)
            .latest([&](const std::string& fault) { faults += "; passed over: " + fault; }, files)
            .path;
    if (path.empty()) fail_file(folder, "", "holds no complete checkpoint{}", faults);
    return path;
  }
  if (const std::string fault = CheckpointStore::verify(folder, files); !fault.empty())
    fail_file(folder, "", "is not a sound checkpoint: {}", fault);
  return folder;
}

HLIP_END
