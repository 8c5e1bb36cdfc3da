// What training code asks of the other processes, and the default: there are none.
#pragma once

#include <hlip/core/abi.hpp>

#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>

HLIP_BEGIN

/// One process among size() equal ones. Collective calls block until every rank has made them, in
/// the same order. Sums are taken in rank order, so results repeat bit for bit.
template <class C>
concept Communicator = requires(C c, const void* mine, void* all, std::size_t bytes,
                                std::span<float> f, std::span<double> d) {
  { c.rank() } -> std::convertible_to<int>;
  { c.size() } -> std::convertible_to<int>;
  c.barrier();
  c.all_gather(mine, all, bytes);  // `bytes` from every rank, one after the other into `all`
  c.all_reduce_sum(f);
  c.all_reduce_sum(d);
};

/// The default: one process.
struct SingleProcess {
  int rank() const { return 0; }
  int size() const { return 1; }
  void barrier() const {}
  void all_gather(const void* mine, void* all, std::size_t bytes) const {
    // memcpy takes no null pointer, not even for nothing
    if (bytes > 0) std::memcpy(all, mine, bytes);
  }
  template <class T> void all_reduce_sum(std::span<T>) const {}
};
static_assert(Communicator<SingleProcess>);

HLIP_END
