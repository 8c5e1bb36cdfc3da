// Several processes without processes. Apart from the communicator because std::barrier brings
// clocks and waiting along.
#pragma once

#include <hlip/distributed/communicator.hpp>

#include <barrier>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

HLIP_BEGIN

/// Ranks that are threads of one program: proves the many-process forms without processes.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size)
      : size_(size),
        barrier_(std::make_shared<std::barrier<>>(size)),
        posted_(std::make_shared<std::vector<const void*>>(static_cast<std::size_t>(size))) {}

  /// The communicator of one rank; use it from one thread.
  class Rank {
   public:
    int rank() const { return rank_; }
    int size() const { return static_cast<int>(posted_->size()); }
    void barrier() const { barrier_->arrive_and_wait(); }
    void all_gather(const void* mine, void* all, std::size_t bytes) const {
      (*posted_)[static_cast<std::size_t>(rank_)] = mine;
      barrier();
      for (std::size_t r = 0; bytes > 0 && r < posted_->size(); ++r)
        std::memcpy(static_cast<std::byte*>(all) + r * bytes, (*posted_)[r], bytes);
      barrier();  // nobody may leave while others still read
    }
    template <class T> void all_reduce_sum(std::span<T> values) const {
      std::vector<T> all(values.size() * posted_->size());
      all_gather(values.data(), all.data(), values.size_bytes());
      for (std::size_t i = 0; i < values.size(); ++i) {
        T total{};
        for (std::size_t r = 0; r < posted_->size(); ++r) total += all[r * values.size() + i];
        values[i] = total;
      }
    }

   private:
    friend class ThreadGroup;
    Rank(int rank, std::shared_ptr<std::barrier<>> b,
         std::shared_ptr<std::vector<const void*>> posted)
        : rank_(rank), barrier_(std::move(b)), posted_(std::move(posted)) {}
    int rank_;
    std::shared_ptr<std::barrier<>> barrier_;
    std::shared_ptr<std::vector<const void*>> posted_;
  };
  Rank rank(int r) const { return Rank(r, barrier_, posted_); }
  int size() const { return size_; }

 private:
  int size_;
  std::shared_ptr<std::barrier<>> barrier_;
  std::shared_ptr<std::vector<const void*>> posted_;
};
static_assert(Communicator<ThreadGroup::Rank>);

HLIP_END
