// What a training run holds in memory, as a line before its first step and as a table after its
// last.
#pragma once

#include <hlip/backend/backend.hpp>
#include <hlip/core/error.hpp>
#include <hlip/tensor/memory_statistics.hpp>

#include <sys/resource.h>

#include <cstdint>
#include <fstream>
#include <string>

HLIP_BEGIN

/// The most memory this process has had resident so far, in bytes. (VmHWM and not ru_maxrss where
/// there is a choice: after fork and exec ru_maxrss begins with the peak of the process that
/// started this one.)
HLIP_LAZY std::uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::uint64_t kib = 0; word == "VmHWM:" && status >> kib) return kib * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

/// "1.23 GiB: parameters 0.41, gradients 0.30, …", without the categories that hold nothing.
HLIP_LAZY std::string memory_line(const MemoryUse& use) {
  const auto gib = [](std::size_t bytes) { return static_cast<double>(bytes) / 0x1p30; };
  std::string parts;
  for (std::size_t i = 0; i < use.bytes.size(); ++i)
    if (use.bytes[i] > 0)
      parts += fmt::format("{} {} {:.3f}", parts.empty() ? "" : ",", memory_category_names[i],
                           gib(use.bytes[i]));
  return fmt::format("{:.3f} GiB:{}", gib(use.total()), parts);
}

/// Category by category: what was forecast, and what tensors held when the total was highest.
/// @param held_for_reuse of the backend  @param peak_rss of the process: tensors, memory held for
/// reuse as far as it was touched, workspace of kernels, tables, code
HLIP_LAZY std::string memory_table(const MemoryUse& forecast, const MemoryUse& peak,
                                   std::size_t held_for_reuse, std::uint64_t peak_rss) {
  const auto mib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 0x1p20; };
  std::string text = fmt::format("memory, MiB {:>12}{:>14}\n", "forecast", "at the peak");
  for (std::size_t i = 0; i < peak.bytes.size(); ++i)
    text += fmt::format("{:<12}{:12.1f}{:14.1f}\n", memory_category_names[i],
                        mib(forecast.bytes[i]), mib(peak.bytes[i]));
  text += fmt::format("{:<12}{:12.1f}{:14.1f}\n", "all", mib(forecast.total()), mib(peak.total()));
  return text + fmt::format(
                    "held for reuse now: {:.1f} of address space, of which only what was touched "
                    "takes memory; peak resident size {:.1f}\n",
                    mib(held_for_reuse), mib(peak_rss));
}

HLIP_END
