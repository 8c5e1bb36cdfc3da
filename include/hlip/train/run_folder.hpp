// The folder of a run: one run at a time, and nothing in it changes before the run can begin.
#pragma once

#include <hlip/distributed/agreement.hpp>
#include <hlip/io/folder_lock.hpp>
#include <hlip/train/run_options.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

/// The folder of a run, made if it is not there, and locked: while one lives no other process gets
/// in. What is to be written about the run waits until it begins, so that one that cannot leaves
/// the files of an earlier one as they are.
class RunFolder {
 public:
  /// @param communicator of several processes the first one alone locks and writes
  /// @throws hlip::error when it cannot be made, or when another run is in it, naming host and
  /// process
  template <Communicator C = SingleProcess>
  explicit RunFolder(const RunOptions& o, const C& communicator = {})
      : path_(o.out), writes_(!o.dry_run && communicator.rank() == 0) {
    agree_on_faults(communicator, [&] {
      if (communicator.rank() == 0) lock();
    });
  }
  const std::string& path() const { return path_; }
  /// A file of the folder, written when the run begins; never by a dry run.
  void add(const std::string& name, std::string text) {
    waiting_.emplace_back(path_ + "/" + name, std::move(text));
  }
  void begin() {
    if (writes_)
      for (const auto& [file, text] : waiting_) atomic_write(file, text);
    waiting_.clear();
  }
  /// Removes the folder if nothing is in it.
  void leave() {
    lock_.reset();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

 private:
  void lock() {
    std::error_code code;
    std::filesystem::create_directories(path_, code);
    if (code) fail_file(path_, "", "cannot make the folder: {}", code.message());
    lock_.emplace(path_);
    if (!lock_->held())
      fmt::print(stderr,
                 "warning: {}: the file system has no locks, so nothing keeps a second run out\n",
                 path_);
  }

  std::string path_;
  bool writes_;
  std::optional<FolderLock> lock_;
  std::vector<std::pair<std::string, std::string>> waiting_;
};

HLIP_END
