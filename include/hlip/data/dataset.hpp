// What a data set is: a size, and for every index a sample and a name. Samples are loaded by
// several threads at once.
#pragma once

#include <hlip/core/check.hpp>
#include <hlip/core/random.hpp>
#include <hlip/tensor/shape.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <utility>
#include <vector>

HLIP_BEGIN

namespace detail {
template <class D>
concept PlainGet = requires(const D& d, index_t i) {
  d.get(i);
};
/// For data sets that draw (augmentation, choice of a reconstruction): every draw must come from
/// the key.
template <class D>
concept SeededGet = requires(const D& d, index_t i, RandomKey key) {
  d.get(i, key);
};
}  // namespace detail

/// A map-style data set: size(), get(index) or get(index, RandomKey), and name(index), which goes
/// into messages. All are const and may be called from several threads at once; get throws if a
/// sample cannot be read.
template <class D>
concept Dataset = requires(const D& d, index_t i) {
  { d.size() } -> std::convertible_to<index_t>;
  { d.name(i) } -> std::convertible_to<std::string>;
}
&&(detail::PlainGet<D> || detail::SeededGet<D>);

/// The key all draws for one sample come from: a function of seed, epoch and index, never of the
/// thread that loads it.
inline RandomKey sample_key(std::uint64_t seed, index_t epoch, index_t index) {
  const auto word = philox({seed, 0x5A3Bu, static_cast<std::uint64_t>(epoch)},
                           static_cast<std::uint64_t>(index));
  return {(std::uint64_t{word[0]} << 32) | word[1], 0, static_cast<std::uint64_t>(epoch)};
}

/// Sample `index`; a data set that draws gets `key`, another one never sees it.
template <Dataset D> auto get_sample(const D& dataset, index_t index, const RandomKey& key) {
  if constexpr (detail::SeededGet<D>) return dataset.get(index, key);
  else return dataset.get(index);
}

/// What get() of a data set returns.
template <Dataset D>
using SampleOf = decltype(get_sample(std::declval<const D&>(), index_t{}, RandomKey{}));

/// Some samples of another data set, in the order given.
template <Dataset D> class Subset {
 public:
  /// @throws hlip::error if an index does not exist
  Subset(std::shared_ptr<const D> dataset, std::vector<index_t> indices)
      : dataset_(std::move(dataset)), indices_(std::move(indices)) {
    for (const index_t i : indices_)
      expect(i >= 0 && i < static_cast<index_t>(dataset_->size()), "subset",
             "index {} does not exist among {} samples", i, dataset_->size());
  }
  index_t size() const { return static_cast<index_t>(indices_.size()); }
  std::string name(index_t i) const { return dataset_->name(inner(i)); }
  auto get(index_t i) const requires detail::PlainGet<D> { return dataset_->get(inner(i)); }
  auto get(index_t i, const RandomKey& key) const requires detail::SeededGet<D> {
    return dataset_->get(inner(i), key);
  }

 private:
  index_t inner(index_t i) const {
    expect(i >= 0 && i < size(), "subset", "index {} does not exist among {} samples", i, size());
    return indices_[static_cast<std::size_t>(i)];
  }
  std::shared_ptr<const D> dataset_;
  std::vector<index_t> indices_;
};

HLIP_END
