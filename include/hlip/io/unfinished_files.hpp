// What a killed process leaves of files it was writing.
#pragma once

#include <hlip/io/file.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// Whether a file is named as AtomicFile names one in the making: NAME.tmp-PID-N.
inline bool is_unfinished_name(std::string_view name) {
  const auto at = name.rfind(".tmp-");
  if (at == name.npos || at == 0) return false;
  const std::string_view numbers = name.substr(at + 5);
  const auto dash = numbers.find('-');
  return dash != numbers.npos && dash > 0 && dash + 1 < numbers.size() &&
         numbers.find_first_not_of("0123456789-") == numbers.npos &&
         numbers.find('-', dash + 1) == numbers.npos;
}

/// Removes the files in the making that lie in a folder: for folders that nobody else is writing
/// to. What cannot be removed stays.
HLIP_LAZY void remove_unfinished_files(const std::string& folder) {
  std::error_code code;
  std::vector<std::filesystem::path> unfinished;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code))
    if (is_unfinished_name(entry.path().filename().string())) unfinished.push_back(entry.path());
  for (const auto& path : unfinished) std::filesystem::remove(path, code);
}

HLIP_END
