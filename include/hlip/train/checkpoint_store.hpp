// A run's checkpoints on disk. A checkpoint is a folder written under another name, synced, renamed
// and only then marked complete, so a crash, a kill or a full disk at any moment leaves every
// earlier checkpoint as it was.
#pragma once

#include <hlip/io/checksum.hpp>
#include <hlip/io/file.hpp>
#include <hlip/io/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

HLIP_BEGIN

/// CRC-32 of a file's bytes, as eight hex digits: tells a damaged file from a sound one.
HLIP_LAZY std::string file_checksum(const std::string& path) {
  std::uint32_t crc = 0;
  each_window_of_file(path, [&](std::span<const std::byte> bytes) { crc = crc32_of(bytes, crc); });
  return fmt::format("{:08x}", crc);
}

/// What training needs of a checkpoint: one without all of them is not sound, whatever its COMPLETE
/// says.
inline const std::vector<std::string>& checkpoint_files() {
  static const std::vector<std::string> files{"model.safetensors", "optimizer.safetensors",
                                              "state.json"};
  return files;
}

/// A complete checkpoint: `<folder>/<prefix>_<step>`.
struct CheckpointEntry {
  std::string path, prefix;
  std::int64_t step = 0;
};

/// The checkpoints below one folder.
class CheckpointStore {
 public:
  /// @param prefixes stages in the order they run, e.g. {"text_step", "step"}: any checkpoint of a
  /// later stage is newer
  CheckpointStore(std::string folder, std::vector<std::string> prefixes)
      : folder_(std::move(folder)), prefixes_(std::move(prefixes)) {}

  const std::string& folder() const { return folder_; }

  /// Writes a checkpoint. `write(path)` puts its files into the folder `path`; their checksums are
  /// recorded.
  /// @throws hlip::error if something cannot be written; earlier checkpoints are untouched then
  template <class Write>
  std::string save(const std::string& prefix, std::int64_t step, Write write) const {
    namespace fs = std::filesystem;
    const std::string name = fmt::format("{}_{}", prefix, step), final_path = folder_ + "/" + name,
                      path = folder_ + "/.writing_" + name;
    std::error_code code;
    fs::create_directories(folder_, code);
    fs::remove_all(path, code);
    if (!fs::create_directory(path, code))
      fail_file(path, "", "cannot make the folder: {}", code.message());
    try {
      write(path);
      std::vector<std::string> files;
      for (const auto& entry : fs::directory_iterator(path))
        files.push_back(entry.path().filename().string());
      std::sort(files.begin(), files.end());
      std::string sums;
      for (const auto& file : files) {
        sums += fmt::format("{}  {}\n", file_checksum(path + "/" + file), file);
        sync(path + "/" + file, false);
      }
      sync(path, true);
      fs::remove_all(final_path, code);  // an unfinished or damaged one of the same step
      fs::rename(path, final_path, code);
      if (code) fail_file(final_path, "", "cannot rename into place: {}", code.message());
      sync(folder_, true);
      atomic_write(final_path + "/COMPLETE", sums);
    } catch (...) {
      fs::remove_all(path, code);
      throw;
    }
    return final_path;
  }

  /// Complete checkpoints, oldest first. Completeness is the marker; contents are checked by
  /// verify().
  HLIP_LAZY std::vector<CheckpointEntry> list() const {
    namespace fs = std::filesystem;
    std::vector<CheckpointEntry> found;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(folder_, code)) {
      const std::string name = entry.path().filename().string();
      for (const auto& prefix : prefixes_) {
        if (name.rfind(prefix + "_", 0) != 0) continue;
        const std::string digits = name.substr(prefix.size() + 1);
        if (digits.empty() || digits.size() > 15 ||
            digits.find_first_not_of("0123456789") != std::string::npos)
          continue;
        if (is_file(entry.path().string() + "/COMPLETE"))
          found.push_back({entry.path().string(), prefix, std::stoll(digits)});
        break;
      }
    }
    const auto stage = [&](const CheckpointEntry& e) {
      return std::find(prefixes_.begin(), prefixes_.end(), e.prefix) - prefixes_.begin();
    };
    std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
      return stage(a) != stage(b) ? stage(a) < stage(b) : a.step < b.step;
    });
    return found;
  }

  /// What is wrong with a checkpoint: empty if every file has the checksum it was written with.
  /// @param files the only ones to look at, which must all be there; empty: every file of the
  /// checkpoint, among them checkpoint_files()
  HLIP_LAZY static std::string verify(const std::string& path,
                                      const std::vector<std::string>& files = {}) {
    const std::vector<std::string>& needed = files.empty() ? checkpoint_files() : files;
    std::vector<std::string> named;
    try {
      const std::string sums = read_file(path + "/COMPLETE", 1 << 20);
      std::size_t at = 0;
      if (sums.empty()) return path + "/COMPLETE is empty";
      while (at < sums.size()) {
        const std::size_t end = sums.find('\n', at);
        if (end == std::string::npos || end < at + 11) return path + "/COMPLETE is damaged";
        const std::string want = sums.substr(at, 8), file = sums.substr(at + 10, end - at - 10);
        if (file.find('/') != std::string::npos) return path + "/COMPLETE is damaged";
        at = end + 1;
        named.push_back(file);
        if (!files.empty() && std::find(files.begin(), files.end(), file) == files.end()) continue;
        const std::string got = file_checksum(path + "/" + file);
        if (got != want)
          return fmt::format("{}/{}: checksum {}, expected {}", path, file, got, want);
      }
      for (const std::string& file : needed)
        if (std::find(named.begin(), named.end(), file) == named.end())
          return fmt::format("{}/COMPLETE does not name {}", path, file);
    } catch (const error& e) {
      return e.what();
    }
    return "";
  }

  /// The newest sound checkpoint, or an empty path. `report(message)` hears of damaged ones passed
  /// over; none is deleted.
  /// @param files as of verify
  template <class Report>
  CheckpointEntry latest(Report report, const std::vector<std::string>& files = {}) const {
    auto all = list();
    while (!all.empty()) {
      const std::string fault = verify(all.back().path, files);
      if (fault.empty()) return all.back();
      report(fault);
      all.pop_back();
    }
    return {};
  }

  /// Removes all but the newest `keep` checkpoints of a stage (0 keeps all). Those beyond step
  /// `upto`, where the run stands, neither count nor are removed: a run that went back behind a
  /// damaged checkpoint would otherwise keep that one and lose its own.
  HLIP_LAZY void keep_newest(const std::string& prefix, std::size_t keep,
                             std::int64_t upto = std::numeric_limits<std::int64_t>::max()) const {
    if (keep == 0) return;
    auto all = list();
    std::erase_if(all, [&](const auto& e) { return e.prefix != prefix || e.step > upto; });
    std::error_code code;
    for (std::size_t i = 0; i + keep < all.size(); ++i) {
      // First, so that a half-removed one never counts
      std::filesystem::remove(all[i].path + "/COMPLETE", code);
      std::filesystem::remove_all(all[i].path, code);
    }
  }

 private:
  static void sync(const std::string& path, bool folder) {
    const int fd = ::open(path.c_str(), folder ? O_RDONLY | O_DIRECTORY : O_RDONLY);
    const bool ok = fd >= 0 && ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    if (!ok) fail_file(path, "", "cannot bring to disk");
  }

  std::string folder_;
  std::vector<std::string> prefixes_;
};

HLIP_END
