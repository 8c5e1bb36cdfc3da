// Opens weights in whichever format they come. Needs nlohmann_json, libdeflate and zlib.
#pragma once

#include <hlip/io/safetensors.hpp>
#include <hlip/io/torch_file.hpp>

#include <string>
#include <string_view>

HLIP_BEGIN

/// Endings of the names of PyTorch checkpoints.
inline bool is_torch_name(std::string_view path) {
  return path.ends_with(".pt") || path.ends_with(".pth") || path.ends_with(".bin");
}

/// A safetensors file or a PyTorch checkpoint, as its first bytes say; what is neither is taken for
/// what its name says.
/// @throws hlip::error naming the file, the place and the fault
HLIP_LAZY TensorFile open_weights(const std::string& path, MapAccess access = MapAccess::read) {
  const std::string text = read_start(path, 64);
  // Behind its length; in a checkpoint this byte is never a brace
  const bool safetensors = text.size() > 8 && text[8] == '{';
  if (!safetensors && (TorchFile::is_torch(text) || is_torch_name(path)))
    return TorchFile(path, {}, access);
  return SafetensorsFile(path, {}, access);
}

HLIP_END
