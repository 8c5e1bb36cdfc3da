// How phantom data sets of any kind come to lie in a folder: settings decide whether one is there
// already, a run that was cut off goes on, and nothing that was not written here is touched.
#pragma once

#include <hlip/io/file.hpp>
#include <hlip/io/folder_lock.hpp>
#include <hlip/tensor/shape.hpp>

#include <atomic>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

HLIP_BEGIN

namespace detail {

struct NoProgress {
  void operator()(index_t, index_t) const {}
};

inline void check_phantom_counts(std::string_view where, index_t n_train, index_t n_valid,
                                 int n_threads) {
  for (const index_t n : {n_train, n_valid})
    if (n < 0 || n > 1'000'000) fail(where, "{} studies a split, expected 0 to 1000000", n);
  if (n_threads < 1) fail(where, "{} threads, expected at least 1", n_threads);
}

/// Calls write() unless `root` holds the finished data set of these settings, which are kept in
/// root/phantom.json, written last.
/// @param dataset folder below root whose presence means that there are data; @param settings JSON
/// in one line; @param readme goes to README.txt
/// @return whether write() was called
/// @throws hlip::error when the folder holds other settings, or data that are no phantoms, or when
/// another process is writing it
template <class Write>
bool write_phantom_folder(const std::string& root, const std::string& dataset,
                          const std::string& settings, std::string_view readme, Write write) {
  const std::string finished = root + "/phantom.json",
                    unfinished = root + "/phantom.unfinished.json";
  for (const auto& file : {finished, unfinished})
    if (is_file(file) && read_file(file, 1 << 16) != settings)
      fail_file(file, "",
                "this folder holds phantoms of other settings, wanted {}; choose another folder or "
                "remove this one",
                settings.substr(0, settings.size() - 1));
  if (is_file(finished)) return false;
  try {
    if (!is_file(unfinished) && std::filesystem::exists(dataset))
      fail_file(dataset, "", "exists and was not written by this program; choose another folder");
    std::filesystem::create_directories(root);
    const FolderLock lock(root);
    if (is_file(finished)) return false;  // by now
    // before the dataset's folder, which without it would count as someone else's
    atomic_write(unfinished, settings);
    atomic_write(root + "/README.txt", readme);
    write();
    atomic_write(finished, settings);
    std::filesystem::remove(unfinished);
  } catch (const std::filesystem::filesystem_error& e) {
    fail_file(root, "", "cannot make or clear a folder: {}", e.code().message());
  }
  return true;
}

/// Calls work(i) for 0 … n-1 on several threads; after a failure no new work is started and the
/// first exception is thrown.
template <class Work> void phantom_parallel(index_t n, int threads, Work work) {
  std::atomic<index_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr first;
  const auto run = [&] {
    while (!failed) {
      const index_t i = next++;
      if (i >= n) return;
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!first) first = std::current_exception();
        failed = true;
      }
    }
  };
  std::vector<std::thread> helpers;
  try {
    for (int t = 1; t < threads && t < n; ++t) helpers.emplace_back(run);
  } catch (const std::system_error&) {  // fewer threads do the same work
  }
  run();
  for (auto& h : helpers) h.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace detail

HLIP_END
