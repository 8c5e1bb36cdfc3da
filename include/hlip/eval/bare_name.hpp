// What tables of different origin have in common of the names of studies and pictures.
#pragma once

#include <hlip/core/abi.hpp>

#include <algorithm>
#include <string>
#include <string_view>

HLIP_BEGIN

/// Name of a study without folders and the endings of volumes, so that tables of different origin
/// meet: "a/trn00001.pt" is "trn00001".
HLIP_LAZY std::string bare_name(std::string_view path) {
  path.remove_prefix(std::min(path.find_last_of('/') + 1, path.size()));
  for (const std::string_view end : {".nii.gz", ".nii", ".npz", ".npy", ".pt", ".safetensors"})
    if (path.ends_with(end) && path.size() > end.size())
      return std::string(path.substr(0, path.size() - end.size()));
  return std::string(path);
}

HLIP_END
