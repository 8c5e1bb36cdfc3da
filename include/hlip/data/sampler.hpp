// In which order an epoch visits the samples. A pure function of (seed, epoch, index), so a
// position is two numbers.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/core/random.hpp>
#include <hlip/tensor/shape.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

HLIP_BEGIN

/// Where a run stands: everything a checkpoint needs to keep of sampler and loader.
struct SamplerPosition {
  index_t epoch = 0;
  index_t position = 0;  ///< entries of this epoch's order that were used up

  friend bool operator==(const SamplerPosition&, const SamplerPosition&) = default;
};

/// How an epoch is ordered and dealt out.
struct SamplerOptions {
  index_t batch_size = 1;  ///< of one process
  bool shuffle = true;
  bool drop_last = true;  ///< leave out a last batch that is not full
  std::uint64_t seed = 0;
  index_t rank = 0, world_size = 1;
};

/// Orders the samples of each epoch and deals them to the processes.
///
/// Global batch b is entries [b G, (b+1) G) of the epoch's permutation, G = batch_size *
/// world_size, and process r takes the r-th part of it: two processes with batch 8 see together
/// what one process with batch 16 sees.
class Sampler {
 public:
  /// @throws hlip::error if an option makes no sense or no batch can be formed
  HLIP_LAZY Sampler(index_t size, const SamplerOptions& options) : size_(size), options_(options) {
    constexpr std::string_view where = "sampler";
    expect(size > 0, where, "{} samples, expected at least 1", size);
    expect(options.batch_size > 0, where, "batch_size is {}, expected at least 1",
           options.batch_size);
    expect(options.world_size > 0 && options.rank >= 0 && options.rank < options.world_size, where,
           "rank {} of {} processes", options.rank, options.world_size);
    expect(options.batch_size <= (index_t{1} << 40) / options.world_size, where,
           "batch_size {} is too large", options.batch_size);
    expect(!options.drop_last || size >= global_batch(), where,
           "{} samples make no full batch of {}; make the batch smaller or keep the last one", size,
           global_batch());
  }

  index_t size() const { return size_; }
  const SamplerOptions& options() const { return options_; }
  /// Batches of one epoch of this process.
  index_t batches_per_epoch() const {
    const index_t full = size_ / global_batch();
    const auto [first, last] = tail();
    return full + (!options_.drop_last && last > first ? 1 : 0);
  }

  /// Indices of this process for one epoch, in order. With one process that is the whole
  /// permutation, whether or not the last batch is dropped: what is left over can take the place of
  /// samples that cannot be read.
  HLIP_LAZY std::vector<index_t> order(index_t epoch) const {
    expect(epoch >= 0, "sampler", "epoch is {}, expected 0 or more", epoch);
    std::vector<index_t> all(static_cast<std::size_t>(size_));
    std::iota(all.begin(), all.end(), index_t{0});
    if (options_.shuffle)
      RandomStream({options_.seed, 0x5A3Au, static_cast<std::uint64_t>(epoch)}).shuffle(all);
    if (options_.world_size == 1) return all;
    std::vector<index_t> own;
    const auto take = [&](index_t first, index_t last) {
      own.insert(own.end(), all.begin() + first, all.begin() + last);
    };
    const index_t full = size_ / global_batch();
    for (index_t b = 0; b < full; ++b) {
      const index_t first = b * global_batch() + options_.rank * options_.batch_size;
      take(first, first + options_.batch_size);
    }
    const auto [first, last] = tail();
    if (!options_.drop_last) take(first, last);
    return own;
  }

 private:
  index_t global_batch() const { return options_.batch_size * options_.world_size; }
  /// The part of the incomplete last global batch that is this process's, as evenly as it goes.
  std::pair<index_t, index_t> tail() const {
    const index_t rest = size_ % global_batch(), first = size_ - rest;
    return {first + rest * options_.rank / options_.world_size,
            first + rest * (options_.rank + 1) / options_.world_size};
  }

  index_t size_;
  SamplerOptions options_;
};

HLIP_END
