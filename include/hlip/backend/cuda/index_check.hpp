// Looks for indices outside their table where they are, without waiting: see index_fault.hpp.
#pragma once

#include <hlip/backend/cuda/block.hpp>
#include <hlip/backend/cuda/index_fault.hpp>
#include <hlip/core/scope.hpp>

#include <cstdint>
#include <mutex>
#include <set>
#include <string>

HLIP_BEGIN

namespace detail {

/// Whether an index is one of [0, bound).
HLIP_FN bool is_inside(std::int64_t index, index_t bound) { return index >= 0 && index < bound; }

struct Smaller {
  HLIP_FN index_t operator()(index_t a, index_t b) const { return a < b ? a : b; }
};

/// One block goes through all indices: the first that is wrong is found without an atomic, and
/// noted if none was before.
struct FindOutside {
  static constexpr int threads = 1024, groups = threads / 32;
  const std::int64_t* index;
  index_t n;
  IndexFault found;  ///< without place and value
  IndexFault* noted;

  template <class Block> HLIP_FN void operator()(Block& block) const {
    auto first = block.template per_thread<index_t, 1>();
    index_t* of_group = block.template shared<index_t>(groups);
    block.each([&](int thread) {
      index_t i = thread;
      while (i < n && is_inside(index[i], found.bound)) i += threads;
      first(thread)[0] = i < n ? i : n;
    });
    block.template reduce<32>(first, Smaller{});
    block.phase([&](int thread) {
      if (thread % 32 == 0) of_group[thread / 32] = first(thread)[0];
    });
    block.each([&](int thread) {
      if (thread != 0) return;
      index_t at = n;
      for (int group = 0; group < groups; ++group) at = Smaller{}(at, of_group[group]);
      if (at < n && !noted->where)
        *noted = IndexFault{found.where, found.label, at, found.bound, index[at]};
    });
  }
};

/// The operation with its module path, kept for ever: there are as many as a program has places
/// that look up rows.
inline const char* kept_place(std::string_view operation) {
  static std::mutex& mutex = *new std::mutex;
  static std::set<std::string>& places = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return places.insert(located(operation)).first->c_str();
}

/// Notes the first index outside [0, bound); the next copy to the host throws. Kernels that follow
/// must leave such an index out.
inline void note_outside(Cuda, std::string_view operation, const std::int64_t* index, index_t n,
                         index_t bound, bool label = false) {
  if (n > 0)
    launch_blocks(
        Cuda{}, 1, FindOutside::groups * sizeof(index_t),
        FindOutside{index, n, {kept_place(operation), label, 0, bound, 0}, &index_fault()});
}

}  // namespace detail

HLIP_END
