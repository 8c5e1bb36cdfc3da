// Preparing many files once, side by side: what the preprocess programs share. It can be stopped at
// any time and started again.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/core/worker_thread.hpp>
#include <hlip/data/problems.hpp>
#include <hlip/train/stop_signal.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

HLIP_BEGIN

/// Runs a preparation over many files and says how far it is.
class Preparation {
 public:
  /// @param what the files are called in messages, "volumes"  @param problems found before, each of
  /// one file that will not be prepared
  Preparation(std::size_t files, std::string what, Problems problems = {})
      : files_(files),
        what_(std::move(what)),
        before_(problems.size()),
        problems_(std::move(problems)) {}

  /// Calls prepare(i) for 0 … files-1 on several threads until a stop signal; it returns whether it
  /// wrote something (false: was there already), and its failures, each beginning with name(i)
  /// where memory ran out, are collected.
  /// @param threads 0: one per processor
  template <class Prepare, class Name> void run(int threads, Prepare prepare, Name name) {
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      use_one_openmp_thread();  // files side by side, not the rows of one
      for (std::size_t i = next++; i < files_ && !stop_requested(); i = next++) {
        try {
          ++(prepare(i) ? written_ : kept_);
        } catch (const std::bad_alloc&) {
          failed(name(i) + ": out of memory; try fewer threads");
        } catch (const std::exception& e) {
          failed(e.what());
        }
        say();
      }
    };
    install_stop_signals("start again to go on");
    const StopAwaited awaited;
    const auto wanted = threads > 0 ? static_cast<unsigned>(threads)
                                    : std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::thread> workers;
    try {
      for (unsigned t = 0; t < wanted; ++t) workers.emplace_back(work);
    } catch (const std::system_error&) {  // the machine gives fewer threads: those do the same work
      if (workers.empty()) work();
    }
    for (auto& w : workers) w.join();
  }

  /// Prints what was done, and every problem on stderr. @return the exit code of the program
  int finish() {
    say(true);
    std::printf("%s", fmt::format("{} written, {} already there, {} failed{}\n", written_.load(),
                                  kept_.load(), problems_.count(),
                                  stop_requested() ? "; stopped, start again to go on" : "")
                          .c_str());
    std::sort(problems_.begin() + static_cast<std::ptrdiff_t>(before_), problems_.end());
    std::fflush(stdout);
    for (const auto& p : problems_) std::fprintf(stderr, "%s\n", p.c_str());
    return problems_.empty() ? 0 : 1;
  }

 private:
  void failed(const std::string& what) {
    std::lock_guard guard(lock_);
    problems_.push_back(what);
  }
  void say(bool now = false) {
    std::lock_guard guard(lock_);
    const auto time = std::chrono::steady_clock::now();
    if (!now && time - last_ < std::chrono::seconds(2)) return;
    last_ = time;
    const double seconds = std::chrono::duration<double>(time - begin_).count();
    const std::size_t total = files_ + before_, done = written_ + kept_ + problems_.size(),
                      left = total - std::min(total, done);
    std::printf("%s", fmt::format("{} of {} {}, {:.2f}/s, {:.0f} s left\n", done, total, what_,
                                  static_cast<double>(written_) / std::max(seconds, 1e-3),
                                  written_ > 0 ? seconds / static_cast<double>(written_) *
                                                     static_cast<double>(left)
                                               : 0.0)
                          .c_str());
    std::fflush(stdout);
  }

  std::size_t files_;
  std::string what_;
  std::size_t before_;
  std::atomic<std::size_t> written_{0}, kept_{0};
  std::mutex lock_;
  Problems problems_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), last_ = begin_;
};

HLIP_END
