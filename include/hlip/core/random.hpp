// Counter-based random numbers (Philox 4x32-10): the same values on every backend and thread count,
// and the same again after a resume, because a draw depends on its key and index and on nothing
// else. Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <hlip/core/abi.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

HLIP_BEGIN

/// Names one random sequence. Equal keys give equal draws; change any field for independent ones.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;  ///< who draws: one number per use (dropout of block 3, sampler, ...)
  std::uint64_t step = 0;    ///< when: optimiser step, epoch, sample number

  /// The same key for another user of random numbers.
  constexpr RandomKey with_stream(std::uint32_t s) const { return {seed, s, step}; }
};

/// One Philox 4x32-10 block: four independent 32-bit words for (key, index).
HLIP_FN std::array<std::uint32_t, 4> philox(const RandomKey& key, std::uint64_t index) {
  // 128-bit counter = (index, step folded with stream), 64-bit key = seed.
  std::array<std::uint32_t, 4> c = {
      static_cast<std::uint32_t>(index),
      static_cast<std::uint32_t>(index >> 32) ^ (key.stream * 0x9E3779B9u),
      static_cast<std::uint32_t>(key.step),
      static_cast<std::uint32_t>(key.step >> 32) ^ key.stream};
  auto k0 = static_cast<std::uint32_t>(key.seed), k1 = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0],
                        p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// Uniform in [0, 1) with 53 bits, draw number `index` of the sequence.
HLIP_FN double uniform_at(const RandomKey& key, std::uint64_t index) {
  const auto c = philox(key, index);
  return static_cast<double>(((std::uint64_t{c[0]} << 32) | c[1]) >> 11) * 0x1.0p-53;
}

/// Standard normal, draw number `index` (Box-Muller on one Philox block).
HLIP_FN double normal_at(const RandomKey& key, std::uint64_t index) {
  const auto c = philox(key, index);
  const double u = (static_cast<double>(((std::uint64_t{c[0]} << 32) | c[1]) >> 11) + 0.5) *
                   0x1.0p-53;
  const double v = static_cast<double>(((std::uint64_t{c[2]} << 32) | c[3]) >> 11) * 0x1.0p-53;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
}

/// Reads one sequence in order; for code that consumes a varying number of draws per sample.
class RandomStream {
 public:
  /// @param first number of the first draw, for one of several parts of a sequence
  explicit RandomStream(RandomKey key, std::uint64_t first = 0) : key_(key), next_(first) {}
  double uniform() { return uniform_at(key_, next_++); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  double normal() { return normal_at(key_, next_++); }
  /// Uniform integer in [0, n); n must be positive.
  std::int64_t below(std::int64_t n) {
    const auto i = static_cast<std::int64_t>(uniform() * static_cast<double>(n));
    return i < n ? i : n - 1;
  }
  bool chance(double probability) { return uniform() < probability; }
  template <class T> void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<std::int64_t>(i)))]);
  }

 private:
  RandomKey key_;
  std::uint64_t next_;
};

HLIP_END
