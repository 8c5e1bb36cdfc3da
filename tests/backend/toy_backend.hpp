// A third backend, as docs/backends.md builds it. What it computes is Reference's. What it is for
// is to prove two things: that the contract (backend/backend.hpp) is all that the library asks of a
// backend, and that nothing above it touches a backend's memory by itself. Toy memory is closed to
// the processor, like that of a graphics card, except while a function of the contract runs:
// whoever else reads or writes it is stopped by a fault.
#pragma once

#include <hlip/backend/contract.hpp>
#include <hlip/backend/reference.hpp>

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>

namespace toy {

using hlip::index_t;

/// The tag. All state is elsewhere: kernels get a tag by value.
struct Toy {
  static constexpr std::string_view name = "toy";
  static constexpr std::int64_t rows_at_a_time = 1024;
};

/// Memory that can be closed. For one thread.
class Memory {
 public:
  static Memory& instance() {
    static Memory memory;
    return memory;
  }
  void* take(std::size_t bytes) {
    bytes = rounded(bytes);
    auto& same = free_[bytes];
    if (!same.empty()) {
      void* p = same.back();
      same.pop_back();
      return p;
    }
    if (bytes > reserved - used_)
      hlip::fail("allocate", "the toy has {} bytes left, {} were asked for", reserved - used_,
                 bytes);
    return base_ + std::exchange(used_, used_ + bytes);
  }
  void give(void* p, std::size_t bytes) { free_[rounded(bytes)].push_back(p); }
  void allow(bool access) {
    mprotect(base_, (used_ + 4095) / 4096 * 4096, access ? PROT_READ | PROT_WRITE : PROT_NONE);
  }

  std::map<std::string, int> calls;  ///< of each function of the contract

 private:
  static constexpr std::size_t reserved = std::size_t{1} << 30;
  static std::size_t rounded(std::size_t bytes) { return (bytes + 64) / 64 * 64; }
  Memory()
      : base_(static_cast<std::byte*>(mmap(nullptr, reserved, PROT_NONE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (base_ == MAP_FAILED) hlip::fail("allocate", "no address space for the toy");
  }
  std::byte* base_;
  std::size_t used_ = 0;
  std::map<std::size_t, std::vector<void*>> free_;
};

/// A call of the contract: counts it, and opens the memory while it lasts.
class Call {
 public:
  explicit Call(const char* function) {
    ++Memory::instance().calls[function];
    Memory::instance().allow(true);
  }
  ~Call() { Memory::instance().allow(false); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
};

// ---- memory: new elements are all ones in every bit, which is NaN for floats and -1 for integers

inline bool has_device(Toy) { return true; }
inline void* allocate(Toy, std::size_t bytes) {
  void* p = Memory::instance().take(bytes);
  const Call call("allocate");
  std::memset(p, 0xff, bytes);
  return p;
}
inline void deallocate(Toy, void* p, std::size_t bytes) { Memory::instance().give(p, bytes); }
inline void empty_cache(Toy) {}
inline std::size_t held_for_reuse(Toy) { return 0; }
inline void copy_from_host(Toy, void* to, const void* from, std::size_t bytes) {
  const Call call("copy_from_host");
  if (bytes) std::memcpy(to, from, bytes);
}
template <class Fn> void upload_ahead(Toy, Fn&& fn) {
  ++Memory::instance().calls["upload_ahead"];
  fn();
}
inline void copy_to_host(Toy, void* to, const void* from, std::size_t bytes) {
  const Call call("copy_to_host");
  if (bytes) std::memcpy(to, from, bytes);
}

// ---- loops: this one is written out, the others are those of Reference

template <class Fn> void for_each_index(Toy, index_t n, Fn fn) {
  const Call call("for_each_index");
  for (index_t i = 0; i < n; ++i) fn(i);
}

// The same function of Reference, on the same arguments, within a Call.
#define TOY_FORWARDS(function)                                       \
  template <class... Args> auto function(Toy, Args&&... args) {      \
    const Call call(#function);                                      \
    return function(hlip::Reference{}, std::forward<Args>(args)...); \
  }
TOY_FORWARDS(map)
TOY_FORWARDS(map_pull)
TOY_FORWARDS(copy_strided)
TOY_FORWARDS(fill_strided)
TOY_FORWARDS(reduce)
TOY_FORWARDS(gemm)
TOY_FORWARDS(has_bfloat16_products)
TOY_FORWARDS(has_tensorfloat32_products)
TOY_FORWARDS(matrix_precision)
TOY_FORWARDS(set_matrix_precision)
TOY_FORWARDS(attention_forward)
TOY_FORWARDS(attention_backward)
TOY_FORWARDS(layer_norm_forward)
TOY_FORWARDS(layer_norm_backward)
TOY_FORWARDS(softmax_forward)
TOY_FORWARDS(softmax_backward)
TOY_FORWARDS(cross_entropy_forward)
TOY_FORWARDS(cross_entropy_backward)
TOY_FORWARDS(gather_rows)
TOY_FORWARDS(scatter_add_rows)
TOY_FORWARDS(resample_axis)
TOY_FORWARDS(cut_patches)
TOY_FORWARDS(conv_forward)
TOY_FORWARDS(conv_backward_input)
TOY_FORWARDS(conv_backward_weight)
TOY_FORWARDS(adamw_update)
TOY_FORWARDS(sums_of_squares)
#undef TOY_FORWARDS

static_assert(hlip::Backend<Toy>);

}  // namespace toy
