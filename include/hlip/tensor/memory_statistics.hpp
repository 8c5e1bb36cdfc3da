// What the memory of tensors is used for: bytes in use by category, and what each category held
// when the total was highest. Counted are the bytes that tensors asked for. Memory-mapped weights
// (Tensor::wrap) were never allocated and do not count, nor do memory kept for reuse
// (held_for_reuse) and what kernels and files need besides.
#pragma once

#include <hlip/core/abi.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <string_view>
#include <utility>

HLIP_BEGIN

/// What memory is used for.
enum class MemoryCategory : unsigned char {
  parameters,   ///< weights and fixed tables
  gradients,    ///< of parameters
  optimizer,    ///< moments, velocities, moving averages
  activations,  ///< what a step computes: kept for the way back, or temporary
  data,         ///< samples and batches
  other,        ///< allocated outside every MemoryScope
};
inline constexpr std::array<std::string_view, 6> memory_category_names{
    "parameters", "gradients", "optimizer", "activations", "data", "other"};

/// Bytes by category.
struct MemoryUse {
  std::array<std::size_t, memory_category_names.size()> bytes{};

  std::size_t& operator[](MemoryCategory c) { return bytes[static_cast<std::size_t>(c)]; }
  std::size_t operator[](MemoryCategory c) const { return bytes[static_cast<std::size_t>(c)]; }
  std::size_t total() const {
    std::size_t sum = 0;
    for (const std::size_t b : bytes) sum += b;
    return sum;
  }
};

/// Counts the memory of one backend's tensors, from any thread.
class MemoryStatistics {
 public:
  void add(MemoryCategory category, std::size_t bytes) {
    of(category).fetch_add(bytes, std::memory_order_relaxed);
    note_peak(total_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
  }
  void remove(MemoryCategory category, std::size_t bytes) {
    total_.fetch_sub(bytes, std::memory_order_relaxed);
    of(category).fetch_sub(bytes, std::memory_order_relaxed);
  }
  void move(MemoryCategory from, MemoryCategory to, std::size_t bytes) {
    of(from).fetch_sub(bytes, std::memory_order_relaxed);
    of(to).fetch_add(bytes, std::memory_order_relaxed);
    // What just made the peak may get its category only now
    note_peak(total_.load(std::memory_order_relaxed));
  }

  MemoryUse now() const {
    MemoryUse use;
    for (std::size_t i = 0; i < use.bytes.size(); ++i)
      use.bytes[i] = in_use_[i].load(std::memory_order_relaxed);
    return use;
  }
  /// What was in use when the total was highest, since the start or reset_peak(); with several
  /// threads allocating at that very moment, to within what they allocate.
  MemoryUse peak() const {
    const std::lock_guard lock(mutex_);
    return peak_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    peak_ = now();
    peak_total_ = peak_.total();
  }

 private:
  std::atomic<std::size_t>& of(MemoryCategory c) { return in_use_[static_cast<std::size_t>(c)]; }
  void note_peak(std::size_t total) {
    if (total < peak_total_.load(std::memory_order_relaxed)) return;
    const std::lock_guard lock(mutex_);
    if (total < peak_total_) return;
    peak_total_ = total;
    peak_ = now();
  }

  std::array<std::atomic<std::size_t>, memory_category_names.size()> in_use_{};
  std::atomic<std::size_t> total_{0}, peak_total_{0};
  mutable std::mutex mutex_;  // of peak_; taken only while the total is at its highest
  MemoryUse peak_;
};

/// The counts of backend B. Never destroyed: tensors with static lifetime are freed after any
/// static object.
template <class B> MemoryStatistics& memory_statistics() {
  static MemoryStatistics& statistics = *new MemoryStatistics;
  return statistics;
}

namespace detail {
inline thread_local MemoryCategory memory_category = MemoryCategory::other;
}

/// While alive, what this thread allocates counts under `category`.
class MemoryScope {
 public:
  explicit MemoryScope(MemoryCategory category)
      : before_(std::exchange(detail::memory_category, category)) {}
  ~MemoryScope() { detail::memory_category = before_; }
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  MemoryCategory before_;
};

HLIP_END
