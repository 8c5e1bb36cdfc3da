// The CRC-32 of long byte ranges, as fast as memory gives them. Needs libdeflate and zlib.
#pragma once

#include <hlip/core/abi.hpp>

#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

HLIP_BEGIN

/// The CRC-32 of zlib, gzip and PNG. Blocks are summed by all threads and combined in order, so it
/// does not depend on their number.
/// @param crc of the bytes before these
inline std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t crc = 0) {
  constexpr std::size_t block = std::size_t{1} << 22;
  const std::size_t blocks = (bytes.size() + block - 1) / block;
  std::vector<std::uint32_t> sums(blocks);
  const auto length = [&](std::size_t b) { return std::min(block, bytes.size() - b * block); };
#pragma omp parallel for schedule(static) if (blocks > 1)
  for (std::size_t b = 0; b < blocks; ++b)
    sums[b] = libdeflate_crc32(0, bytes.data() + b * block, length(b));
  for (std::size_t b = 0; b < blocks; ++b)
    crc = static_cast<std::uint32_t>(crc32_combine(crc, sums[b], static_cast<z_off_t>(length(b))));
  return crc;
}

HLIP_END
