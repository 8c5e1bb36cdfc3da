// The pictures below a folder of chest radiographs.
#pragma once

#include <hlip/data/problems.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Whether a file's name ends in .png, .jpg, .jpeg or .dcm, in small or capital letters.
HLIP_LAZY bool is_radiograph_name(std::string_view name) {
  const auto dot = name.rfind('.');
  if (dot == name.npos) return false;
  std::string end;
  for (const char c : name.substr(dot + 1))
    end += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return end == "png" || end == "jpg" || end == "jpeg" || end == "dcm";
}

/// The pictures below a folder, as paths relative to it, sorted. Links to folders are followed, but
/// no folder is entered twice, so a link to one above it does no harm; hidden files and folders do
/// not count.
/// @param problems gets a message for every folder that cannot be listed, and for a link to a
/// picture that leads nowhere
HLIP_LAZY std::vector<std::string> pictures_below(const std::string& root, Problems& problems) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::vector<std::string> folders{""};  // relative to root
  std::set<std::pair<dev_t, ino_t>> entered;
  while (!folders.empty()) {
    const std::string folder = std::move(folders.back());
    folders.pop_back();
    const std::string path = folder.empty() ? root : root + "/" + folder;
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && !entered.emplace(info.st_dev, info.st_ino).second)
      continue;
    std::vector<std::string> below;
    std::error_code failed;
    for (fs::directory_iterator it(path, failed), end; !failed && it != end; it.increment(failed)) {
      const std::string name = it->path().filename().string();
      if (name.starts_with('.')) continue;
      const std::string relative = folder.empty() ? name : folder + "/" + name;
      std::error_code unknown;
      const auto kind = it->status(unknown).type();
      if (kind == fs::file_type::directory) below.push_back(relative);
      else if (!is_radiograph_name(name)) continue;
      else if (kind == fs::file_type::regular) found.push_back(relative);
      else problems.push_back(fmt::format("{}/{}: is no file that can be read", root, relative));
    }
    if (failed) problems.push_back(fmt::format("{}: cannot be listed: {}", path, failed.message()));
    // the last is taken first: of two ways to a folder always the same one is gone
    std::sort(below.begin(), below.end(), [](const auto& a, const auto& b) { return a > b; });
    folders.insert(folders.end(), below.begin(), below.end());
  }
  std::sort(found.begin(), found.end());
  return found;
}

HLIP_END
