// What every backend says when it has no more memory to give.
#pragma once

#include <hlip/core/error.hpp>
#include <hlip/tensor/memory_statistics.hpp>

#include <string>

HLIP_BEGIN

namespace detail {

/// Throws: what was asked for, what the tensors of backend B hold and for what.
/// @param available what is known about the rest, e.g. "1.2 GiB of 40 GiB free", or nothing
template <class B>
[[noreturn]] void fail_out_of_memory(std::size_t bytes, std::string_view available = "") {
  const auto mebibytes = [](std::size_t n) {
    return fmt::format("{:.1f} MiB", static_cast<double>(n) / (1 << 20));
  };
  const MemoryUse use = memory_statistics<B>().now();
  std::string held;
  for (std::size_t i = 0; i < use.bytes.size(); ++i)
    if (use.bytes[i] > 0)
      held += fmt::format(", {} {}", memory_category_names[i], mebibytes(use.bytes[i]));
  fail("allocate",
       "out of memory: asked for {} bytes ({}){}{}; tensors on {} hold {}{} (hint: a smaller "
       "batch, or gradient checkpointing)",
       bytes, mebibytes(bytes), available.empty() ? "" : ", ", available, B::name,
       mebibytes(use.total()), held);
}

}  // namespace detail

HLIP_END
