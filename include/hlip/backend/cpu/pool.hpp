// Memory that freed tensors leave behind for the next ones. A training step asks for the same sizes
// again and again; a fresh page from the system costs more than computing on it. Large pieces are
// cut from segments, and neighbours that are free become one piece again, so that what is held
// stays close to what is used.
#pragma once

#include <hlip/core/abi.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <set>

#if defined(__linux__)
#include <sys/mman.h>
#endif

HLIP_BEGIN

namespace detail {

/// A thread-safe best-fit allocator for pieces of `smallest` bytes and more; all are 64-byte
/// aligned.
class MemoryPool {
 public:
  static constexpr std::size_t smallest = 64 << 10;
  /// what a processor can address; more is not asked for
  static constexpr std::size_t largest = std::size_t{1} << 47;

  MemoryPool() = default;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { trim(); }

  /// Uninitialised memory, or nullptr when the system has no more.
  void* take(std::size_t bytes) {
    if (bytes > largest) return nullptr;
    const std::size_t need = (bytes + sizeof(Block) + 63) / 64 * 64;
    const std::lock_guard lock(mutex_);
    Block wanted{need};
    auto found = free_.lower_bound(&wanted);
    if (found == free_.end()) {
      // Nothing held is large enough: what is wholly free goes back first, so that memory does not
      // grow by odd sizes.
      trim_locked();
      Block* segment = new_segment(need);
      if (!segment) return nullptr;
      found = free_.insert(segment).first;
    }
    Block* block = *found;
    free_.erase(found);
    block->free = false;
    if (block->size - need >= smallest) {
      auto* rest = ::new (reinterpret_cast<std::byte*>(block) + need)
          Block{block->size - need, block, block->after, true};
      if (rest->after) rest->after->before = rest;
      block->after = rest;
      block->size = need;
      free_.insert(rest);
    }
    return block + 1;
  }

  /// Takes back what `take` gave.
  void give(void* memory) {
    Block* block = static_cast<Block*>(memory) - 1;
    const std::lock_guard lock(mutex_);
    if (Block* next = block->after; next && next->free) {
      free_.erase(next);
      join(block, next);
    }
    if (Block* previous = block->before; previous && previous->free) {
      free_.erase(previous);
      join(previous, block);
      block = previous;
    }
    block->free = true;
    free_.insert(block);
  }

  /// Returns to the system what no tensor uses.
  void trim() {
    const std::lock_guard lock(mutex_);
    trim_locked();
  }

  /// Bytes held from the system, in use or not.
  std::size_t held() const {
    const std::lock_guard lock(mutex_);
    return held_;
  }
  /// Those of them that are in no use.
  std::size_t unused() const {
    const std::lock_guard lock(mutex_);
    std::size_t bytes = 0;
    for (const Block* block : free_) bytes += block->size;
    return bytes;
  }

 private:
  static constexpr std::size_t huge_page = 2 << 20, segment_size = std::size_t{1} << 30;

  /// In front of every piece; `size` includes it. Neighbours within a segment are linked.
  struct alignas(64) Block {
    std::size_t size;
    Block *before = nullptr, *after = nullptr;
    bool free = false;
  };
  struct Smaller {
    bool operator()(const Block* a, const Block* b) const {
      return a->size != b->size ? a->size < b->size : a < b;
    }
  };

  Block* new_segment(std::size_t need) {
    // A large piece has a segment of its own size; small ones share.
    const std::size_t size = need > segment_size / 2
                                 ? (need + huge_page - 1) / huge_page * huge_page
                                 : segment_size;
    void* memory = ::operator new (size, std::align_val_t{huge_page}, std::nothrow);
    if (!memory) return nullptr;
#if defined(__linux__)
    madvise(memory, size, MADV_HUGEPAGE);  // a wish: without huge pages it is only slower
#endif
    held_ += size;
    return ::new (memory) Block{size, nullptr, nullptr, true};
  }

  static void join(Block* first, Block* second) {
    first->size += second->size;
    first->after = second->after;
    if (first->after) first->after->before = first;
  }

  /// Segments that are wholly free go back. Of other free pieces the system gets the pages, not the
  /// addresses.
  void trim_locked() {
    for (auto it = free_.begin(); it != free_.end();) {
      Block* block = *it;
      if (!block->before && !block->after) {
        it = free_.erase(it);
        held_ -= block->size;
        ::operator delete (block, std::align_val_t{huge_page});
        continue;
      }
      drop_pages(block);
      ++it;
    }
  }

  static void drop_pages([[maybe_unused]] Block* block) {
#if defined(__linux__)
    const auto begin = reinterpret_cast<std::uintptr_t>(block),
               first = (begin + sizeof(Block) + huge_page - 1) / huge_page * huge_page,
               last = (begin + block->size) / huge_page * huge_page;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
#endif
  }

  mutable std::mutex mutex_;
  std::set<Block*, Smaller> free_;
  std::size_t held_ = 0;
};

/// The pool of all Cpu tensors. Never destroyed: tensors with static lifetime may be freed after
/// any static pool.
inline MemoryPool& memory_pool() {
  static MemoryPool& pool = *new MemoryPool;
  return pool;
}

// The address sanitizer sees every use of freed memory, unless a pool keeps it alive.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool pool_memory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool pool_memory = false;
#else
inline constexpr bool pool_memory = true;
#endif
#else
inline constexpr bool pool_memory = true;
#endif

}  // namespace detail

HLIP_END
